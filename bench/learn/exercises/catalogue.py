"""`lab check`: what a learner's file in `labs/exercises` does, seen on real servers, and what to look at next.

What each exercise is checked for is in `checks.py`; how it is asked, in `visits.py` and
`learner_code.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.base.errors import ExitCode, NotRun, UsageError, nearest
from bench.base.files import ROOT
from bench.learn.exercises.checks import BOTH_DOORS, FUNCTIONS, WAYS
from bench.learn.exercises.learner_code import require_importable
from bench.learn.exercises.visits import NotYet, Seen, Subject
from labs.exercises.project.names import EXERCISES

FOLDERS = {False: "exercises", True: "solutions"}
COLOURS = {"pass": "green", "not yet": "yellow", "skipped": "dim"}


@dataclass(frozen=True)
class Found:
    """One file and what its check saw."""

    name: str
    file: str
    result: Seen

    def to_json(self) -> dict[str, Any]:
        """Return name, file, state, sentences and numbers as JSON data."""
        return {"name": self.name, "file": self.file, **asdict(self.result)}


def subject_of(name: str, *, solution: bool = False) -> Subject:
    """The learner's file or the solution; UsageError with the nearest names for an unknown exercise."""
    if name not in EXERCISES:
        raise UsageError(f"Unknown exercise {name!r}: {nearest(name, EXERCISES)}")
    folder = FOLDERS[solution]
    return Subject(name, f"labs.{folder}.{name}", ROOT / "labs" / folder / f"{name}.py")


def seen_of(subject: Subject) -> Seen:
    """The check of one file; skipped where this machine does not allow it."""
    if not subject.file.exists():
        back = f"`git checkout {_shown(subject)}` brings it back."
        return Seen("not yet", f"There is no file {_shown(subject)}.", back)
    try:
        if subject.name not in FUNCTIONS:
            require_importable(subject, ["asgi", "wsgi"] if subject.name in BOTH_DOORS else ["asgi"])
        return WAYS[subject.name](subject)
    except NotYet as stopped:
        return stopped.reason
    except NotRun as error:
        return Seen("skipped", str(error))


def check(
    name: str | None, *, solution: bool = False, before: Callable[[str], None] = lambda name: None
) -> list[Found]:
    """The named exercise, or all of them one after the other; `before` is told each name."""
    found = []
    for subject in [subject_of(each, solution=solution) for each in ([name] if name else EXERCISES)]:
        before(subject.name)
        found.append(Found(subject.name, _shown(subject), seen_of(subject)))
    return found


def _shown(subject: Subject) -> str:
    return str(subject.file.relative_to(ROOT)) if subject.file.is_relative_to(ROOT) else str(subject.file)


def code_of(found: Sequence[Found]) -> ExitCode:
    """1 where one does not pass yet, 3 where none could be checked here, else 0."""
    states = {each.result.state for each in found}
    if "not yet" in states:
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if states == {"skipped"} else ExitCode.FINE


def show(found: Sequence[Found], console: Console) -> None:
    """One exercise in three lines, several as a table."""
    if len(found) > 1:
        console.print(table(found))
        return
    (only,) = found
    result = only.result
    state = f"[bold {COLOURS[result.state]}]{result.state}[/]"
    for line in filter(None, (f"{state}  {only.file}", escape(result.seen), escape(result.look_at))):
        console.print(line, highlight=False, soft_wrap=True)


def table(found: Sequence[Found]) -> Table:
    """Return a table with a row for each exercise."""
    shown = Table("exercise", "state", "what is seen", box=None, padding=(0, 2, 0, 0))
    shown.columns[0].no_wrap = shown.columns[1].no_wrap = True
    for each in found:
        state = each.result.state
        shown.add_row(each.name, f"[{COLOURS[state]}]{state}[/]", escape(each.result.seen))
    return shown
