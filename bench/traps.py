"""What each of `labs/traps` does behind each door, asked on real servers and kept in `results/reference/traps.json`.

    python -m bench.traps [--json]

asks all of them again (half a minute) and writes that file. What is said about a trap is made from what was measured.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import django
import msgspec
from rich.table import Table

from bench import record
from bench.arguments import Parser
from bench.database import serving_database, source
from bench.errors import ExitCode
from bench.record import ROOT
from bench.servers import free_port, serving
from bench.stacks import parse_stack
from bench.terminal import console, guarded, print_json
from bench.trap_ways import WAYS, Values, Visitor
from labs.traps.names import TRAPS

FILE = record.REFERENCE / "traps.json"
STACKS = {"wsgi": "traps_wsgi@gthread:16", "asgi": "traps_asgi@uvicorn"}


@dataclass(frozen=True)
class Seen:
    """One view behind one door: what was measured, whether that is the harm, and the sentence that says it."""

    values: Values
    harmed: bool
    sentence: str


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


def ask_all(names: Sequence[str] = TRAPS) -> dict[str, dict[str, dict[str, Seen]]]:
    """{trap: {door: {view: Seen}}}; the doors one after the other, so that they do not slow each other."""
    found: dict[str, dict[str, dict[str, Seen]]] = {name: {} for name in names}
    with serving_database() as database:
        for door in STACKS:
            with visiting(door, database.environment) as visitor:
                for name in names:
                    found[name][door] = seen_at(visitor, name)
    return found


def document(found: dict[str, dict[str, dict[str, Seen]]]) -> dict[str, Any]:
    return {
        "django": django.get_version(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "database": source().says,
        "stacks": STACKS,
        "traps": msgspec.to_builtins(found),
    }


def load() -> dict[str, dict[str, dict[str, Seen]]]:
    """What is kept, as `ask_all` gave it."""
    return msgspec.convert(json.loads(FILE.read_text())["traps"], dict[str, dict[str, dict[str, Seen]]])


def table(found: dict[str, dict[str, dict[str, Seen]]]) -> Table:
    shown = Table("trap", "door", "trap", "instead", title="Traps behind both doors")
    for name, doors in found.items():
        for door, views in doors.items():
            shown.add_row(name, door, views["trap"].sentence, views["instead"].sentence)
    return shown


def overview(found: dict[str, dict[str, dict[str, Seen]]]) -> str:
    """Which trap does harm behind which door, as Markdown."""
    rows = [
        f"| `{name}` | " + " | ".join("**harm**" if doors[door]["trap"].harmed else "fine" for door in STACKS) + " |"
        for name, doors in found.items()
    ]
    head = " | ".join(f"{door.upper()} (`{stack}`)" for door, stack in STACKS.items())
    return "\n".join([f"| trap | {head} |", "|---|---|---|", *rows])


def code_of(name: str) -> str:
    """The file of a trap without its docstring and imports."""
    text = (ROOT / "labs" / "traps" / f"{name}.py").read_text()
    found = re.search(r"^(?:async def|def|class|[A-Z_]+ =)", text, re.MULTILINE)
    assert found, f"{name} has no code"
    return text[found.start() :].replace("\n\n\n", "\n\n")


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
    return f"### {title}\n\n{points}\n\n```python\n{code_of(name)}```\n\n{head}" + "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m bench.traps", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    as_json = parser.parse_args(argv).json
    found = ask_all()
    kept = document(found)
    record.write_atomically(FILE, (json.dumps(kept, indent=1, ensure_ascii=False) + "\n").encode())
    if as_json:
        return print_json(kept)
    console().print(table(found))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
