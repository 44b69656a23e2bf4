"""How the exercise `plateau` is checked: its numbers beside those of a reference run, and of a server here and now.

A ceiling is right where it is the theory's, also for a server that no run has seen. What that server gives is told
beside it and not judged: other programs may have kept it from more.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.analyse import queueing
from bench.analyse.rows import Row, rows_of
from bench.base.errors import NotRun
from bench.learn.exercises.learner_code import called
from bench.learn.exercises.visits import NotYet, Seen, Subject
from bench.measure import cpu_placement, process_usage
from bench.measure.load.http_stream import Address
from bench.measure.readiness import RunningServer, serving_stack
from bench.model import run_store
from bench.model.stacks import parse_stack

FUNCTION = "plateau_per_s"
ALIKE = 0.01
PREDICTED = "io_wait"
STACK, THREADS, USERS, WAIT_MS = "sync_wsgi@gthread:4", 4, 16, 100
WARM_UP_S, WINDOW_S, ANSWERED_WITHIN_S = 0.5, 3.0, 10.0
MISSING = 0.2
BUSY = "What is missing there, other programs on this machine have taken: `lab doctor` says who is busy."
"""Said where more than this share of a right ceiling is missing."""


def plateau(subject: Subject) -> Seen:
    """Ask the learner's function for the limit of each kept point and of a server measured now.

    Raises NotYet if one of them is wrong by more than ALIKE."""
    rows = [row for row in rows_of(run_store.load_run(run_store.REFERENCE / PREDICTED)) if row.measured]
    cases = [{"users": row.users, "threads": row.slots, "wait_s": row.io_wait_s, "cpu_s": _cpu_s(row)} for row in rows]
    said = called(subject, FUNCTION, cases)
    wrong = [place for place, row in enumerate(rows) if not _alike(said[place], _limit_per_s(row))]
    window = measured()
    said_here = called(subject, FUNCTION, [window.case])[0]
    numbers = {"trials": len(rows), "right": len(rows) - len(wrong), "here_per_s": window.per_s}
    seen = f"Right for {numbers['right']} of {len(rows)} points of the run {PREDICTED}."
    here = _told_here(window, said_here)
    if wrong:
        first = rows[wrong[0]]
        raise NotYet(f"{seen} {_told_wrong(first, said[wrong[0]])} {here}", _BOUND[_ceiling(first)], **numbers)
    if not _alike(said_here, window.limit_per_s):
        look_at = "Look for what is special in the points of the run: every server has a ceiling."
        raise NotYet(f"{seen} {here}", look_at, **numbers)
    busy = f" {BUSY}" if window.per_s < (1 - MISSING) * window.limit_per_s else ""
    return Seen("pass", f"{seen} {_told_right(rows)} {here}{busy}", numbers=numbers)


@dataclass(frozen=True)
class Window:
    """What one server with few threads gave to many users here and now, and the CPU time that a request cost it."""

    completed: int
    took_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Return the requests answered per second."""
        return self.completed / self.took_s

    @property
    def case(self) -> dict[str, Any]:
        """What the exercise's function is asked."""
        return {"users": USERS, "threads": THREADS, "wait_s": WAIT_MS / 1000, "cpu_s": self.cpu_s}

    @property
    def limit_per_s(self) -> float:
        """Return the limit by theory for this server, in requests per second; see `queueing.limit_per_s`."""
        return queueing.limit_per_s(users=USERS, threads=THREADS, io_wait_s=WAIT_MS / 1000, cpu_s=self.cpu_s)


def measured() -> Window:
    """USERS who ask again and again, for WINDOW_S. NotRun where the server no longer answers."""
    with serving_stack(parse_stack(STACK), cpus=cpu_placement.plan(1).server, grace_s=0) as server:
        return asyncio.run(_window(server))


async def _window(server: RunningServer) -> Window:
    answers: list[float] = []
    asking = [asyncio.ensure_future(_ask_on(Address(server.url), answers)) for _ in range(USERS)]
    try:
        await _stay(WARM_UP_S, asking)
        family = server.family()
        before, began = process_usage.read(family), len(answers)
        await _stay(WINDOW_S, asking)
        after, completed = process_usage.read(family), len(answers) - began
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return Window(completed, after.at_s - before.at_s, (after.cpu_s - before.cpu_s) / max(1, completed))


async def _ask_on(address: Address, answers: list[float]) -> None:
    while True:
        try:
            await address.asked("GET", f"/wait?ms={WAIT_MS}", ANSWERED_WITHIN_S)
        except OSError as error:
            raise NotRun(f"{STACK} no longer answers ({error}): ask again.") from None
        answers.append(time.monotonic())


async def _stay(for_s: float, asking: Sequence[asyncio.Task[None]]) -> None:
    """So long, or until a user gives up, whose error is raised."""
    given_up, _ = await asyncio.wait(asking, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
    for task in given_up:
        task.result()


_BOUND: dict[queueing.Bottleneck, str] = {
    "users": "Look at the users: each of them has one request under way, for the wait and its CPU time.",
    "threads": "Look at the threads: each holds one request for the wait and its CPU time, and then takes the next.",
    "server CPU": "Look at the core: it has a second of CPU time to give in each second.",
}


def _cpu_s(row: Row) -> float:
    return (row.median("cpu_us_per_request") or 0.0) / 1e6


def _bounds(row: Row) -> dict[str, Any]:
    return {"users": row.users, "io_wait_s": row.io_wait_s, "cpu_s": _cpu_s(row), "threads": row.slots}


def _limit_per_s(row: Row) -> float:
    return queueing.limit_per_s(**_bounds(row))


def _ceiling(row: Row) -> queueing.Bottleneck:
    return queueing.predicted_bottleneck(**_bounds(row))


def _alike(said: Any, limit_per_s: float) -> bool:
    return isinstance(said, int | float) and math.isclose(said, limit_per_s, rel_tol=ALIKE)


def _told(said: Any) -> str:
    return f"{said:,.0f} requests/s" if isinstance(said, int | float) else repr(said)


def _told_wrong(row: Row, said: Any) -> str:
    return (
        f"`{row.stack}` with {row.users} users: you say {_told(said)}, "
        f"the most there can be are {_limit_per_s(row):,.0f}."
    )


def _told_right(rows: Sequence[Row]) -> str:
    """The largest crowd that threads hold up."""
    row = max((row for row in rows if _ceiling(row) == "threads"), key=lambda row: (row.users, row.slots))
    measured_per_s = row.median("throughput_per_s") or 0.0
    return (
        f"`{row.stack}` with {row.users} users: you say {_told(_limit_per_s(row))}, "
        f"measured were {measured_per_s:,.0f}."
    )


def _told_here(window: Window, said: Any) -> str:
    return f"Here and now, `{STACK}` with {USERS} users: you say {_told(said)}, measured are {window.per_s:,.0f}."
