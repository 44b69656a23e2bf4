"""The driver of a lane: a closed loop of N visitors, each with one numbered request at a time on its own connection.

A new connection for each request, so that a request that no server has accepted waits where the kernel counts it: in
the accept queue. The books are exact: sent = answered + failed + left + cut off + in flight.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bench.model.servers import HOST

AFTER_FAILURE_S = 0.2
LATENCIES_FOR_S = 5.0
LEAVE_AFTER_SHARE, LEAST_PATIENCE_S = 0.25, 0.05
REMEMBERED_LEAVERS = 2000


class Visit(asyncio.Protocol):
    """One request on one connection: sent when the connection is there, answered when the server has closed it.

    Times are monotonic seconds, None for a moment that has not come.
    """

    def __init__(self, number: int, path: str) -> None:
        self.number, self.path = number, path
        self.sent_s = time.monotonic()
        self.connected_s: float | None = None
        self.first_byte_s: float | None = None
        self.head = b""
        self.body_bytes = 0
        self.transport: asyncio.BaseTransport | None = None
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport, self.connected_s = transport, time.monotonic()
        lines = (f"GET {self.path} HTTP/1.1", f"Host: {HOST}", "Connection: close", f"X-Room-Request: {self.number}")
        transport.write("\r\n".join((*lines, "\r\n")).encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Keep the head, count the body."""
        self.first_byte_s = self.first_byte_s or time.monotonic()
        if b"\r\n\r\n" in self.head:
            self.body_bytes += len(data)
            return
        head, end, body = (self.head + data).partition(b"\r\n\r\n")
        self.head, self.body_bytes = head + end, len(body)

    def connection_lost(self, error: Exception | None) -> None:
        """End the visit."""
        if not self.ended.done():
            self.ended.set_result(error)

    @property
    def is_right(self) -> bool:
        """True if the answer is 200 and whole."""
        status, *headers = self.head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in headers if line.startswith(b"content-length:")), None)
        return status[9:12] == b"200" and length in (None, self.body_bytes)

    def hang_up(self) -> None:
        """Leave without the answer."""
        if self.transport:
            self.transport.abort()  # type: ignore[attr-defined]


@dataclass
class Books:
    """What became of the requests of a lane so far. `cut` counts those that a restart of the server cut off."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    left: int = 0
    cut: int = 0

    @property
    def in_flight(self) -> int:
        """How many have no end yet."""
        return self.sent - self.answered - self.failed - self.left - self.cut


@dataclass
class Visitors:
    """The visitors of one lane, by place; those without a request are outside.

    `guests` are the visits of phones. `answers` counts, by visitor, the answers since the sampler took them. `leavers`
    are the numbers of requests whose client hung up. `latencies` has the moment of each answer in the last seconds, and
    how long it took.
    """

    path: Callable[[], str]
    port: int = 0
    leaves: bool = False
    patience_s: float = 1.0
    books: Books = field(default_factory=Books)
    current: list[Visit | None] = field(default_factory=list)
    guests: dict[int, Visit] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    leavers: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_LEAVERS))
    latencies: deque[tuple[float, float]] = field(default_factory=deque)
    errors: Counter[str] = field(default_factory=Counter)
    _tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    _last_number: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, port: int) -> None:
        """Let the visitors send requests to the port."""
        self.port = port
        self._open.set()

    def keep_out(self) -> None:
        """The server is down: no more requests until `admit`. What was under way is cut off."""
        self._open.clear()
        self.leavers.clear()
        for visit in [*filter(None, self.current), *self.guests.values()]:
            visit.hang_up()

    def resize(self, count: int) -> None:
        """Have so many visitors; those that are too many hang up."""
        for task in self._tasks[count:]:
            task.cancel()
        del self._tasks[count:], self.current[count:]
        for place in range(len(self._tasks), count):
            self.current.append(None)
            self._tasks.append(asyncio.create_task(self._visit_again(place)))

    async def close(self) -> None:
        """All visitors hang up and go."""
        tasks = list(self._tasks)
        self.resize(0)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _visit_again(self, place: int) -> None:
        while True:
            await self._open.wait()
            is_leaver = self.leaves and place % 2 == 1
            ended_well = await self.visit(place, self.patience_s if is_leaver else None)
            if not ended_well:
                await asyncio.sleep(AFTER_FAILURE_S)
            elif is_leaver:
                await asyncio.sleep(self.patience_s)

    async def visit(self, place: int | None, patience_s: float | None = None) -> bool:
        """Send one request and wait for its answer, or hang up after `patience_s`. True unless it failed.

        `place` is that of a visitor; None for a guest who has none.
        """
        self._last_number += 1
        visit = Visit(self._last_number, self.path())
        self.books.sent += 1
        self._seat(place, visit)
        try:
            async with asyncio.timeout(patience_s):
                await asyncio.get_running_loop().create_connection(lambda: visit, HOST, self.port)
                return self._book(place, visit, await visit.ended)
        except TimeoutError:
            self._leave(visit)
            return True
        except asyncio.CancelledError:
            self._leave(visit)
            raise
        except OSError as error:
            return self._book(place, visit, error)
        finally:
            visit.hang_up()
            self._unseat(place, visit)

    def _seat(self, place: int | None, visit: Visit) -> None:
        if place is None:
            self.guests[visit.number] = visit
        else:
            self.current[place] = visit

    def _unseat(self, place: int | None, visit: Visit) -> None:
        self.guests.pop(visit.number, None)
        if place is not None and place < len(self.current) and self.current[place] is visit:
            self.current[place] = None

    def _leave(self, visit: Visit) -> None:
        self.books.left += 1
        self.leavers.append(visit.number)

    def _book(self, place: int | None, visit: Visit, error: Exception | None) -> bool:
        if not self._open.is_set():
            self.books.cut += 1
        elif error is None and visit.is_right:
            now_s = time.monotonic()
            self.books.answered += 1
            self.latencies.append((now_s, now_s - visit.sent_s))
            if place is not None:
                self.answers[place] += 1
            return True
        else:
            self.books.failed += 1
            self.errors[str(error or visit.head.partition(b"\r\n")[0].decode(errors="replace") or "closed")[:80]] += 1
        return False

    def recent(self, for_s: float) -> list[float]:
        """Return how long the answers of the last seconds took, at most LATENCIES_FOR_S back, shortest first."""
        now_s = time.monotonic()
        with suppress(IndexError):
            while self.latencies[0][0] < now_s - LATENCIES_FOR_S:
                self.latencies.popleft()
        return sorted(took_s for at_s, took_s in self.latencies if at_s >= now_s - for_s)
