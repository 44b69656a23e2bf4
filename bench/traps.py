"""What each of `labs/traps` does behind each door, asked on real servers and kept in `results/reference/traps.json`.

    python -m bench.traps [--json]

asks all of them again (half a minute) and writes that file. What is said about a trap is made from what was measured.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import django
import httpx
import msgspec
from rich.table import Table

from bench import record
from bench.arguments import Parser
from bench.errors import ExitCode, NotRun
from bench.record import ROOT
from bench.servers import Server, clean_environment, free_port, serving
from bench.stacks import parse_stack
from bench.terminal import console, guarded, print_json
from labs.traps.names import TRAPS

FILE = record.REFERENCE / "traps.json"
STACKS = {"wsgi": "traps_wsgi@gthread:16", "asgi": "traps_asgi@uvicorn"}
HANGS_AFTER_S = 1.5
CALLERS, BLOCKED_MS, OTHER_AFTER_S, OTHER_BLOCKED_MS = 10, 100, 0.1, 500
QUERIES, QUERY_MS = 5, 100
EVENTS, PAUSE_MS = 4, 100
VISITS = 40
ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Operation)): ", re.MULTILINE)
Values = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """One view behind one door: what was measured, whether that is the harm, and the sentence that says it."""

    values: Values
    harmed: bool
    sentence: str


class Visitor:
    """A client of one server: keeps its cookies, gives up after a time limit, reads what the server logged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.url, trust_env=False, timeout=30)

    def status(self, path: str) -> Values:
        """The status, None where no answer came in time, and the error that the server logged for it."""
        log_bytes = self.server.log.stat().st_size
        try:
            status = self.client.get(path, timeout=HANGS_AFTER_S).status_code
        except httpx.ReadTimeout:
            return {"status": None, "waited_s": HANGS_AFTER_S}
        logged = self.server.log.read_bytes()[log_bytes:].decode(errors="replace")
        return {"status": status} | ({"error": ERROR.findall(logged)[-1]} if status == 500 else {})

    def took_ms(self, path: str) -> int:
        began_s = time.monotonic()
        self.client.get(path).raise_for_status()
        return _ms_since(began_s)

    def census(self) -> Values:
        return dict(self.client.get("/census").raise_for_status().json())


def _ms_since(began_s: float) -> int:
    return int((time.monotonic() - began_s) * 1000)


def look_at_answer(visitor: Visitor, path: str) -> Values:
    return visitor.status(path)


def look_signed_in(visitor: Visitor, path: str) -> Values:
    visitor.client.cookies.clear()
    anonymous = visitor.status(path)["status"]
    visitor.client.get("/sign_in")
    return {"anonymous_status": anonymous, **visitor.status(path)}


def look_at_page(visitor: Visitor, path: str) -> Values:
    seen = visitor.status(path)
    if path.endswith("/instead"):
        return seen
    silent = visitor.client.get(f"{path}/silent")
    return {**seen, "silent_status": silent.status_code, "silent_text": re.sub("<.*?>", "", silent.text).strip()}


def look_at_crowd(visitor: Visitor, path: str) -> Values:
    """How many callers are inside at once, how long all take, and how long another page takes meanwhile."""
    visitor.census()
    with ThreadPoolExecutor(CALLERS) as pool:
        began_s = time.monotonic()
        list(pool.map(visitor.took_ms, [f"{path}?ms={BLOCKED_MS}"] * CALLERS))
        took_ms = _ms_since(began_s)
        inside_most = visitor.census()["inside_most"]
        pool.submit(visitor.took_ms, f"{path}?ms={OTHER_BLOCKED_MS}")
        time.sleep(OTHER_AFTER_S)
        other_ms = visitor.took_ms("/ready")
    return {
        "callers": CALLERS,
        "blocked_ms": BLOCKED_MS,
        "inside_most": inside_most,
        "took_ms": took_ms,
        "other_blocked_ms": OTHER_BLOCKED_MS,
        "other_ms": other_ms,
    }


def look_at_queries(visitor: Visitor, path: str) -> Values:
    before = visitor.census()
    took_ms = visitor.took_ms(f"{path}?n={QUERIES}&ms={QUERY_MS}")
    after = visitor.census()
    return {
        "queries": QUERIES,
        "query_ms": QUERY_MS,
        "took_ms": took_ms,
        "threads": after["threads_asking"],
        "connections": after["opened"] - before["opened"],
    }


def look_at_connections(visitor: Visitor, path: str) -> Values:
    """One visitor who asks again and again: connections opened, and the most that were open between two requests."""
    before, open_most = visitor.census(), 0
    for _ in range(VISITS):
        visitor.took_ms(path)
        after = visitor.census()
        open_most = max(open_most, after["open"] - before["open"])
    return {"requests": VISITS, "connections": after["opened"] - before["opened"], "open_most": open_most}


def look_at_streams(visitor: Visitor, path: str) -> Values:
    """The stream of a path; of the trap also the one from an async iterator, whatever the door."""
    seen = look_at_stream(visitor, path)
    if path.endswith("/instead"):
        return seen
    return {**seen, "async_iterator": look_at_stream(visitor, f"{path}/behind_wsgi")}


def look_at_stream(visitor: Visitor, path: str) -> Values:
    """When the first byte of the body came, and whether its source was still at work then."""
    began_s = time.monotonic()
    with visitor.client.stream("GET", f"{path}?n={EVENTS}&ms={PAUSE_MS}") as response:
        headers_ms = _ms_since(began_s)
        parts = response.iter_bytes()
        next(parts)
        first_ms, still_made = _ms_since(began_s), visitor.census()["inside_now"] > 0
        list(parts)
    return {
        "events": EVENTS,
        "pause_ms": PAUSE_MS,
        "headers_ms": headers_ms,
        "first_byte_ms": first_ms,
        "took_ms": _ms_since(began_s),
        "still_made": still_made,
    }


def tell_answer(values: Values) -> str:
    if values["status"] is None:
        return f"no answer within {values['waited_s']} s"
    return f"answers {values['status']}" + (f", `{values['error']}`" if "error" in values else "")


def tell_signed_in(values: Values) -> str:
    return f"anonymous: answers {values['anonymous_status']}; signed in: {tell_answer(values)}"


def tell_page(values: Values) -> str:
    if "silent_text" not in values:
        return tell_answer(values)
    silent = f"answers {values['silent_status']}, “{values['silent_text']}”"
    return f"in a `for`: {tell_answer(values)}; compared in an `if`: {silent}"


def tell_crowd(values: Values) -> str:
    return (
        f"{values['callers']} callers who wait {values['blocked_ms']} ms: at most {values['inside_most']} inside at "
        f"once, {values['took_ms']:,} ms in all; another page, asked during {values['other_blocked_ms']} ms of it, "
        f"took {values['other_ms']:,} ms"
    )


def tell_queries(values: Values) -> str:
    return (
        f"{values['queries']} queries of {values['query_ms']} ms: {values['took_ms']:,} ms, "
        f"{_counted(values['threads'], 'thread')}, {_counted(values['connections'], 'connection')}"
    )


def tell_connections(values: Values) -> str:
    return (
        f"{values['requests']} requests, one after the other: {_counted(values['connections'], 'connection')} opened, "
        f"at most {values['open_most']} open between two requests"
    )


def tell_streams(values: Values) -> str:
    told = f"{values['events']} events, one each {values['pause_ms']} ms: {_first_byte(values)}"
    other = values.get("async_iterator")
    return told + (f"; from an async iterator: {_first_byte(other)}" if other else "")


def _first_byte(values: Values) -> str:
    when = "while the next are" if values["still_made"] else "when all were"
    return f"first byte of the body after {values['first_byte_ms']:,} ms, {when} made"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def does_not_answer(values: Values) -> bool:
    return bool(values["status"] != 200)


def stands_in_line(values: Values) -> bool:
    return bool(values["inside_most"] == 1)


def asks_in_turn(values: Values) -> bool:
    return bool(values["threads"] == 1)


def leaves_open(values: Values) -> bool:
    """Connections pile up although one request is served at a time, and none is used again."""
    return bool(values["connections"] >= values["requests"] and values["open_most"] > 1)


def comes_late(values: Values) -> bool:
    return not values["still_made"]


@dataclass(frozen=True)
class Way:
    """How a trap is looked at, told, and known to have done its harm."""

    look: Callable[[Visitor, str], Values] = look_at_answer
    tell: Callable[[Values], str] = tell_answer
    harms: Callable[[Values], bool] = does_not_answer


ANSWER = Way()
WAYS = {
    "asyncio_run_in_sync_view": ANSWER,
    "sync_orm_in_async_view": ANSWER,
    "lazy_queryset_in_template": Way(look_at_page, tell_page),
    "request_user_in_async_view": Way(look_signed_in, tell_signed_in),
    "blocking_in_async_view": Way(look_at_crowd, tell_crowd, stands_in_line),
    "gather_is_serial": Way(look_at_queries, tell_queries, asks_in_turn),
    "conn_max_age_leak": Way(look_at_connections, tell_connections, leaves_open),
    "sync_stream_under_asgi": Way(look_at_streams, tell_streams, comes_late),
    "context_token_across_hop": ANSWER,
}


def seen_at(visitor: Visitor, name: str) -> dict[str, Seen]:
    """Both views of a trap; the cure first, so that what the trap leaves behind does not count against it."""
    return {"instead": _seen(visitor, name, f"/{name}/instead"), "trap": _seen(visitor, name, f"/{name}")}


def _seen(visitor: Visitor, name: str, path: str) -> Seen:
    way = WAYS[name]
    values = way.look(visitor, path)
    return Seen(values, way.harms(values), way.tell(values))


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """The variables that name a prepared database, gone afterwards. NotRun where it cannot be prepared."""
    with tempfile.TemporaryDirectory(prefix="lab-traps-") as folder:
        environment = {"LAB_DATABASE_URL": f"sqlite:///{folder}/traps.sqlite3"}
        command = [sys.executable, "-m", "labs.common.shop.prepare"]
        done = subprocess.run(
            command, cwd=ROOT, env=clean_environment(environment), capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise NotRun(f"The database of the traps could not be prepared: {done.stderr.strip()[-300:]}")
        yield environment


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
    with database() as environment:
        for door in STACKS:
            with visiting(door, environment) as visitor:
                for name in names:
                    found[name][door] = seen_at(visitor, name)
    return found


def document(found: dict[str, dict[str, dict[str, Seen]]]) -> dict[str, Any]:
    return {
        "django": django.get_version(),
        "python": ".".join(platform.python_version_tuple()[:2]),
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
