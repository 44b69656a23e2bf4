"""Count the hops of a request of one of the lab's stacks, as a run keeps them: once, in a process of its own."""

from functools import cache

from bench.base.errors import LabError, NotRun
from bench.model.stacks import parse_stack
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import Hops
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack


def count_hops(plan: TrialPlan) -> Hops | None:
    """Trace the trial's request where the plan asks for it; else None. Raises NotRun where it cannot be traced."""
    if not plan.count_hops:
        return None
    return _count(plan.stack.name, plan.request.name, plan.middleware)


@cache
def _count(stack: str, request: str, middleware: tuple[str, ...]) -> Hops:
    """The count depends on no load and no time, so one a run is enough."""
    try:
        return Hops(**trace_stack(parse_stack(stack), parse_request(request), middleware).hop_counts)
    except LabError as error:
        raise NotRun(f"The hops of {stack} could not be counted: {error}") from None
