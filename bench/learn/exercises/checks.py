"""How each exercise is checked, and what is said of what was seen: `WAYS`, by the exercise's name.

Judged by counts, by hops and by lower bounds that logic forces, never by speed alone: whoever is told to wait cannot be
answered sooner, and who stands in line is inside alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.claims.exhibits.trap_checks import Values, Visitor, describe_streams, is_buffered, measure_stream
from bench.learn.exercises.connections import bounded_connections
from bench.learn.exercises.plateau import FUNCTION, plateau
from bench.learn.exercises.slow_service import SlowService, slow_service
from bench.learn.exercises.traps import traps
from bench.learn.exercises.visits import (
    ANSWER_WITHIN_S,
    ASGI,
    CALLERS,
    CROWDS,
    EARLY,
    WSGI,
    Crowd,
    NotYet,
    Seen,
    Subject,
    crowd,
    ms_since,
    visiting,
)
from bench.model.stacks import Stack
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.tracer import trace_application

WAIT_MS, CROWD_WAIT_MS = 50, 300
LONG_MS, OVERTAKEN_AFTER_S = 300, 0.1
ALWAYS_HOPS = 2
"""With an async view and no middleware: the signal request_started, and closing the response."""
CALLS, CALL_MS = 5, 200
LOOK_EVERY_S = 0.01
FUNCTIONS = {"plateau": FUNCTION}
"""Exercises that are called; all others are served."""
BOTH_DOORS = ("middleware_hops",)
"""Exercises that every page goes through, behind WSGI as behind ASGI."""


def blocking_view(subject: Subject) -> Seen:
    """Let a crowd wait in the view. Raises NotYet if they stand in line."""
    with visiting(subject) as visitor:
        _require_wait(visitor)
        met = crowd(visitor, f"/?ms={CROWD_WAIT_MS}", CROWD_WAIT_MS)
    seen = (
        f"{CALLERS} visitors who wait {CROWD_WAIT_MS} ms: at most {met.most} inside at once, {met.took_ms:,} ms in all."
    )
    if met.stood_in_line:
        raise NotYet(seen, _line_to_look_at(met), **met.numbers)
    return Seen("pass", seen, numbers=met.numbers)


def _line_to_look_at(met: Crowd) -> str:
    if met.most < CALLERS:
        return "Look for the call that waits without giving the loop away: it needs an `await`, or a thread of its own."
    return "Look at what they wait for once they are inside: a lock, or a pool with fewer threads than visitors?"


def _require_wait(visitor: Visitor) -> None:
    began_s = time.monotonic()
    said = visitor.client.get(f"/?ms={WAIT_MS}").raise_for_status().text
    took_ms = ms_since(began_s)
    expected = json.dumps({"waited_ms": WAIT_MS})
    if said != expected:
        raise NotYet(f"The view answers {said[:80]} instead of {expected}.", "Look at its last line, which is to stay.")
    if took_ms < EARLY * WAIT_MS:
        raise NotYet(
            f"A visitor who asks to wait {WAIT_MS} ms has the answer after {took_ms} ms.",
            "Look whether the wait is still there, and whether a coroutine is made and never awaited.",
            took_ms=took_ms,
        )


def middleware_hops(subject: Subject) -> Seen:
    """Count the hops of a request under the middleware. Raises NotYet if the middleware adds any."""
    for stack in (ASGI, WSGI):
        _require_took(subject, stack)
    try:
        trace = trace_application(
            RequestSpec(ASGI.lab.application, "/?ms=0"), subject.environment, ROOT, 2 * ANSWER_WITHIN_S
        )
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


def _require_took(subject: Subject, stack: Stack) -> None:
    """The middleware has to do its work, however it runs: for every page, and for two visitors at once."""
    with visiting(subject, stack) as visitor, ThreadPoolExecutor(1) as pool:
        long = pool.submit(_require_said, visitor, stack, LONG_MS)
        time.sleep(OVERTAKEN_AFTER_S)
        _require_said(visitor, stack, WAIT_MS)
        long.result()
        _require_said(visitor, stack, 0, path="/ready")


def _require_said(visitor: Visitor, stack: Stack, wait_ms: int, path: str = "/") -> None:
    """X-Took-Ms lies between how long the request has to wait and how long its visitor waited."""
    began_s = time.monotonic()
    answer = visitor.client.get(f"{path}?ms={wait_ms}").raise_for_status()
    took_ms, said = ms_since(began_s) + 1, answer.headers.get("X-Took-Ms", "")
    door, page = stack.lab.interface.upper(), "a request" if path == "/" else f"the page {path}"
    if not said.isdecimal():
        raise NotYet(
            f"Behind {door} the answer to {page} has no header X-Took-Ms with a number in it.",
            "`Took` is to do its work, for every page and behind both doors, and to do it without a thread.",
        )
    if int(said) < EARLY * wait_ms:
        raise NotYet(
            f"Behind {door} X-Took-Ms says {said} of a request that waits {wait_ms} ms.",
            "Look at what lies between the two looks at the clock: the answer, awaited, and nobody else's request.",
            said_ms=int(said),
        )
    if int(said) > took_ms:
        raise NotYet(
            f"Behind {door} X-Took-Ms says {said} of {page} that took {took_ms} ms in all.",
            "Look at when the clock is read for the first time.",
            said_ms=int(said),
        )


@dataclass(frozen=True)
class Side:
    """What one side made of its calls: how many were with the service at once, and how many there were in all."""

    name: str
    most: int
    made: int
    took_ms: int
    lets_others_in: bool

    @property
    def sentence(self) -> str:
        """Return how many calls were made at once, and how long all took."""
        return f"{self.name}: at most {self.most} of {self.made} calls at once, {self.took_ms:,} ms"


def overlapping_calls(subject: Subject) -> Seen:
    """Count the calls that the sync and the async view make at once.

    Raises NotYet if calls do not overlap, are not CALLS in number, or stop other pages."""
    sides = [_side(subject, "sync", WSGI), _side(subject, "async", ASGI)]
    seen = "; ".join(side.sentence for side in sides) + f". Each call waits {CALL_MS} ms."
    numbers = {f"{side.name}_{key}": getattr(side, key) for side in sides for key in ("most", "made", "took_ms")}
    for side in sides:
        if side.made != CALLS:
            raise NotYet(seen, f"The {side.name} view is to make {CALLS} calls, each once.", **numbers)
    behind = [side.name for side in sides if side.most < CALLS]
    if behind:
        raise NotYet(seen, f"Look at the {' and the '.join(behind)} view: what does one call wait for?", **numbers)
    for side in sides:
        if not side.lets_others_in:
            raise NotYet(
                f"{seen} But while the {side.name} view waits for its calls, no other page is answered.",
                "Look at who waits for them: on the event loop, a wait needs an `await`.",
                **numbers,
            )
    return Seen("pass", seen, numbers=numbers)


def _side(subject: Subject, name: str, stack: Stack) -> Side:
    path = f"/{name}?n={CALLS}&ms={CALL_MS}"
    with slow_service() as service, visiting(subject, stack, LAB_UPSTREAM_URL=service.url) as visitor:
        began_s = time.monotonic()
        answer = visitor.client.get(path).raise_for_status()
        took_ms, most, made = ms_since(began_s), service.gauge.most, service.gauge.ended
        lets_others_in = any(_lets_others_in(visitor, service, path) for _ in range(CROWDS))
    expected = json.dumps({"calls": CALLS, "waited_ms": CALLS * CALL_MS})
    if answer.text != expected:
        raise NotYet(
            f"The {name} view answers {answer.text[:80]} instead of {expected}.",
            "Look at what becomes of the answers of the single calls.",
        )
    return Side(name, most, made, took_ms, lets_others_in)


def _lets_others_in(visitor: Visitor, service: SlowService, path: str) -> bool:
    """Another page is answered while the calls are with the service; a busy machine may miss that once."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(visitor.client.get, path)
        while not service.gauge.now and not asking.done():
            time.sleep(LOOK_EVERY_S)
        visitor.client.get("/ready").raise_for_status()
        lets_in = service.gauge.now > 0
        asking.result()
    return lets_in


def stream(subject: Subject) -> Seen:
    """Read the stream as one visitor, then as a crowd. Raises NotYet if it comes late, or one waits for another."""
    with visiting(subject) as visitor:
        text = visitor.client.get("/?n=3&ms=0").raise_for_status().text
        if text != "0\n1\n2\n":
            raise NotYet(f"A stream of 3 numbers is {text[:40]!r}.", "Look at what is yielded: the numbers from 0 on.")
        values = measure_stream(visitor, "/")
        n, ms = values["events"], values["pause_ms"]
        if is_buffered(values):
            raise _late(values, n * ms)
        met = crowd(visitor, f"/?n={n}&ms={ms}", n * ms, (n - 1) * ms)
    numbers = {"first_byte_ms": values["first_byte_ms"], "took_ms": values["took_ms"], **met.numbers}
    together = f"{CALLERS} at once: at most {met.most} streams together, {met.took_ms:,} ms in all."
    seen = f"{describe_streams(values)}; {together}"
    if met.stood_in_line:
        raise NotYet(seen, AWAIT_IN_STREAM, **numbers)
    return Seen("pass", seen, numbers=numbers)


AWAIT_IN_STREAM = "Look at how the stream waits: in an async iterator a wait needs an `await`."


def _late(values: Values, made_ms: int) -> NotYet:
    """Why nobody else heard anything while the parts were made; a whole stream cannot have been made any sooner."""
    numbers = {"first_byte_ms": values["first_byte_ms"], "took_ms": values["took_ms"]}
    if values["took_ms"] < EARLY * (made_ms - values["pause_ms"]):
        seen = f"{values['events']} numbers, one each {values['pause_ms']} ms, are there after {values['took_ms']} ms."
        return NotYet(seen, "Look whether the wait is still there, and whether it is awaited.", **numbers)
    if values["first_byte_ms"] < EARLY * (made_ms - values["pause_ms"]):
        seen = (
            f"{values['events']} events, one each {values['pause_ms']} ms: the first byte of the body is there after "
            f"{values['first_byte_ms']} ms, but another page is not answered before all are made."
        )
        return NotYet(seen, AWAIT_IN_STREAM, **numbers)
    look_at = "Look at the kind of the iterator: behind ASGI only an async one is sent part by part."
    return NotYet(f"{describe_streams(values)}.", look_at, **numbers)


WAYS: dict[str, Callable[[Subject], Seen]] = {
    "blocking_view": blocking_view,
    "middleware_hops": middleware_hops,
    "overlapping_calls": overlapping_calls,
    "bounded_connections": bounded_connections,
    "plateau": plateau,
    "stream": stream,
    "traps": traps,
}
