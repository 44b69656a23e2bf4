"""`lab check`: runs a learner's file of `labs/exercises` on real servers, and says what to look at next.

`checks.py` has the check of each exercise; `visits.py` sends the requests, `learner_code.py` imports the file.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.base.errors import ExitCode, NotRun, UsageError, nearest
from bench.base.files import ROOT
from bench.learn.exercises.checks import BOTH_DOORS, CHECKS, FUNCTIONS
from bench.learn.exercises.learner_code import require_importable
from bench.learn.exercises.visits import CheckResult, NotYet, Subject
from labs.exercises.project.names import EXERCISES

STATES = {"pass": "[green]pass[/]", "not yet": "[yellow]not yet[/]", "skipped": "[dim]skipped[/]"}


@dataclass(frozen=True)
class CheckedFile:
    """One file and the result of its check."""

    name: str
    file: str
    result: CheckResult

    def to_json(self) -> dict[str, Any]:
        """Return name, file, state, sentences and numbers as JSON data."""
        return {"name": self.name, "file": self.file, **asdict(self.result)}


def subject_of(name: str, *, solution: bool = False) -> Subject:
    """The learner's file or the solution; UsageError with the nearest names for an unknown exercise."""
    if name not in EXERCISES:
        raise UsageError(f"Unknown exercise {name!r}: {nearest(name, EXERCISES)}")
    folder = "solutions" if solution else "exercises"
    return Subject(name, f"labs.{folder}.{name}", ROOT / "labs" / folder / f"{name}.py")


def check_file(subject: Subject) -> CheckResult:
    """Check one file; skipped if this machine does not allow it."""
    if not subject.file.exists():
        path = _path_of(subject)
        return CheckResult("not yet", f"There is no file {path}.", f"`git checkout {path}` brings it back.")
    try:
        if subject.name not in FUNCTIONS:
            require_importable(subject, ["asgi", "wsgi"] if subject.name in BOTH_DOORS else ["asgi"])
        return CHECKS[subject.name](subject)
    except NotYet as stopped:
        return stopped.result
    except NotRun as error:
        return CheckResult("skipped", str(error))


def check(
    name: str | None, *, solution: bool = False, before: Callable[[str], None] = lambda name: None
) -> list[CheckedFile]:
    """Check the named exercise, or all of them in turn; call `before` with the name of each."""
    checked = []
    for subject in [subject_of(each, solution=solution) for each in ([name] if name else EXERCISES)]:
        before(subject.name)
        checked.append(CheckedFile(subject.name, _path_of(subject), check_file(subject)))
    return checked


def _path_of(subject: Subject) -> str:
    return str(subject.file.relative_to(ROOT) if subject.file.is_relative_to(ROOT) else subject.file)


def code_of(checked: Sequence[CheckedFile]) -> ExitCode:
    """1 if one does not pass yet, 3 if none could be checked here, else 0."""
    states = {each.result.state for each in checked}
    if "not yet" in states:
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if states == {"skipped"} else ExitCode.FINE


def show(checked: Sequence[CheckedFile], console: Console) -> None:
    """Print one exercise in up to three lines, several as a table."""
    if len(checked) > 1:
        table = Table("exercise", "state", "what was seen", box=None, padding=(0, 2, 0, 0))
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        for each in checked:
            table.add_row(each.name, STATES[each.result.state], escape(each.result.seen))
        console.print(table)
        return
    result = checked[0].result
    lines = (f"[bold]{STATES[result.state]}[/]  {checked[0].file}", escape(result.seen), escape(result.look_at))
    for line in filter(None, lines):
        console.print(line, highlight=False, soft_wrap=True)
