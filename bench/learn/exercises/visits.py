"""What the checks of exercises share: the file that is checked, a visitor of its server, crowds of them."""

from __future__ import annotations

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
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.redaction import hidden_here
from bench.model.servers import SERVERS, Budget, Interface
from bench.model.stacks import Lab, Stack

EXERCISE_VARIABLE = "LAB_EXERCISE"
ANSWER_WITHIN_S = 5.0
MOST_BYTES = 100_000
EARLY = 0.9
"""Clocks of loops are coarse: an answer counts as too early when it comes before this share of its wait."""
CALLERS = 5
CROWDS = 3
"""A machine that is busy with something else makes a crowd slow: the best of so many counts."""

RAISED = re.compile(r"^ .*\n(?:\w+\.)*([A-Z]\w*)((?:: .{1,120})?)", re.MULTILINE)
"""The last line of a traceback: the error's name and what it says."""

State = Literal["pass", "not yet", "skipped"]
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """The file that is checked, a learner's or a solution, and the module that it is."""

    name: str
    module: str
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the project around it is told; the file is the user's, and so is where it finds its modules."""
        path = os.environ.get("PYTHONPATH")
        return {EXERCISE_VARIABLE: self.module} | ({"PYTHONPATH": path} if path else {})


@dataclass(frozen=True)
class Seen:
    """What a check saw: a sentence, the numbers in it, and where to look next unless it is a pass."""

    state: State
    seen: str
    look_at: str = ""
    numbers: Numbers = field(default_factory=dict)


class NotYet(Exception):
    """A check that can go no further; its reason is a Seen."""

    def __init__(self, seen: str, look_at: str, /, **numbers: float) -> None:
        super().__init__(seen)
        self.reason = Seen("not yet", seen, look_at, numbers)


def _stack(interface: Interface, server: str, threads: int | None) -> Stack:
    lab = Lab("exercise", "exercises.project", "async", interface, "one exercise", has_workloads=False)
    return Stack(lab, SERVERS[server], Budget(threads, 1))


ASGI, WSGI = _stack("asgi", "uvicorn", None), _stack("wsgi", "gthread", 8)


class NoEnd(httpx.ReadTimeout):
    """An answer that goes on and on."""


class Impatient(httpx.HTTPTransport):
    """Reads each answer for so long and so far; httpx alone bounds the wait for its next part only."""

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
def visiting(subject: Subject, stack: Stack = ASGI, /, **services: str) -> Iterator[Visitor]:
    """A visitor of a fresh server; killed afterwards, since one that hangs does not end when asked. Raises NotYet."""
    environment = {**subject.environment, **services}
    with serving_stack(stack, services=environment, grace_s=0) as server:
        visitor = Visitor(server)
        visitor.client = httpx.Client(
            base_url=server.url, trust_env=False, timeout=ANSWER_WITHIN_S, transport=Impatient()
        )
        with visitor.client, _failures_told(server, subject):
            yield visitor


@contextmanager
def _failures_told(server: RunningServer, subject: Subject) -> Iterator[None]:
    try:
        yield
    except NoEnd as error:
        raise NotYet(
            f"{_asked(error.request)} had no end within {ANSWER_WITHIN_S:g} s and {MOST_BYTES // 1000:,} kB.",
            "Look for a loop that nothing ends.",
        ) from None
    except httpx.TimeoutException as error:
        raise NotYet(
            f"{_asked(error.request)} had no answer within {ANSWER_WITHIN_S:g} s.",
            "Look for a wait or a loop that nothing ends, and for what holds the thread that all need.",
        ) from None
    except httpx.HTTPStatusError as error:
        raised = error_logged(server.log.read_text(errors="replace"), subject.file)
        because = f" because of {raised}" if raised and error.response.status_code == 500 else ""
        raise NotYet(
            f"{_asked(error.request)} answers {error.response.status_code}{because}.",
            _cause_to_look_at(error.response.status_code, because),
        ) from None
    except httpx.TransportError as error:
        raise NotYet(
            f"The server broke off ({type(error).__name__}) while it was asked.",
            "Look for what could end or crash its process.",
        ) from None


def _cause_to_look_at(status: int, because: str) -> str:
    if status == 500 and not because:
        return "Look for what could end the view without an error, such as `exit`."
    if not because:
        return "Look at `urlpatterns`: the URLs are to stay."
    return "Look at that line." if " in line " in because else "Look at what here could lead to it."


def _asked(request: httpx.Request) -> str:
    return request.url.raw_path.decode()


def error_logged(log: str, file: Path) -> str:
    """The last error in a server's log with the line of the file that led there; empty where there is none."""
    errors = RAISED.findall(log)
    lines = re.findall(rf'File "[^"]*/{re.escape(file.name)}", line (\d+)', log)
    where = f" in line {lines[-1]}" if lines else ""
    return f"`{errors[-1][0]}`{where}{hidden_here(errors[-1][1]).rstrip('.')}" if errors else ""


def ms_since(began_s: float) -> int:
    """Return the milliseconds since a monotonic time in seconds."""
    return int((time.monotonic() - began_s) * 1000)


@dataclass(frozen=True)
class Crowd:
    """How many of CALLERS at once were inside together at most, and the milliseconds until the first and all had gone.

    Each of them waits `wait_ms`, and at the very least `least_ms`.
    """

    wait_ms: int
    least_ms: int
    most: int
    first_ms: int
    took_ms: int

    @property
    def stood_in_line(self) -> bool:
        """Not all were inside together; or they were, but waited in turns, and two turns take twice the wait."""
        return self.most < CALLERS or self.took_ms >= 2 * self.wait_ms

    @property
    def left_early(self) -> bool:
        """Return whether the first answer came before it could have waited."""
        return self.first_ms < EARLY * self.least_ms

    @property
    def numbers(self) -> Numbers:
        """Return the numbers that a check reports: most inside at once, and milliseconds in all."""
        return {"inside_most": self.most, "crowd_ms": self.took_ms}


def crowd(visitor: Visitor, path: str, wait_ms: int, least_ms: int | None = None) -> Crowd:
    """CALLERS who ask at once, some crowds of them as long as they stand in line. NotYet where one did not wait."""
    for _ in range(CROWDS):
        met = _one_crowd(visitor, path, wait_ms, wait_ms if least_ms is None else least_ms)
        if not met.stood_in_line or met.most == 1:
            break
    if met.left_early:
        raise NotYet(
            f"Of {CALLERS} visitors who wait {wait_ms} ms one has the answer after {met.first_ms} ms.",
            "Look at how long each is made to wait: as long as its own request says.",
            **met.numbers,
        )
    return met


def _one_crowd(visitor: Visitor, path: str, wait_ms: int, least_ms: int) -> Crowd:
    visitor.census()
    with ThreadPoolExecutor(CALLERS) as pool:
        began_s = time.monotonic()
        first_ms = min(pool.map(visitor.took_ms, [path] * CALLERS))
        took_ms = ms_since(began_s)
    return Crowd(wait_ms, least_ms, int(visitor.census()["inside_most"]), first_ms, took_ms)
