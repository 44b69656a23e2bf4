"""What the checks of exercises share: the file that is checked, a client of its server, and crowds of requests."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from bench.claims.exhibits.trap_checks import Visitor
from bench.measure.readiness import serving_stack
from bench.model.redaction import hide_own_credentials
from bench.model.servers import SERVERS, Budget, Interface
from bench.model.stacks import Lab, Stack

EXERCISE_VARIABLE = "LAB_EXERCISE"
ANSWER_WITHIN_S = 5.0
MOST_BYTES = 100_000
EARLY = 0.9
"""Clocks of event loops are coarse: an answer is too early if it comes before this share of its wait."""
CALLERS = 5
CROWDS = 3
"""Other load on the machine makes a crowd slow: the best of so many counts."""

RAISED = re.compile(r"^ .*\n(?:\w+\.)*([A-Z]\w*)((?:: .{1,120})?)", re.MULTILINE)
"""The last line of a traceback: the name of the error and its message."""

State = Literal["pass", "not yet", "skipped"]
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """The file that is checked, a learner's or a solution, and its module."""

    name: str
    module: str
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the project around it. The user's PYTHONPATH stays: the file may import from there."""
        path = os.environ.get("PYTHONPATH")
        return {EXERCISE_VARIABLE: self.module} | ({"PYTHONPATH": path} if path else {})


@dataclass(frozen=True)
class CheckResult:
    """What a check saw: a sentence, the numbers in it, and where to look next unless it is a pass."""

    state: State
    seen: str
    look_at: str = ""
    numbers: Numbers = field(default_factory=dict)


class NotYet(Exception):
    """Ends a check; `result` says why."""

    def __init__(self, seen: str, look_at: str, /, **numbers: float) -> None:
        super().__init__(seen)
        self.result = CheckResult("not yet", seen, look_at, numbers)


def result_of(seen: str, numbers: Numbers, look_at: str) -> CheckResult:
    """A pass if there is nothing to look at, else not yet."""
    return CheckResult("not yet" if look_at else "pass", seen, look_at, numbers)


def _stack(interface: Interface, server: str, threads: int | None) -> Stack:
    lab = Lab("exercise", "exercises.project", "async", interface, "one exercise", has_workloads=False)
    return Stack(lab, SERVERS[server], Budget(threads, 1))


ASGI, WSGI = _stack("asgi", "uvicorn", None), _stack("wsgi", "gthread", 8)


class NoEnd(httpx.ReadTimeout):
    """An answer without an end."""


class Impatient(httpx.HTTPTransport):
    """Bounds the time and size of each answer; httpx alone bounds only the wait for the next part."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; its answer raises NoEnd after ANSWER_WITHIN_S or MOST_BYTES."""
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self.stream, self.close = stream, stream.close  # type: ignore[method-assign]

    def __iter__(self) -> Iterator[bytes]:
        until_s, read_bytes = time.monotonic() + ANSWER_WITHIN_S, 0
        for part in self.stream:
            read_bytes += len(part)
            if read_bytes > MOST_BYTES or time.monotonic() > until_s:
                raise NoEnd("")
            yield part


@contextmanager
def serving_exercise(subject: Subject, stack: Stack = ASGI, /, **services: str) -> Iterator[Visitor]:
    """Start a server with the file and yield a client of it. Raises NotYet if a request fails.

    The server is killed at the end, because one that hangs does not stop on request."""
    with serving_stack(stack, services={**subject.environment, **services}, grace_s=0) as server:
        visitor = Visitor(server)
        visitor.client = httpx.Client(
            base_url=server.url, trust_env=False, timeout=ANSWER_WITHIN_S, transport=Impatient()
        )
        with visitor.client:
            try:
                yield visitor
            except (httpx.HTTPStatusError, httpx.TransportError) as error:
                raise NotYet(*_explain(error, server.log, subject.file)) from None


def _explain(error: httpx.HTTPStatusError | httpx.TransportError, log: Path, file: Path) -> tuple[str, str]:
    """What happened to a request, and where to look."""
    path = error.request.url.raw_path.decode()
    match error:
        case NoEnd():
            seen = f"{path} had no end within {ANSWER_WITHIN_S:g} s and {MOST_BYTES // 1000:,} kB."
            return seen, "Look for a loop that nothing ends."
        case httpx.TimeoutException():
            return f"{path} had no answer within {ANSWER_WITHIN_S:g} s.", (
                "Look for a wait or a loop that nothing ends, and for what holds the thread that all requests need."
            )
        case httpx.HTTPStatusError(response=httpx.Response(status_code=500)):
            raised = error_logged(log.read_text(errors="replace"), file)
            if not raised:
                return f"{path} answers 500.", "Look for what could end the view without an error, such as `exit`."
            look_at = "Look at that line." if " in line " in raised else "Look at what here could cause it."
            return f"{path} answers 500 because of {raised}.", look_at
        case httpx.HTTPStatusError():
            return f"{path} answers {error.response.status_code}.", "Look at `urlpatterns`: the URLs have to stay."
    seen = f"The server broke off ({type(error).__name__}) while it handled a request."
    return seen, "Look for what could end or crash its process."


def error_logged(log: str, file: Path) -> str:
    """The last error in a server's log with the line of the file that led there; empty if there is none."""
    errors = RAISED.findall(log)
    lines = re.findall(rf'File "[^"]*/{re.escape(file.name)}", line (\d+)', log)
    where = f" in line {lines[-1]}" if lines else ""
    return f"`{errors[-1][0]}`{where}{hide_own_credentials(errors[-1][1]).rstrip('.')}" if errors else ""


def took_ms(answer: httpx.Response) -> int:
    """Return the milliseconds from the request until the whole answer was read."""
    return int(answer.elapsed.total_seconds() * 1000)


@dataclass(frozen=True)
class Crowd:
    """CALLERS requests at once: the most inside the view together, and the milliseconds until the first and the last
    answer. Each request waits `wait_ms`.
    """

    wait_ms: int
    most: int
    first_ms: int
    took_ms: int

    @property
    def stood_in_line(self) -> bool:
        """Not all were inside together; or they were, but waited in turns, and two turns take twice the wait."""
        return self.most < CALLERS or self.took_ms >= 2 * self.wait_ms

    @property
    def numbers(self) -> Numbers:
        """Return the numbers that a check reports: most inside at once, and milliseconds in all."""
        return {"inside_most": self.most, "crowd_ms": self.took_ms}


def send_crowd(visitor: Visitor, path: str, wait_ms: int, least_ms: int | None = None) -> Crowd:
    """Send CALLERS requests at once, up to CROWDS times while they stand in line. NotYet if one did not wait.

    Each waits `wait_ms`, and its answer cannot come before `least_ms` (default: `wait_ms`).
    """
    for _ in range(CROWDS):
        met = _send_one_crowd(visitor, path, wait_ms)
        if not met.stood_in_line or met.most == 1:
            break
    if met.first_ms < EARLY * (wait_ms if least_ms is None else least_ms):
        raise NotYet(
            f"Of {CALLERS} visitors who wait {wait_ms} ms one has the answer after {met.first_ms} ms.",
            "Look at how long each has to wait: as long as its own request says.",
            **met.numbers,
        )
    return met


def _send_one_crowd(visitor: Visitor, path: str, wait_ms: int) -> Crowd:
    visitor.census()
    with ThreadPoolExecutor(CALLERS) as pool:
        began_s = time.monotonic()
        first_ms = min(pool.map(visitor.took_ms, [path] * CALLERS))
        all_ms = int((time.monotonic() - began_s) * 1000)
    return Crowd(wait_ms, int(visitor.census()["inside_most"]), first_ms, all_ms)
