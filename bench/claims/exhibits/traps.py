"""Tries each of `labs/traps` behind both interfaces on real servers, and keeps it in `results/reference/traps.json`.

    python -m bench.claims.exhibits.traps [--json]

tries all of them again (half a minute) and writes that file. What is said about a trap is made from what was measured.
"""

import json
import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import django
import msgspec
from rich.table import Table

from bench.base.console import run_program
from bench.base.files import ROOT
from bench.claims.exhibits.keep import exhibit_parser, keep
from bench.claims.exhibits.trap_checks import TRAP_CHECKS, Values, Visitor
from bench.measure.database.database import serving_database, source
from bench.measure.ports import free_port
from bench.measure.readiness import serving
from bench.model import run_store
from bench.model.stacks import parse_stack
from labs.traps.names import TRAPS

FILE = run_store.REFERENCE / "traps.json"
STACKS = {"wsgi": "traps_wsgi@gthread:16", "asgi": "traps_asgi@uvicorn"}


@dataclass(frozen=True)
class ViewOutcome:
    """One view behind one interface: what was measured, whether that shows harm, and the sentence that says it."""

    values: Values
    harmed: bool
    sentence: str


Outcomes = dict[str, dict[str, dict[str, ViewOutcome]]]
"""{trap: {door: {view: ViewOutcome}}}; a door is `wsgi` or `asgi`, a view `trap` or `instead`."""


def _try_view(visitor: Visitor, name: str, path: str) -> ViewOutcome:
    check = TRAP_CHECKS[name]
    values = check.measure(visitor, path)
    return ViewOutcome(values, check.shows_harm(values), check.describe(values))


@contextmanager
def visiting(door: str, environment: dict[str, str]) -> Iterator[Visitor]:
    """Visit a fresh server; it is killed afterwards, since one that hangs does not end when asked to."""
    stack, port = parse_stack(STACKS[door]), free_port()
    with serving(stack.command(port), port, environment=environment, grace_s=0) as server:
        visitor = Visitor(server)
        with visitor.client:
            yield visitor


def try_traps(
    names: Sequence[str] = TRAPS, on_progress: Callable[[int, str], None] = lambda done, line: None
) -> Outcomes:
    """Try the traps, first all behind one interface, then all behind the other, so that they do not slow each other.

    After each trap `on_progress` is called with the number of those tried and a line about the last one.
    """
    outcomes: Outcomes = {name: {} for name in names}
    with serving_database() as database:
        for door in STACKS:
            with visiting(door, database.environment) as visitor:
                for name in names:
                    # The cure first, so that what the trap leaves behind does not count against it.
                    cure = _try_view(visitor, name, f"/{name}/instead")
                    outcomes[name][door] = {"instead": cure, "trap": _try_view(visitor, name, f"/{name}")}
                    line = f"{name} behind {door.upper()}: {_harm(outcomes, name, door)}"
                    on_progress(sum(map(len, outcomes.values())), line)
    return outcomes


def _harm(outcomes: Outcomes, name: str, door: str) -> str:
    return "harm" if outcomes[name][door]["trap"].harmed else "fine"


def document(outcomes: Outcomes) -> dict[str, Any]:
    """Return what `traps.json` keeps: versions, database, stacks, and the outcomes."""
    return {
        "django": django.get_version(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "database": source().says,
        "stacks": STACKS,
        "traps": msgspec.to_builtins(outcomes),
    }


def load() -> Outcomes:
    """Load the kept outcomes."""
    return msgspec.convert(json.loads(FILE.read_text())["traps"], Outcomes)


def table(outcomes: Outcomes) -> Table:
    """Return a table with a row for each trap and interface."""
    shown = Table("trap", "door", "trap", "instead", title="Traps behind both doors")
    for name, doors in outcomes.items():
        for door, views in doors.items():
            shown.add_row(name, door, views["trap"].sentence, views["instead"].sentence)
    return shown


def overview(outcomes: Outcomes) -> str:
    """Return a Markdown table: which trap does harm behind which interface."""
    rows = [
        f"| `{name}` | " + " | ".join(_bold_harm(outcomes, name, door) for door in STACKS) + " |" for name in outcomes
    ]
    head = " | ".join(f"{door.upper()} (`{stack}`)" for door, stack in STACKS.items())
    return "\n".join([f"| trap | {head} |", "|---|---|---|", *rows])


def _bold_harm(outcomes: Outcomes, name: str, door: str) -> str:
    return "**harm**" if outcomes[name][door]["trap"].harmed else "fine"


def code_of(name: str) -> str:
    """Return the file of a trap without its docstring and imports."""
    text = (ROOT / "labs" / "traps" / f"{name}.py").read_text()
    found = re.search(r"^(?:async def|def|class|[A-Z_]+ =)", text, re.MULTILINE)
    assert found, f"{name} has no code"
    return text[found.start() :].replace("\n\n\n", "\n\n")


def compare_with_kept(mine: Outcomes, kept: Outcomes) -> str:
    """Say where the outcomes differ from the kept ones, above a Markdown table of all of mine."""
    tried = [(name, door) for name, doors in mine.items() for door in doors]
    others = [
        f"`{name}` behind {door.upper()}" for name, door in tried if _harm(mine, name, door) != _harm(kept, name, door)
    ]
    lines = [
        f"Not as it is kept: {', '.join(others)}."
        if others
        else "Each does harm where it is said to, and nowhere else.",
        "",
        "| trap | door | here | seen |",
        "|---|---|---|---|",
    ]
    for name, door in tried:
        sentence = mine[name][door]["trap"].sentence
        lines.append(f"| `{name}` | {door.upper()} | {_bold_harm(mine, name, door)} | {sentence} |")
    return "\n".join(lines)


def lesson_of(name: str, doors: dict[str, dict[str, ViewOutcome]]) -> str:
    """Return a trap as Markdown: what its file says, its code, and its outcome behind both interfaces."""
    text = (ROOT / "labs" / "traps" / f"{name}.py").read_text().split('"""')[1].strip()
    title, said = text.split("\n\n", 1)
    rows = [
        f"| {door.upper()} | {'**harm**: ' if trap.harmed else ''}{trap.sentence} | {views['instead'].sentence} |"
        for door, views in doors.items()
        for trap in [views["trap"]]
    ]
    head = "| door | `trap` | `instead` |\n|---|---|---|\n"
    points = re.sub(r"^(People write|What happens|Instead):", r"- **\1:**", said, flags=re.MULTILINE)
    return f"#### {title.rstrip('.')}\n\n{points}\n\n```python\n{code_of(name)}```\n\n{head}" + "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Try every trap behind both interfaces, write `traps.json`, and print it."""
    arguments = exhibit_parser("traps", __doc__ or "").parse_args(argv)
    return keep(document(try_traps()), FILE, lambda: table(load()), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(run_program(main))
