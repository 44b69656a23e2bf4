"""What the notebooks share: the run they show, the prediction beside the measured number, tables and checks."""

import ast
import difflib
import os
from collections.abc import Iterable, Sequence

from bench.analyse.findings import findings_of
from bench.analyse.rows import Row, rows_of
from bench.base.errors import UsageError
from bench.base.files import ROOT
from bench.model import run_store
from bench.model.load import Closed
from bench.model.run_record import Run
from bench.model.stacks import parse_stack
from bench.model.trial_record import Reason, Trial
from bench.model.workloads import parse_request
from bench.show.tables.markdown import finding_point, markdown_line

RESULTS_VARIABLE = "LAB_RESULTS"
NOT_MEASURED = "not measured in this run; `--profile standard` measures all that this lesson shows"


def run_to_show(experiment: str) -> Run:
    """The reference run of the experiment, or the reader's own where LAB_RESULTS names a run of it.

    A path may start at the top of the project, because a notebook runs in a folder of its own.
    """
    named = os.environ.get(RESULTS_VARIABLE)
    from_top = ROOT / (named or experiment)
    run = run_store.load_run(run_store.find_run(str(from_top) if named and from_top.exists() else named or experiment))
    if run.experiment != experiment:
        raise UsageError(
            f"{RESULTS_VARIABLE}={named} is a run of {run.experiment}, this lesson needs one of {experiment}: "
            f"measure it with `lab run {experiment} --profile standard`."
        )
    return run


def reference(experiment: str) -> Run:
    """The committed run of the experiment."""
    return run_store.load_run(run_store.REFERENCE / experiment)


def told(run: Run) -> str:
    """A sentence on whose run this is and how it was made."""
    whose = "Your run" if os.environ.get(RESULTS_VARIABLE) else "The reference run"
    restarts = f"{run.plan.repeats} restart{'' if run.plan.repeats == 1 else 's'}"
    made = f"{run.started_at[:10]}, profile {run.profile}, {restarts} of the server for each point, in random order"
    django = (run.environment.get("packages") or {}).get("django") or "of a version not known"
    return f"{whose} of `{run.experiment}`: {made}, Django {django}."


class Rows(dict[tuple[str, str, int], Row]):
    """The rows of a run by stack, request and number of users or connections; what it lacks is a row not measured."""

    def __init__(self, run: Run) -> None:
        super().__init__(
            {(row.stack, row.request, row.users or row.trial.connections or 0): row for row in rows_of(run)}
        )

    def crowd(self, request: str, most: int) -> int:
        """The largest number of users, up to so many, for which the run has a row of the request."""
        return max((count for _, name, count in self if name == request and count <= most), default=most)

    def __missing__(self, key: tuple[str, str, int]) -> Row:
        stack, request, users = key
        asked = parse_request(request)
        trial = Trial(
            stack, asked.workload.name, dict(asked.parameters), [], users, 0,
            reasons=[Reason("not-run", f"{NOT_MEASURED[0].upper()}{NOT_MEASURED[1:]}.")],
            io_wait_s=asked.io_wait_s(parse_stack(stack)), slots=asked.slots(parse_stack(stack)),
        )  # fmt: skip
        return Row(stack, request, (), Closed(users), (trial,))


def both_loops(run: Run) -> tuple[Row, Row]:
    """The open loop of a run and the closed one, as measured. UsageError where one of them has no numbers."""
    found = {row.is_open: row for row in rows_of(run) if row.measured}
    if len(found) < 2:
        raise UsageError(
            f"This run of {run.experiment} has not both an open and a closed loop with numbers: measure it again with "
            f"`lab run {run.experiment}`, or leave {RESULTS_VARIABLE} unset."
        )
    return found[True], found[False]


def compare(prediction: float | None, measured: float | None, unit: str) -> str:
    """A sentence that sets the learner's number beside the measured one, which waits for it."""
    if prediction is None:
        return "No prediction yet: put a number into the cell above and run both again."
    found = NOT_MEASURED if measured is None else f"measured: {measured:,.0f} {unit}"
    factor = f" Yours is {prediction / measured:.2f} times that." if measured else ""
    return f"You said {prediction:,.0f} {unit}; {found}.{factor}"


def check(answer: float | None, right: float | None, unit: str = "", within: float = 0.1) -> str:
    """Whether the learner's answer is right within that share, and else in which direction to look for it."""
    if right is None:
        return f"What the check needs was {NOT_MEASURED}."
    if answer is None:
        return "No answer yet: put a number into the cell above and run both again."
    if abs(answer - right) > within * abs(right):
        return f"Not yet: it is {'less' if answer > right else 'more'} than {answer:,g} {unit}".strip() + "."
    return f"Right: {right:,.3g} {unit}".strip() + "."


def findings(run: Run, about: str = "") -> str:
    """What the run says to its claims, or to those with that text in them, as a list in Markdown."""
    found = [finding for finding in findings_of(run) if about in str(finding.claim)]
    return "\n".join(map(finding_point, found)) or f"This run has nothing to say to a claim: {NOT_MEASURED}."


def table(headings: str, rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; headings are parted by `|`, and a colon after one sets its column to the right."""
    names = [name.strip() for name in headings.split("|")]
    rule = "|".join("--:" if name.endswith(":") else ":--" for name in names)
    lines = [markdown_line([str(cell) for cell in row]) for row in rows]
    return "\n".join([markdown_line([name.rstrip(":") for name in names]), f"|{rule}|", *lines])


def difference_in(view: str, left: str, right: str) -> str:
    """What differs in one view between two labs, line by line as in `lab diff`."""
    return difference(*(source_of(f"labs/{lab}/views.py", view) for lab in (left, right)))


def difference(before: str, after: str) -> str:
    """What differs between two texts, line by line as in `lab diff`."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def source_of(path: str, name: str) -> str:
    """A function or class of a file, as it stands there; `path` starts at the top of the project."""
    text = (ROOT / path).read_text()
    (found,) = (part for part in ast.parse(text).body if getattr(part, "name", "") == name)
    return ast.get_source_segment(text, found) or ""
