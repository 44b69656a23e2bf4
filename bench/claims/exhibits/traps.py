"""What each of `labs/traps` does behind each door, asked on real servers and kept in `results/reference/traps.json`.

    python -m bench.claims.exhibits.traps [--json]

asks all of them again (half a minute) and writes that file. What is said about a trap is made from what was measured.
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

from bench.base import files
from bench.base.console import console, guarded, print_json
from bench.base.errors import ExitCode
from bench.base.files import ROOT
from bench.base.options import Parser
from bench.claims.exhibits.trap_checks import WAYS, Values, Visitor
from bench.measure.database.database import serving_database, source
from bench.measure.ports import free_port
from bench.measure.readiness import serving
from bench.model import run_store
from bench.model.stacks import parse_stack
from labs.traps.names import TRAPS

FILE = run_store.REFERENCE / "traps.json"
STACKS = {"wsgi": "traps_wsgi@gthread:16", "asgi": "traps_asgi@uvicorn"}


@dataclass(frozen=True)
class Seen:
    """One view behind one door: what was measured, whether that is the harm, and the sentence that says it."""

    values: Values
    harmed: bool
    sentence: str


Found = dict[str, dict[str, dict[str, Seen]]]
"""{trap: {door: {view: Seen}}}"""


def seen_at(visitor: Visitor, name: str) -> dict[str, Seen]:
    """Both views of a trap; the cure first, so that what the trap leaves behind does not count against it."""
    return {"instead": _seen(visitor, name, f"/{name}/instead"), "trap": _seen(visitor, name, f"/{name}")}


def _seen(visitor: Visitor, name: str, path: str) -> Seen:
    way = WAYS[name]
    values = way.look(visitor, path)
    return Seen(values, way.harms(values), way.tell(values))


@contextmanager
def visiting(door: str, environment: dict[str, str]) -> Iterator[Visitor]:
    """A visitor of a fresh server; it is killed afterwards, since one that hangs does not end when asked."""
    stack, port = parse_stack(STACKS[door]), free_port()
    with serving(stack.command(port), port, environment=environment, grace_s=0) as server:
        visitor = Visitor(server)
        with visitor.client:
            yield visitor


def ask_all(names: Sequence[str] = TRAPS, tell: Callable[[int, str], None] = lambda done, line: None) -> Found:
    """Ask the traps; the doors one after the other, so that they do not slow each other. After each question `tell`
    hears how many have been asked and what was seen last.
    """
    found: Found = {name: {} for name in names}
    with serving_database() as database:
        for door in STACKS:
            with visiting(door, database.environment) as visitor:
                for name in names:
                    found[name][door] = seen_at(visitor, name)
                    tell(sum(map(len, found.values())), f"{name} behind {door.upper()}: {_harm(found, name, door)}")
    return found


def _harm(found: Found, name: str, door: str) -> str:
    return "harm" if found[name][door]["trap"].harmed else "fine"


def document(found: Found) -> dict[str, Any]:
    """Return what is kept in `traps.json`: versions, database, stacks, and what was found."""
    return {
        "django": django.get_version(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "database": source().says,
        "stacks": STACKS,
        "traps": msgspec.to_builtins(found),
    }


def load() -> Found:
    """What is kept, as `ask_all` gave it."""
    return msgspec.convert(json.loads(FILE.read_text())["traps"], Found)


def table(found: Found) -> Table:
    """Return a table with a row for each trap and door."""
    shown = Table("trap", "door", "trap", "instead", title="Traps behind both doors")
    for name, doors in found.items():
        for door, views in doors.items():
            shown.add_row(name, door, views["trap"].sentence, views["instead"].sentence)
    return shown


def overview(found: Found) -> str:
    """Which trap does harm behind which door, as Markdown."""
    rows = [f"| `{name}` | " + " | ".join(_bold(_harm(found, name, door)) for door in STACKS) + " |" for name in found]
    head = " | ".join(f"{door.upper()} (`{stack}`)" for door, stack in STACKS.items())
    return "\n".join([f"| trap | {head} |", "|---|---|---|", *rows])


def code_of(name: str) -> str:
    """The file of a trap without its docstring and imports."""
    text = (ROOT / "labs" / "traps" / f"{name}.py").read_text()
    found = re.search(r"^(?:async def|def|class|[A-Z_]+ =)", text, re.MULTILINE)
    assert found, f"{name} has no code"
    return text[found.start() :].replace("\n\n\n", "\n\n")


def beside(mine: Found, kept: Found) -> str:
    """What was seen behind each door now, under a sentence that says where it is not what is kept, as Markdown."""
    lines = [
        f"| `{name}` | {door.upper()} | {_bold(_harm(mine, name, door))} | {views['trap'].sentence} |"
        for name, doors in mine.items()
        for door, views in doors.items()
    ]
    others = [
        f"`{name}` behind {door.upper()}" for name in mine for door in mine[name] if _differs(name, door, mine, kept)
    ]
    told = (
        f"Not as it is kept: {', '.join(others)}."
        if others
        else "Each does harm where it is said to, and nowhere else."
    )
    return "\n".join([f"{told}\n\n| trap | door | here | seen |\n|---|---|---|---|", *lines])


def _bold(harm: str) -> str:
    return f"**{harm}**" if harm == "harm" else harm


def _differs(name: str, door: str, mine: Found, kept: Found) -> bool:
    return _harm(mine, name, door) != _harm(kept, name, door)


def lesson_of(name: str, doors: dict[str, dict[str, Seen]]) -> str:
    """A trap as Markdown: what its file says, its code, and what was seen behind both doors."""
    text = (ROOT / "labs" / "traps" / f"{name}.py").read_text().split('"""')[1].strip()
    title, said = text.split("\n\n", 1)
    rows = [
        f"| {door.upper()} | {'**harm**: ' if seen.harmed else ''}{seen.sentence} | {views['instead'].sentence} |"
        for door, views in doors.items()
        for seen in [views["trap"]]
    ]
    head = "| door | `trap` | `instead` |\n|---|---|---|\n"
    points = re.sub(r"^(People write|What happens|Instead):", r"- **\1:**", said, flags=re.MULTILINE)
    return f"#### {title.rstrip('.')}\n\n{points}\n\n```python\n{code_of(name)}```\n\n{head}" + "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Ask every trap behind both doors, write `traps.json`, and print it."""
    parser = Parser(prog="python -m bench.claims.exhibits.traps", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    as_json = parser.parse_args(argv).json
    found = ask_all()
    kept = document(found)
    files.write_atomically(FILE, (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode())
    if as_json:
        return print_json(kept)
    console().print(table(found))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
