"""What the notebooks share: the run to show, predictions beside measured numbers, tables, and checks of answers."""

import ast
import difflib
import os
from collections.abc import Iterable, Sequence
from functools import cache

from bench.analyse import stats
from bench.analyse.findings import findings_of
from bench.analyse.rows import Row, rows_of
from bench.base.errors import UsageError
from bench.base.files import HOME, ROOT
from bench.model import run_store
from bench.model.load import Closed
from bench.model.run_record import Run
from bench.model.stacks import parse_stack
from bench.model.trial_record import Reason, Trial
from bench.model.workloads import parse_request
from bench.show.tables.markdown import finding_point, markdown_line

RESULTS_VARIABLE, LATEST = "LAB_RESULTS", "latest"
NOT_MEASURED = "not measured in this run; `--profile standard` measures all that this lesson shows"


def run_to_show(experiment: str) -> Run:
    """Read the run that a lesson shows: the reference run, or with LAB_RESULTS the reader's own.

    LAB_RESULTS names a run. If that is a run of another experiment, or `latest` before any run, the newest run of this
    one in results/local is shown, and the reference run where there is none. A path may start at the top of the
    project, because a notebook runs in a folder of its own.
    """
    named = os.environ.get(RESULTS_VARIABLE)
    if not named:
        return reference(experiment)
    from_top = HOME / named
    if from_top.name != LATEST or (run_store.LOCAL / LATEST).exists():
        run = run_store.load_run(run_store.find_run(str(from_top) if from_top.exists() else named))
        if run.experiment == experiment:
            return run
    newest = run_store.newest_local_run(experiment)
    return run_store.load_run(newest) if newest else reference(experiment)


@cache
def reference(experiment: str) -> Run:
    """Read the committed run of the experiment."""
    return run_store.load_run(run_store.REFERENCE / experiment)


def describe_run(run: Run) -> str:
    """Sentences that say whose run this is and how it was made, and how to make one's own."""
    is_reference = run is reference(run.experiment)
    whose = "The reference run" if is_reference else "Your run"
    restarts = f"{run.plan.repeats} restart{'' if run.plan.repeats == 1 else 's'}"
    made = f"{run.started_at[:10]}, profile {run.profile}, {restarts} of the server for each point, in random order"
    django = (run.environment.get("packages") or {}).get("django") or "of a version not known"
    none_yet = (
        f" There is no run of yours of this experiment: `lab run {run.experiment} --profile standard` makes one."
        if is_reference and os.environ.get(RESULTS_VARIABLE)
        else ""
    )
    return f"{whose} of `{run.experiment}`: {made}, Django {django}.{none_yet}"


class Rows(dict[tuple[str, str, int], Row]):
    """The rows of a run by stack, request and number of users or connections. A missing one was not measured.

    `cores`: only those whose server was given so many.
    """

    def __init__(self, run: Run, cores: int | None = None) -> None:
        found = [row for row in rows_of(run) if cores in (None, row.given_cores)]
        super().__init__({(row.stack, row.request, row.users or row.trial.connections or 0): row for row in found})
        self.cores = cores

    def crowd(self, request: str, most: int) -> int:
        """The largest number of users, up to `most`, for which the run has a row of the request."""
        return max((count for _, name, count in self if name == request and count <= most), default=most)

    def __missing__(self, key: tuple[str, str, int]) -> Row:
        stack, request, users = key
        wanted = parse_request(request)
        trial = Trial(
            stack, wanted.workload.name, dict(wanted.parameters), [], users, 0,
            server_cores=self.cores, reasons=[Reason("not-run", f"{NOT_MEASURED[0].upper()}{NOT_MEASURED[1:]}.")],
            io_wait_s=wanted.io_wait_s(parse_stack(stack)), slots=wanted.slots(parse_stack(stack)),
        )  # fmt: skip
        return Row(stack, request, (), Closed(users), (trial,))


def both_loops(run: Run) -> tuple[Row, Row]:
    """The measured rows of a run with an open and with a closed loop. UsageError if one of them has no numbers."""
    found = {row.is_open: row for row in rows_of(run) if row.measured}
    if len(found) < 2:
        raise UsageError(
            f"This run of {run.experiment} lacks numbers of an open or of a closed loop: measure it again with "
            f"`lab run {run.experiment}`, or leave {RESULTS_VARIABLE} unset."
        )
    return found[True], found[False]


def fewest_and_most_answers(row: Row) -> tuple[float, float] | None:
    """Return the fewest and the most answers in one slice of a window, medians over restarts; None if none were kept.

    A slice is `answered_every_s` of the trial; the last one of a window, which may be shorter, does not count.
    """
    windows = [trial.answered[: int(trial.duration_s / trial.answered_every_s)] for trial in row.measured]
    whole = [window for window in windows if window]
    if not whole:
        return None
    return stats.median_of([min(window) for window in whole]), stats.median_of([max(window) for window in whole])


def users_in_step_per_s(row: Row) -> float | None:
    """Return N / (L + N S) in requests/s: all N users wait L together, then one core serves them one by one."""
    cpu_us = row.median("cpu_us_per_request")
    return None if cpu_us is None else row.users / (row.io_wait_s + row.users * cpu_us / 1e6)


def factor_of(before: Row, after: Row, measure: str) -> float | None:
    """Return by which factor the median of a measure changes from one row to the other; None where one is missing."""
    first, second = before.median(measure), after.median(measure)
    return second / first if first and second else None


def compare(prediction: float | None, measured: float | None, unit: str) -> str:
    """A sentence with the learner's number and the measured one, which is shown only after a prediction."""
    if prediction is None:
        return "No prediction yet: put a number into the cell above and run both again."
    found = NOT_MEASURED if measured is None else f"measured: {measured:,.0f} {unit}"
    factor = f" Yours is {prediction / measured:.2f} times that." if measured else ""
    return f"You said {prediction:,.0f} {unit}; {found}.{factor}"


def check(answer: float | None, right: float | None, unit: str = "", within: float = 0.1) -> str:
    """A sentence: the learner's answer is right within that share, or in which direction the right one lies."""
    if right is None:
        return f"What the check needs was {NOT_MEASURED}."
    if answer is None:
        return "No answer yet: put a number into the cell above and run both again."
    if abs(answer - right) > within * abs(right):
        return f"Not yet: it is {'less' if answer > right else 'more'} than {answer:,g} {unit}".strip() + "."
    return f"Right: {right:,.3g} {unit}".strip() + "."


def findings(run: Run, about: str = "") -> str:
    """The findings of a run, or of its claims that contain that text, as a list in Markdown."""
    found = [finding for finding in findings_of(run) if about in str(finding.claim)]
    return "\n".join(map(finding_point, found)) or f"This run has nothing to say to a claim: {NOT_MEASURED}."


def table(headings: str, rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; `|` separates the headings, and a colon after one aligns its column to the right."""
    names = [name.strip() for name in headings.split("|")]
    rule = "|".join("--:" if name.endswith(":") else ":--" for name in names)
    lines = [markdown_line([str(cell) for cell in row]) for row in rows]
    return "\n".join([markdown_line([name.rstrip(":") for name in names]), f"|{rule}|", *lines])


def difference_in(view: str, left: str, right: str) -> str:
    """The difference in one view between two labs, line by line as in `lab diff`."""
    return difference(*(source_of(f"labs/{lab}/views.py", view) for lab in (left, right)))


def difference(before: str, after: str) -> str:
    """The difference between two texts, line by line as in `lab diff`."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def source_of(path: str, name: str) -> str:
    """The source of a function or class of a file; `path` starts at the top of the project."""
    text = (ROOT / path).read_text()
    (found,) = (part for part in ast.parse(text).body if getattr(part, "name", "") == name)
    return ast.get_source_segment(text, found) or ""
