"""Checks each trap as a visitor: measures it, describes what was measured, and says whether it did harm.

`TRAP_CHECKS` has the check of each trap.
"""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from bench.measure.readiness import RunningServer

HANGS_AFTER_S = 1.5
CALLERS, BLOCKED_MS, OTHER_AFTER_S, OTHER_BLOCKED_MS = 10, 250, 0.1, 500
QUERIES, QUERY_MS = 5, 100
EVENTS, PAUSE_MS = 4, 100
VISITS = 40
TRIES = 3
"""A busy machine separates what belongs together: what is seen once is proof, what is not seen is looked for again."""
ASKED_BEFORE_HUNG = 2
"""The first request to a view may be slow."""
LOOKS, LOOK_EVERY_S = 50, 0.02
"""For connections that are about to close: in all, since those of a leak stay."""
ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+(?:Error|Operation|Configured)): ", re.MULTILINE)
Values = dict[str, Any]


class Visitor:
    """A client of one server: it keeps cookies, gives up after a time limit, and reads what the server logged."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.url, trust_env=False, timeout=30)

    def status(self, path: str) -> Values:
        """Ask a path; return its status, None if no answer came in time, and the error that the server logged."""
        log_bytes = self.server.log.stat().st_size
        for _ in range(ASKED_BEFORE_HUNG):
            with suppress(httpx.ReadTimeout):
                status = self.client.get(path, timeout=HANGS_AFTER_S).status_code
                break
        else:
            return {"status": None, "waited_s": HANGS_AFTER_S}
        logged = self.server.log.read_bytes()[log_bytes:].decode(errors="replace")
        errors = ERROR.findall(logged) if status == 500 else []
        return {"status": status} | ({"error": errors[-1]} if errors else {})

    def took_ms(self, path: str) -> int:
        """Ask a path and return how long the answer took, in milliseconds. Raises HTTPStatusError for an error."""
        began_s = time.monotonic()
        self.client.get(path).raise_for_status()
        return _ms_since(began_s)

    def census(self) -> Values:
        """Return the counts of `/census`; some begin anew when it is asked."""
        return dict(self.client.get("/census").raise_for_status().json())


def _ms_since(began_s: float) -> int:
    return int((time.monotonic() - began_s) * 1000)


def ask_signed_in(visitor: Visitor, path: str) -> Values:
    """Ask once anonymously and once signed in; return both statuses."""
    visitor.client.cookies.clear()
    anonymous = visitor.status(path)["status"]
    visitor.client.get("/sign_in")
    return {"anonymous_status": anonymous, **visitor.status(path)}


def ask_page(visitor: Visitor, path: str) -> Values:
    """Ask once; of a trap also ask the page that swallows the error, and return its status and text."""
    values = visitor.status(path)
    if path.endswith("/instead"):
        return values
    silent = visitor.client.get(f"{path}/silent")
    return {**values, "silent_status": silent.status_code, "silent_text": re.sub("<.*?>", "", silent.text).strip()}


def measure_crowd(visitor: Visitor, path: str) -> Values:
    """Return how many callers are inside at once, how long all take, and how long another page takes meanwhile."""
    for _ in range(TRIES):
        inside_most, took_ms = _send_crowd(visitor, path)
        if not 1 < inside_most < CALLERS:
            break
    other_ms, held_up_ms = 0, (OTHER_BLOCKED_MS - 1000 * OTHER_AFTER_S) / 2
    for _ in range(TRIES if inside_most == 1 else 1):
        if other_ms < held_up_ms:
            other_ms = max(other_ms, _other_ms(visitor, path))
    return {
        "callers": CALLERS,
        "blocked_ms": BLOCKED_MS,
        "inside_most": inside_most,
        "took_ms": took_ms,
        "other_blocked_ms": OTHER_BLOCKED_MS,
        "other_ms": other_ms,
    }


def _send_crowd(visitor: Visitor, path: str) -> tuple[int, int]:
    """Return how many of CALLERS are inside at once, and the milliseconds until all are answered."""
    visitor.census()
    with ThreadPoolExecutor(CALLERS) as pool:
        began_s = time.monotonic()
        list(pool.map(visitor.took_ms, [f"{path}?ms={BLOCKED_MS}"] * CALLERS))
        took_ms = _ms_since(began_s)
    return visitor.census()["inside_most"], took_ms


def _other_ms(visitor: Visitor, path: str) -> int:
    """Return how long another page takes that is asked while one caller waits."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(visitor.took_ms, f"{path}?ms={OTHER_BLOCKED_MS}")
        time.sleep(OTHER_AFTER_S)
        return visitor.took_ms("/ready")


def measure_queries(visitor: Visitor, path: str) -> Values:
    """Ask a view that makes QUERIES slow queries; return its time, and the threads and connections it took."""
    for _ in range(TRIES):
        before = visitor.census()
        took_ms = visitor.took_ms(f"{path}?n={QUERIES}&ms={QUERY_MS}")
        after = visitor.census()
        if not 1 < after["threads_asking"] < QUERIES:
            break
    return {
        "queries": QUERIES,
        "query_ms": QUERY_MS,
        "took_ms": took_ms,
        "threads": after["threads_asking"],
        "connections": after["opened"] - before["opened"],
    }


def count_connections(visitor: Visitor, path: str) -> Values:
    """Ask VISITS times in turn; return connections opened, and the most that were open between two requests."""
    before, seen, looks = visitor.census(), list[Values](), LOOKS
    for _ in range(VISITS):
        visitor.took_ms(path)
        seen.append(visitor.census())
        while seen[-1]["open"] - before["open"] > 1 and looks:
            looks -= 1
            time.sleep(LOOK_EVERY_S)
            seen[-1] = visitor.census()
    open_most = max(each["open"] - before["open"] for each in seen)
    return {"requests": VISITS, "connections": seen[-1]["opened"] - before["opened"], "open_most": open_most}


def measure_streams(visitor: Visitor, path: str) -> Values:
    """Read the stream of a path; of a trap also the one from an async iterator, behind either interface."""
    values = measure_stream(visitor, path)
    if path.endswith("/instead"):
        return values
    return {**values, "async_iterator": measure_stream(visitor, f"{path}/behind_wsgi")}


def measure_stream(visitor: Visitor, path: str) -> Values:
    """Return when the first byte of the body came, and whether its source was still at work then."""
    tries = []
    for _ in range(TRIES):
        tries.append(_read_stream(visitor, path))
        if not is_buffered(tries[-1]):
            return tries[-1]
    return min(tries, key=lambda values: int(values["headers_ms"]))


def _read_stream(visitor: Visitor, path: str) -> Values:
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


def describe_answer(values: Values) -> str:
    """Return a phrase with the status and the logged error, or that no answer came."""
    if values["status"] is None:
        return f"no answer within {values['waited_s']} s"
    return f"answers {values['status']}" + (f", `{values['error']}`" if "error" in values else "")


def describe_signed_in(values: Values) -> str:
    """Return a phrase with the answer to an anonymous visitor and the answer to a user."""
    return f"anonymous: answers {values['anonymous_status']}; signed in: {describe_answer(values)}"


def describe_page(values: Values) -> str:
    """Return a phrase with the answer, and what the page that swallows the error shows."""
    if "silent_text" not in values:
        return describe_answer(values)
    silent = f"answers {values['silent_status']}, “{values['silent_text']}”"
    return f"in a `for`: {describe_answer(values)}; compared in an `if`: {silent}"


def describe_crowd(values: Values) -> str:
    """Return a phrase with how many callers were inside at once, and how long another page took."""
    return (
        f"{values['callers']} callers who wait {values['blocked_ms']} ms: at most {values['inside_most']} inside at "
        f"once, {values['took_ms']:,} ms in all; another page, asked while one waits {values['other_blocked_ms']} ms, "
        f"took {values['other_ms']:,} ms"
    )


def describe_queries(values: Values) -> str:
    """Return a phrase with the time, threads and connections that the queries took."""
    return (
        f"{values['queries']} queries of {values['query_ms']} ms: {values['took_ms']:,} ms, "
        f"{_counted(values['threads'], 'thread')}, {_counted(values['connections'], 'connection')}"
    )


def describe_connections(values: Values) -> str:
    """Return a phrase with how many connections were opened, served another request, and were open at most."""
    return (
        f"{values['requests']} requests, one after the other: {_counted(values['connections'], 'connection')} opened, "
        f"{values['requests'] - values['connections']} requests used an earlier one, "
        f"at most {values['open_most']} open between two requests"
    )


def describe_streams(values: Values) -> str:
    """Return a phrase with when the first byte came."""
    other = values.get("async_iterator")
    return f"{values['events']} events, one each {values['pause_ms']} ms: {_first_byte(values)}" + (
        f"; from an async iterator: {_first_byte(other)}" if other else ""
    )


def _first_byte(values: Values) -> str:
    when = "while the next are" if values["still_made"] else "when all were"
    return f"first byte of the body after {values['first_byte_ms']:,} ms, {when} made"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def does_not_answer(values: Values) -> bool:
    """Return whether the answer is anything but 200."""
    return bool(values["status"] != 200)


def runs_one_by_one(values: Values) -> bool:
    """Return whether no two callers were ever inside at once."""
    return bool(values["inside_most"] == 1)


def uses_one_thread(values: Values) -> bool:
    """Return whether all queries were made on one thread."""
    return bool(values["threads"] == 1)


def leaves_connections_open(values: Values) -> bool:
    """Return whether connections pile up although requests come in turn, and none is used again."""
    return bool(values["connections"] >= values["requests"] and values["open_most"] > 1)


def is_buffered(values: Values) -> bool:
    """Return whether the first byte came only when the stream had been made to its end."""
    return not values["still_made"]


@dataclass(frozen=True)
class TrapCheck:
    """How a trap is measured, what is said about the values, and whether they show harm."""

    measure: Callable[[Visitor, str], Values] = Visitor.status
    describe: Callable[[Values], str] = describe_answer
    shows_harm: Callable[[Values], bool] = does_not_answer


ANSWER = TrapCheck()
TRAP_CHECKS = {
    "asyncio_run_in_sync_view": ANSWER,
    "sync_orm_in_async_view": ANSWER,
    "lazy_queryset_in_template": TrapCheck(ask_page, describe_page),
    "request_user_in_async_view": TrapCheck(ask_signed_in, describe_signed_in),
    "blocking_in_async_view": TrapCheck(measure_crowd, describe_crowd, runs_one_by_one),
    "gather_is_serial": TrapCheck(measure_queries, describe_queries, uses_one_thread),
    "conn_max_age_leak": TrapCheck(count_connections, describe_connections, leaves_connections_open),
    "sync_stream_under_asgi": TrapCheck(measure_streams, describe_streams, is_buffered),
    "context_token_across_hop": ANSWER,
}
