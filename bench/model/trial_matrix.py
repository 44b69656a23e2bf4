"""From an experiment and the overrides of a command line to the trials, in the order in which they are made."""

import random
import secrets
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from bench.base.errors import NotRun, refuse_first
from bench.model.environments import DEFAULT
from bench.model.experiment import Block, Experiment, Profile, profile_of
from bench.model.load import Closed, ConnectionLoad, Held, Leaving, Load, Open, Paced, Slow, Streams, Waves
from bench.model.run_record import Assertion
from bench.model.stacks import Stack, parse_stack
from bench.model.trial_plan import Engine, Freeze, Outage, TrialPlan, planned_trial
from bench.model.trial_record import Trial
from bench.model.workloads import WORKLOADS, Workload, parse_request


@dataclass(frozen=True)
class Overrides:
    """What the command line changes: an empty tuple or None leaves the experiment's own.

    `about` limits the trials to those that one of these claims needs.
    """

    stacks: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    connections: tuple[int, ...] = ()
    rates_per_s: tuple[float, ...] = ()
    schedule: str = "poisson"
    middleware: tuple[str, ...] | None = None
    repeats: int | None = None
    duration_s: float | None = None
    engine: Engine = field(default_factory=Engine)
    target: str | None = None
    environments: tuple[str, ...] = ()
    server_cores: int | None = None
    about: tuple[Assertion, ...] = ()
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))


def trials_of(experiment: Experiment, profile_name: str, overrides: Overrides) -> list[TrialPlan]:
    """Return all trials of one repeat, in the order of the file, each once.

    Raises UsageError where the overrides do not fit the experiment.
    """
    profile = profile_of(experiment, profile_name)
    blocks = [block for block in experiment.matrix if profile_name in block.profiles]
    crossed = [plan for block in blocks for plan in _cross(_overridden(block, overrides), profile, overrides)]
    answerable = [plan for plan in _once(crossed) if plan.request.is_answered_by(plan.stack)]
    refuse_first(_refusals(crossed, answerable, overrides))
    return answerable


def _refusals(crossed: Sequence[TrialPlan], answerable: Sequence[TrialPlan], overrides: Overrides) -> dict[str, object]:
    """What can be wrong with the overrides, as a sentence, and whether it is."""
    by_connections = [plan for plan in crossed if isinstance(plan.load, ConnectionLoad)]
    is_closed = all(isinstance(plan.load, Closed | Paced) for plan in crossed)
    return {
        "wrk drives only closed loops that are not held to a rate: leave out --engine wrk, or give --users "
        "without --rate.": (
            overrides.engine.program == "wrk" and not all(isinstance(plan.load, Closed) for plan in crossed)
        ),
        "An open loop uses one process: leave out --load-processes and --expect-workers, or give --users.": (
            overrides.engine.is_distributed and not is_closed
        ),
        "This experiment holds no connections: leave out --connections, or run `held`, `gone`, `slow_clients` or "
        "`token_streams`.": (overrides.connections and not by_connections),
        "This experiment is about connections: give --connections, and neither users, rates nor target.": (
            by_connections and (overrides.users or overrides.rates_per_s or overrides.target)
        ),
        f"Only {_names(lambda it: Held in it.connection_loads)} can be held, such as --workload 'feed?n=100&ms=10000'. "
        f"Clients can leave {_names(lambda it: Leaving in it.connection_loads)}. "
        f"Only {_names(lambda it: Waves in it.connection_loads)} can come in waves. "
        f"Slow clients ask for {_names(lambda it: Slow in it.connection_loads)}. "
        f"Only {_names(lambda it: Streams in it.connection_loads)} are streams to be read part by part.": (
            any(type(plan.load) not in plan.request.workload.connection_loads for plan in by_connections)
        ),
        f"Only slow clients send a body: run `slow_clients` for {_names(lambda it: it.sends is not None)}.": (
            any(plan.request.workload.sends and not isinstance(plan.load, Slow) for plan in crossed)
        ),
        f"None of these stacks answers that workload: bare callables answer {_names(lambda it: it.in_bare)} only, "
        "live_preview and traps none.": not answerable,
    }


def _names(holds: Callable[[Workload], bool]) -> str:
    """The workloads of which this holds, as words in a sentence."""
    *names, last = [name for name, workload in WORKLOADS.items() if holds(workload)]
    return f"{', '.join(names)} and {last}" if names else last


def _once(trials: Iterable[TrialPlan]) -> list[TrialPlan]:
    """Keep one of the trials that are the same: what the last block says of it counts."""
    return list({identity_of(trial): trial for trial in trials}.values())


def identity_of(trial: TrialPlan) -> tuple[object, ...]:
    """What two trials have in common if they are the same."""
    return (
        *(trial.stack.name, trial.request.name, trial.load, trial.freeze, trial.outage, trial.middleware),
        trial.server_cores,
    )


def _overridden(block: Block, overrides: Overrides) -> Block:
    """Return the block with the overrides in its place; an overriding load replaces every load of the block.

    Users given beside rates are held back to these rates, so that both loops ask for the same.
    """
    changed = msgspec.structs.replace(
        block,
        stacks=list(overrides.stacks) or block.stacks,
        requests=list(overrides.requests) or block.requests,
        middleware=block.middleware if overrides.middleware is None else [list(overrides.middleware)],
    )
    if block.connections:
        return msgspec.structs.replace(changed, connections=list(overrides.connections) or block.connections)
    if not overrides.users and not overrides.rates_per_s:
        return changed
    rates = list(overrides.rates_per_s)
    return msgspec.structs.replace(
        changed, users=list(overrides.users), rates_per_s=rates, capacity_shares=[], held_to_per_s=rates
    )


def _loads(block: Block) -> list[Load]:
    paced = [Paced(users, rate) for users in block.users for rate in block.held_to_per_s]
    return [
        *(paced if block.held_to_per_s else map(Closed, block.users)),
        *map(Open, block.rates_per_s),
        *(Open(capacity_share=share) for share in block.capacity_shares),
        *(_connection_load(block, count) for count in block.connections),
    ]


def _connection_load(block: Block, count: int) -> ConnectionLoad:
    if block.leave_after_s is not None:
        return Leaving(count, block.leave_after_s, round(block.staying_share * count))
    if block.slow_over_s is not None:
        return Slow(count, block.visitors, block.slow_over_s)
    if block.leaving_share is not None:
        return Streams(count, round(block.leaving_share * count))
    return Held(count) if block.max_connections is None else Waves(count, block.max_connections)


def _cross(block: Block, profile: Profile, overrides: Overrides) -> list[TrialPlan]:
    return [
        TrialPlan(
            stack=stack,
            request=parse_request(request),
            repeat=0,
            middleware=tuple(middleware),
            warmup_s=profile.warmup_s,
            duration_s=overrides.duration_s or profile.duration_s,
            schedule=overrides.schedule,
            seed=overrides.seed,
            freeze=Freeze(*block.freeze) if block.freeze else None,
            outage=Outage(*block.outage) if block.outage else None,
            engine=overrides.engine,
            target=overrides.target,
            server_cores=overrides.server_cores or block.server_cores,
            restarts=overrides.repeats or max(profile.repeats, block.restarts),
            load=load,
            count_hops=block.count_hops and overrides.target is None,
        )
        for request in block.requests
        for load in _loads(block)
        for middleware in block.middleware
        for stack in _stacks_in(block.stacks, overrides.environments)
    ]


def _stacks_in(names: Sequence[str], environments: Sequence[str]) -> list[Stack]:
    """Return each stack once for each environment; one that names its own stays as it is."""
    stacks = [parse_stack(name) for name in names]
    return [
        stack if stack.environment != DEFAULT else replace(stack, environment=environment)
        for stack in stacks
        for environment in environments or [DEFAULT]
    ]


def capacity_trials(experiment: Experiment, trials: Sequence[TrialPlan]) -> list[TrialPlan]:
    """The closed loops that must be measured first: some rates are shares of their throughput."""
    relative = [trial for trial in trials if isinstance(trial.load, Open) and trial.load.capacity_share is not None]
    return _once(_capacity_trial(trial, experiment.capacity_users) for trial in relative)


def _capacity_trial(trial: TrialPlan, users: int) -> TrialPlan:
    return replace(trial, load=Closed(users), freeze=None)


def with_measured_rate(plan: TrialPlan, trials: Iterable[Trial], capacity_users: int) -> TrialPlan:
    """Return the plan with its rate, where that is a share of the capacity measured in the trials so far.

    The capacity is the median throughput over restarts, rounded to three digits with the share. Raises NotRun where
    none was measured.
    """
    if not isinstance(plan.load, Open) or plan.load.capacity_share is None:
        return plan
    like = planned_trial(_capacity_trial(plan, capacity_users))
    found = [
        trial.throughput_per_s
        for trial in trials
        if trial.throughput_per_s
        and (trial.stack, trial.request, trial.middleware, trial.offered_load, trial.server_cores)
        == (like.stack, like.request, like.middleware, like.offered_load, like.server_cores)
    ]
    if not found:
        raise NotRun(f"The capacity of {plan.stack.name} was not measured, so its rates are not known.")
    rate_per_s = plan.load.capacity_share * statistics.median(found)
    return replace(plan, load=replace(plan.load, rate_per_s=float(f"{rate_per_s:.3g}")))


def in_random_order(trials: Sequence[TrialPlan], seed: int) -> list[TrialPlan]:
    """Return shuffled passes over all trials; the same seed gives the same order.

    There are as many as the fewest restarts of a trial. One with more has several in each pass, so that the restarts of
    all are spread over the same time.
    """
    shuffler = random.Random(seed)
    passes = min((trial.restarts for trial in trials), default=0)
    ordered = []
    for number in range(passes):
        one_pass = [
            replace(trial, repeat=repeat)
            for trial in trials
            for repeat in range(trial.restarts)
            if repeat * passes // trial.restarts == number
        ]
        shuffler.shuffle(one_pass)
        ordered += one_pass
    return ordered
