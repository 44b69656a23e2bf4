"""How each exercise is checked, and what is said of what was seen: `WAYS`, by the exercise's name.

Judged by counts, by hops and by lower bounds that logic forces, never by speed alone: whoever is told to wait cannot be
answered sooner, and who stands in line is inside alone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench import database, record, summary, theory
from bench.errors import LabError
from bench.exercise_visits import (
    ANSWER_WITHIN_S,
    ASGI,
    CALLERS,
    WSGI,
    NotYet,
    Seen,
    Subject,
    called,
    crowd,
    ms_since,
    slow_service,
    visiting,
)
from bench.hops.ask import Ask
from bench.hops.asking import traced
from bench.record import ROOT
from bench.stacks import Stack
from bench.trap_ways import (
    Values,
    Visitor,
    comes_late,
    look_at_stream,
    look_signed_in,
    tell_answer,
    tell_signed_in,
    tell_streams,
)

WAIT_MS, CROWD_WAIT_MS = 50, 300
EARLY = 0.9
"""Clocks of loops are coarse: an answer counts as too early when it comes before this share of its wait."""
ALWAYS_HOPS = 2
"""With an async view and no middleware: the signal request_started, and closing the response."""
CALLS, CALL_MS = 5, 200
VISITORS, HOLD_MS, MOST_CONNECTIONS, LOOK_EVERY_S = 20, 200, 4, 0.01
ALIKE = 0.01
PREDICTED = "io_wait"
FUNCTIONS = {"plateau": "plateau_per_s"}
"""Exercises that are called; all others are served."""


def blocking_view(subject: Subject) -> Seen:
    with visiting(subject) as visitor:
        _require_wait(visitor)
        met = crowd(visitor, f"/?ms={CROWD_WAIT_MS}", CROWD_WAIT_MS)
    seen = (
        f"{CALLERS} visitors who wait {CROWD_WAIT_MS} ms: at most {met.most} inside at once, {met.took_ms:,} ms in all."
    )
    if met.stood_in_line:
        raise NotYet(
            seen,
            "Look for the call that waits without giving the loop away: it needs an `await`, or a thread of its own.",
            **met.numbers,
        )
    return Seen("pass", seen, numbers=met.numbers)


def _require_wait(visitor: Visitor) -> None:
    took_ms = visitor.took_ms(f"/?ms={WAIT_MS}")
    if took_ms < EARLY * WAIT_MS:
        raise NotYet(
            f"A visitor who asks to wait {WAIT_MS} ms has the answer after {took_ms} ms.",
            "Look whether the wait is still there, and whether a coroutine is made and never awaited.",
            took_ms=took_ms,
        )


def middleware_hops(subject: Subject) -> Seen:
    _require_header(subject)
    try:
        trace = traced(Ask(ASGI.lab.application, "/?ms=0"), subject.environment, ROOT, 2 * ANSWER_WITHIN_S)
    except LabError as error:
        raise NotYet(str(error), "Look at what `Took` does when it is asked once more.") from None
    hops = len(trace.crossings)
    extra = hops - ALWAYS_HOPS
    numbers = {"hops": hops, "hops_of_middleware": extra}
    seen = f"A request makes {hops} hops, of which {ALWAYS_HOPS} are always there and {extra} the middleware's."
    if extra > 0:
        mine = [hop.what for hop in trace.crossings if hop.middleware == f"{subject.module}.Took"]
        told = f" They are {' and '.join(mine)}." if mine else ""
        raise NotYet(
            seen + told, "Look at who sends them to a thread: MiddlewareMixin.__acall__, or `sync_to_async`.", **numbers
        )
    return Seen("pass", seen, numbers=numbers)


def _require_header(subject: Subject) -> None:
    """The middleware has to do its work, however it runs."""
    with visiting(subject) as visitor:
        answer = visitor.client.get(f"/?ms={WAIT_MS}").raise_for_status()
    said = answer.headers.get("X-Took-Ms", "")
    if not said.isdigit():
        raise NotYet("The answer has no header X-Took-Ms.", "`Took` is to do its work, and to do it without a thread.")
    if int(said) < EARLY * WAIT_MS:
        raise NotYet(
            f"X-Took-Ms says {said} of a request that waits {WAIT_MS} ms.",
            "Look at what lies between the two looks at the clock: the answer has to be awaited there.",
            said_ms=int(said),
        )


@dataclass(frozen=True)
class Side:
    """What one side made of its calls: how many were with the service at once, and how many there were in all."""

    name: str
    most: int
    made: int
    took_ms: int

    @property
    def sentence(self) -> str:
        return f"{self.name}: at most {self.most} of {self.made} calls at once, {self.took_ms:,} ms"


def overlapping_calls(subject: Subject) -> Seen:
    sides = [_side(subject, "sync", WSGI), _side(subject, "async", ASGI)]
    seen = "; ".join(side.sentence for side in sides) + f". Each call waits {CALL_MS} ms."
    numbers = {f"{side.name}_{key}": getattr(side, key) for side in sides for key in ("most", "made", "took_ms")}
    for side in sides:
        if side.made != CALLS:
            raise NotYet(seen, f"The {side.name} view is to make {CALLS} calls, each once.", **numbers)
    behind = [side.name for side in sides if side.most < CALLS]
    if behind:
        raise NotYet(seen, f"Look at the {' and the '.join(behind)} view: what does one call wait for?", **numbers)
    return Seen("pass", seen, numbers=numbers)


def _side(subject: Subject, name: str, stack: Stack) -> Side:
    with slow_service() as service, visiting(subject, stack, LAB_UPSTREAM_URL=service.url) as visitor:
        began_s = time.monotonic()
        answer = visitor.client.get(f"/{name}?n={CALLS}&ms={CALL_MS}").raise_for_status()
        took_ms = ms_since(began_s)
    expected = json.dumps({"calls": CALLS, "waited_ms": CALLS * CALL_MS})
    if answer.text != expected:
        raise NotYet(
            f"The {name} view answers {answer.text[:80]} instead of {expected}.",
            "Look at what becomes of the answers of the single calls.",
        )
    return Side(name, service.gauge.most, service.gauge.ended, took_ms)


def bounded_connections(subject: Subject) -> Seen:
    with database.serving_database() as asked:
        before = asked.connections()
        if before is None:
            return Seen(
                "skipped",
                f"The database here is {asked.vendor}, which has no connections to count: {database.REMEDY}.",
            )
        with visiting(subject, **asked.environment) as visitor, ThreadPoolExecutor(VISITORS) as pool:
            path = f"/hold?ms={HOLD_MS}"
            asking = [pool.submit(visitor.took_ms, path) for _ in range(VISITORS)]
            most = _most_connections(asked, asking) - before
            longest_ms = max(future.result() for future in asking)
    seen = f"{VISITORS} visitors at once: at most {most} connections, all answered within {longest_ms:,} ms."
    numbers = {"connections_most": most, "longest_ms": longest_ms}
    if most > MOST_CONNECTIONS:
        look_at = f"Look at who could lend {MOST_CONNECTIONS} connections to whoever needs one: `pool` in OPTIONS."
        raise NotYet(seen, look_at, **numbers)
    if most < 1:
        raise NotYet(seen, "Look whether this is still the database that LAB_DATABASE_URL names.", **numbers)
    return Seen("pass", seen, numbers=numbers)


def _most_connections(asked: database.Database, asking: Sequence[Future[int]]) -> int:
    """The most that were open at any look until everybody had an answer."""
    most = 0
    while not all(future.done() for future in asking):
        most = max(most, asked.connections() or 0)
        time.sleep(LOOK_EVERY_S)
    return most


def plateau(subject: Subject) -> Seen:
    rows = [row for row in summary.rows_of(record.load(record.REFERENCE / PREDICTED)) if row.measured]
    cases = [{"users": row.users, "threads": row.slots, "wait_s": row.io_wait_s, "cpu_s": _cpu_s(row)} for row in rows]
    said = called(subject, FUNCTIONS[subject.name], cases)
    wrong = [place for place, row in enumerate(rows) if not _alike(said[place], _limit_per_s(row))]
    numbers = {"trials": len(rows), "right": len(rows) - len(wrong)}
    seen = f"Right for {numbers['right']} of {len(rows)} points of the run {PREDICTED}."
    if wrong:
        first = rows[wrong[0]]
        raise NotYet(f"{seen} {_told_wrong(first, said[wrong[0]])}", _BOUND[_ceiling(first)], **numbers)
    return Seen("pass", f"{seen} {_told_right(rows)}", numbers=numbers)


_BOUND: dict[theory.Limiter, str] = {
    "users": "Look at the users: each of them has one request under way, for the wait and its CPU time.",
    "threads": "Look at the threads: each holds one request for the wait and its CPU time, and then takes the next.",
    "server CPU": "Look at the core: it has a second of CPU time to give in each second.",
}


def _cpu_s(row: summary.Row) -> float:
    return (row.median("cpu_us_per_request") or 0.0) / 1e6


def _bounds(row: summary.Row) -> dict[str, Any]:
    return {"users": row.users, "io_wait_s": row.io_wait_s, "cpu_s": _cpu_s(row), "threads": row.slots}


def _limit_per_s(row: summary.Row) -> float:
    return theory.limit_per_s(**_bounds(row))


def _ceiling(row: summary.Row) -> theory.Limiter:
    return theory.limiter(**_bounds(row))


def _alike(said: Any, limit_per_s: float) -> bool:
    return isinstance(said, int | float) and math.isclose(said, limit_per_s, rel_tol=ALIKE)


def _told_wrong(row: summary.Row, said: Any) -> str:
    yours = f"{said:,.0f} requests/s" if isinstance(said, int | float) else repr(said)
    return f"`{row.stack}` with {row.users} users: you say {yours}, the most there can be are {_limit_per_s(row):,.0f}."


def _told_right(rows: Sequence[summary.Row]) -> str:
    """The largest crowd that threads hold up."""
    row = max((row for row in rows if _ceiling(row) == "threads"), key=lambda row: (row.users, row.slots))
    measured = row.median("throughput_per_s") or 0.0
    return (
        f"`{row.stack}` with {row.users} users: you say {_limit_per_s(row):,.0f} requests/s, "
        f"measured were {measured:,.0f}."
    )


def stream(subject: Subject) -> Seen:
    with visiting(subject) as visitor:
        text = visitor.client.get("/?n=3&ms=0").raise_for_status().text
        if text != "0\n1\n2\n":
            raise NotYet(f"A stream of 3 numbers is {text[:40]!r}.", "Look at what is yielded: the numbers from 0 on.")
        values = look_at_stream(visitor, "/")
        n, ms = values["events"], values["pause_ms"]
        if comes_late(values):
            raise _late(values, n * ms)
        met = crowd(visitor, f"/?n={n}&ms={ms}", n * ms)
    numbers = {"first_byte_ms": values["first_byte_ms"], "took_ms": values["took_ms"], **met.numbers}
    seen = f"{tell_streams(values)}; {CALLERS} at once: at most {met.most} streams together, {met.took_ms:,} ms in all."
    if met.stood_in_line:
        raise NotYet(seen, AWAIT_IN_STREAM, **numbers)
    return Seen("pass", seen, numbers=numbers)


AWAIT_IN_STREAM = "Look at how the stream waits: in an async iterator a wait needs an `await`."


def _late(values: Values, made_ms: int) -> NotYet:
    """Why nobody else heard anything while the parts were made; a whole stream cannot have been made any sooner."""
    numbers = {"first_byte_ms": values["first_byte_ms"], "took_ms": values["took_ms"]}
    if values["first_byte_ms"] < EARLY * made_ms:
        seen = (
            f"{values['events']} events, one each {values['pause_ms']} ms: the first byte of the body is there after "
            f"{values['first_byte_ms']} ms, but another page is not answered before all are made."
        )
        return NotYet(seen, AWAIT_IN_STREAM, **numbers)
    look_at = "Look at the kind of the iterator: behind ASGI only an async one is sent part by part."
    return NotYet(f"{tell_streams(values)}.", look_at, **numbers)


TRAPS = {
    "products": ("sync_orm_in_async_view", '"products": 100'),
    "shelf": ("lazy_queryset_in_template", "<li>product 1</li>"),
    "me": ("request_user_in_async_view", '"name": "ada"'),
    "report": ("asyncio_run_in_sync_view", '"products": 100'),
}
"""Each view with its trap and a part of its right answer. The last one may take its thread with it."""


def four_traps(subject: Subject) -> Seen:
    with (
        database.serving_database() as asked,
        visiting(subject, **asked.environment) as visitor,
    ):
        told = {view: _told_trap(visitor, view) for view in TRAPS}
    fallen = [view for view, (right, _) in told.items() if not right]
    seen = "; ".join(f"/{view}: {sentence}" for view, (_, sentence) in told.items()) + "."
    numbers = {"views": len(TRAPS), "answering": len(TRAPS) - len(fallen)}
    if fallen:
        raise NotYet(seen, f"Look at `{fallen[0]}`, and at labs/traps/{TRAPS[fallen[0]][0]}.py.", **numbers)
    return Seen("pass", seen, numbers=numbers)


def _told_trap(visitor: Visitor, view: str) -> tuple[bool, str]:
    """Whether the view answers rightly, to somebody signed in too, and the sentence about it."""
    way, tell = (look_signed_in, tell_signed_in) if view == "me" else (Visitor.status, tell_answer)
    values = way(visitor, f"/{view}")
    if {200} != {value for key, value in values.items() if key.endswith("status")}:
        return False, tell(values)
    text = visitor.client.get(f"/{view}").text
    right = TRAPS[view][1] in text
    return right, tell(values) if right else f"answers {text[:40]!r}"


WAYS: dict[str, Callable[[Subject], Seen]] = {
    "blocking_view": blocking_view,
    "middleware_hops": middleware_hops,
    "overlapping_calls": overlapping_calls,
    "bounded_connections": bounded_connections,
    "plateau": plateau,
    "stream": stream,
    "four_traps": four_traps,
}
