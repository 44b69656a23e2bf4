"""How each exercise is checked, and what the learner reads: `CHECKS`, by the name of the exercise.

Checks count requests and hops, and use lower bounds that logic forces; they never judge by speed alone. A request that
has to wait cannot be answered sooner, and requests that stand in line are inside one at a time.
"""

import json
import time
from collections.abc import Callable, Mapping
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
    CheckResult,
    NotYet,
    Subject,
    result_of,
    send_crowd,
    serving_exercise,
    took_ms,
)
from bench.model.stacks import Stack
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.tracer import trace_application
from labs.common.gauge import Gauge

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


def blocking_view(subject: Subject) -> CheckResult:
    """Let a crowd wait in the view. Not yet if they stand in line."""
    with serving_exercise(subject) as visitor:
        _require_wait(visitor)
        met = send_crowd(visitor, f"/?ms={CROWD_WAIT_MS}", CROWD_WAIT_MS)
    look_at = ""
    if met.most < CALLERS:
        look_at = "Look for the call that blocks the event loop while it waits: it needs an `await`, or its own thread."
    elif met.stood_in_line:
        look_at = "Look at what they wait for once they are inside: a lock, or a pool with fewer threads than visitors?"
    seen = (
        f"{CALLERS} visitors who wait {CROWD_WAIT_MS} ms: at most {met.most} inside at once, {met.took_ms:,} ms in all"
    )
    return result_of(f"{seen}.", met.numbers, look_at)


def _require_wait(visitor: Visitor) -> None:
    answer = visitor.client.get(f"/?ms={WAIT_MS}").raise_for_status()
    _require_equal("The view", answer.text, {"waited_ms": WAIT_MS}, "Look at its last line, which has to stay.")
    if took_ms(answer) < EARLY * WAIT_MS:
        raise NotYet(
            f"A visitor who asks to wait {WAIT_MS} ms has the answer after {took_ms(answer)} ms.",
            "Look whether the wait is still there, and whether a coroutine is created but never awaited.",
            took_ms=took_ms(answer),
        )


def _require_equal(what: str, answer: str, expected: Mapping[str, int], look_at: str) -> None:
    if answer != json.dumps(expected):
        raise NotYet(f"{what} answers {answer[:80]} instead of {json.dumps(expected)}.", look_at)


def middleware_hops(subject: Subject) -> CheckResult:
    """Count the hops of a request through the middleware. Not yet if the middleware adds any."""
    for stack in (ASGI, WSGI):
        _require_took(subject, stack)
    try:
        trace = trace_application(
            RequestSpec(ASGI.lab.application, "/?ms=0"), subject.environment, ROOT, 2 * ANSWER_WITHIN_S
        )
    except LabError as error:
        raise NotYet(str(error), "Look at what `Took` does in one more request.") from None
    hops = len(trace.hops)
    extra = hops - ALWAYS_HOPS
    mine = [hop.what for hop in trace.hops if hop.middleware == f"{subject.module}.Took"] if extra > 0 else []
    seen = f"A request makes {hops} hops: {ALWAYS_HOPS} are always there, the middleware adds {extra}."
    return result_of(
        seen + (f" They are {' and '.join(mine)}." if mine else ""),
        {"hops": hops, "hops_of_middleware": extra},
        "Look for what moves it to a thread: MiddlewareMixin.__acall__, or `sync_to_async`." if extra > 0 else "",
    )


def _require_took(subject: Subject, stack: Stack) -> None:
    """The middleware has to do its work, however it runs: for every page, and for two visitors at once."""
    with serving_exercise(subject, stack) as visitor, ThreadPoolExecutor(1) as pool:
        long = pool.submit(_require_header, visitor, stack, LONG_MS)
        while not visitor.census()["inside_now"] and not long.done():
            time.sleep(LOOK_EVERY_S)
        time.sleep(OVERTAKEN_AFTER_S)
        _require_header(visitor, stack, WAIT_MS)
        long.result()
        _require_header(visitor, stack, 0, path="/ready")


def _require_header(visitor: Visitor, stack: Stack, wait_ms: int, path: str = "/") -> None:
    """X-Took-Ms has to lie between the wait of the request and the time until the visitor had the answer."""
    answer = visitor.client.get(f"{path}?ms={wait_ms}").raise_for_status()
    most_ms, said = took_ms(answer) + 1, answer.headers.get("X-Took-Ms", "")
    door, page = stack.lab.interface.upper(), "a request" if path == "/" else f"the page {path}"
    if not said.isdecimal():
        raise NotYet(
            f"Behind {door} the answer to {page} has no header X-Took-Ms with a number in it.",
            "`Took` has to do its work for every page and behind both doors, without a thread.",
        )
    if int(said) < EARLY * wait_ms:
        raise NotYet(
            f"Behind {door} X-Took-Ms says {said} of a request that waits {wait_ms} ms.",
            "Look at what lies between the two readings of the clock: the awaited answer to this request, no other.",
            said_ms=int(said),
        )
    if int(said) > most_ms:
        raise NotYet(
            f"Behind {door} X-Took-Ms says {said} of {page} that took {most_ms} ms in all.",
            "Look at when the clock is read for the first time.",
            said_ms=int(said),
        )


@dataclass(frozen=True)
class Side:
    """The calls of one view: the most that were with the service at once, all of them, and their time."""

    name: str
    most: int
    made: int
    took_ms: int
    lets_others_in: bool


def overlapping_calls(subject: Subject) -> CheckResult:
    """Count the calls that the sync and the async view make at once.

    Not yet if calls do not overlap, are not CALLS in number, or keep other pages waiting.
    """
    sides = [_look_at_side(subject, "sync", WSGI), _look_at_side(subject, "async", ASGI)]
    texts = [f"{side.name}: at most {side.most} of {side.made} calls at once, {side.took_ms:,} ms" for side in sides]
    seen, look_at = f"{'; '.join(texts)}. Each call waits {CALL_MS} ms.", ""
    numbers = {f"{side.name}_{key}": getattr(side, key) for side in sides for key in ("most", "made", "took_ms")}
    miscounted, behind, alone = (
        [side.name for side in sides if side.made != CALLS],
        [side.name for side in sides if side.most < CALLS],
        [side.name for side in sides if not side.lets_others_in],
    )
    if miscounted:
        look_at = f"The {miscounted[0]} view has to make {CALLS} calls, each once."
    elif behind:
        look_at = f"Look at the {' and the '.join(behind)} view: what does one call wait for?"
    elif alone:
        seen += f" But while the {alone[0]} view waits for its calls, no other page is answered."
        look_at = "Look at how it waits for them: on the event loop, a wait needs an `await`."
    return result_of(seen, numbers, look_at)


def _look_at_side(subject: Subject, name: str, stack: Stack) -> Side:
    path = f"/{name}?n={CALLS}&ms={CALL_MS}"
    with slow_service() as service, serving_exercise(subject, stack, LAB_UPSTREAM_URL=service.url) as visitor:
        for _ in range(CROWDS):
            service.gauge = Gauge()
            answer = visitor.client.get(path).raise_for_status()
            most, made = service.gauge.most, service.gauge.ended
            if not 1 < most < CALLS:  # else a busy machine may have held up some
                break
        lets_others_in = any(_lets_others_in(visitor, service, path) for _ in range(CROWDS))
    expected = {"calls": CALLS, "waited_ms": CALLS * CALL_MS}
    _require_equal(f"The {name} view", answer.text, expected, "Look at how the answers of the calls are added up.")
    return Side(name, most, made, took_ms(answer), lets_others_in)


def _lets_others_in(visitor: Visitor, service: SlowService, path: str) -> bool:
    """True if another page is answered during the calls; a busy machine may miss that once."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(visitor.client.get, path)
        while not service.gauge.now and not asking.done():
            time.sleep(LOOK_EVERY_S)
        visitor.client.get("/ready").raise_for_status()
        lets_in = service.gauge.now > 0
        asking.result()
    return lets_in


def stream(subject: Subject) -> CheckResult:
    """Read the stream as one visitor, then as a crowd. Not yet if it comes late, or if streams wait for each other."""
    with serving_exercise(subject) as visitor:
        text = visitor.client.get("/?n=3&ms=0").raise_for_status().text
        if text != "0\n1\n2\n":
            raise NotYet(f"A stream of 3 numbers is {text[:40]!r}.", "Look at what is yielded: the numbers from 0 on.")
        values = measure_stream(visitor, "/")
        n, ms = values["events"], values["pause_ms"]
        numbers = {"first_byte_ms": values["first_byte_ms"], "took_ms": values["took_ms"]}
        if is_buffered(values):
            return result_of(*_explain_late(values, n, ms, numbers))
        met = send_crowd(visitor, f"/?n={n}&ms={ms}", n * ms, (n - 1) * ms)
    together = f"{CALLERS} at once: at most {met.most} streams together, {met.took_ms:,} ms in all."
    seen = f"{describe_streams(values)}; {together}"
    return result_of(seen, {**numbers, **met.numbers}, AWAIT_IN_STREAM if met.stood_in_line else "")


AWAIT_IN_STREAM = "Look at how the stream waits: in an async iterator a wait needs an `await`."


def _explain_late(
    values: Values, n: int, ms: int, numbers: Mapping[str, float]
) -> tuple[str, Mapping[str, float], str]:
    """Why no part arrived while the others were made; a whole stream cannot be made any sooner than its waits allow."""
    least_ms = EARLY * (n - 1) * ms
    if values["took_ms"] < least_ms:
        seen = f"{n} numbers, one each {ms} ms, are there after {values['took_ms']} ms."
        return seen, numbers, "Look whether the wait is still there, and whether it is awaited."
    if values["first_byte_ms"] < least_ms:
        seen = (
            f"{n} events, one each {ms} ms: the first byte of the body is there after "
            f"{values['first_byte_ms']} ms, but another page is not answered before all are made."
        )
        return seen, numbers, AWAIT_IN_STREAM
    look_at = "Look at the kind of the iterator: behind ASGI only an async one is sent part by part."
    return f"{describe_streams(values)}.", numbers, look_at


CHECKS: dict[str, Callable[[Subject], CheckResult]] = {
    "blocking_view": blocking_view,
    "middleware_hops": middleware_hops,
    "overlapping_calls": overlapping_calls,
    "bounded_connections": bounded_connections,
    "plateau": plateau,
    "stream": stream,
    "traps": traps,
}
