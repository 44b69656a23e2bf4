"""The rates of a lane over the last seconds: answers, latency, CPU, and the limit that theory sets for them."""

import time
from collections import deque
from typing import Any

from bench.analyse.queueing import limit_per_s
from bench.learn.room.settings import Settings
from bench.learn.room.visitors import LATENCIES_FOR_S, Visitors
from bench.measure.process_usage import Reading, cpu_share
from bench.model.stacks import Stack
from bench.model.workloads import parse_request

LEAST_S, CPU_OVER_S = 0.5, 1.0
SORTED_EVERY_S = 0.25


class Rates:
    """Keeps the readings of the last seconds, from the server's start or the last change of what is asked of it on."""

    def __init__(self, visitors: Visitors) -> None:
        self.visitors, self.began_s = visitors, time.monotonic()
        self.asked: tuple[object, ...] = ()
        self.readings: deque[tuple[Reading, int]] = deque()
        self.sorted_s, self.p50_s, self.p99_s = 0.0, None, None  # type: float, float | None, float | None

    def of(self, reading: Reading, settings: Settings, stack: Stack) -> dict[str, Any]:
        """Return the rates after one more reading; None for what the time so far does not say."""
        if self.asked != (asked := (settings.path, settings.visitors, settings.leaves, settings.database_away)):
            self.asked, self.began_s = asked, reading.at_s
            self.readings.clear()
        self.readings.append((reading, self.visitors.books.answered))
        while self.readings[0][0].at_s < reading.at_s - LATENCIES_FOR_S:
            self.readings.popleft()
        self._sort(reading.at_s)
        cpu_s = self._cpu_s_per_answer()
        return {
            "per_s": self._per_s(),
            "cpu_share": cpu_share(self._before(CPU_OVER_S), reading),
            "p50_ms": self.p50_s and 1000 * self.p50_s,
            "p99_ms": self.p99_s and 1000 * self.p99_s,
            "cpu_us_per_request": cpu_s and 1e6 * cpu_s,
            "limit_per_s": _limit(settings, stack, cpu_s),
        }

    def _sort(self, now_s: float) -> None:
        """Compute percentiles anew, but not for each sample: thousands of answers take a millisecond to sort."""
        if now_s - self.sorted_s < SORTED_EVERY_S:
            return
        took_s = self.visitors.recent(min(LATENCIES_FOR_S, now_s - self.began_s))
        self.sorted_s = now_s
        self.p50_s, self.p99_s = (took_s[int(share * len(took_s))] if took_s else None for share in (0.5, 0.99))

    def _per_s(self) -> float | None:
        (reading, answered), (before, answered_before) = self.readings[-1], self.readings[0]
        elapsed_s = reading.at_s - before.at_s
        return (answered - answered_before) / elapsed_s if elapsed_s > LEAST_S else None

    def _cpu_s_per_answer(self) -> float | None:
        (reading, answered), (before, answered_before) = self.readings[-1], self.readings[0]
        return (reading.cpu_s - before.cpu_s) / (answered - answered_before) if answered > answered_before else None

    def _before(self, seconds: float) -> Reading:
        """The last reading that is at least so old, else the first."""
        newest_s = self.readings[-1][0].at_s
        old = (each for each, _ in reversed(self.readings) if each.at_s <= newest_s - seconds)
        return next(old, self.readings[0][0])


def _limit(settings: Settings, stack: Stack, cpu_s: float | None) -> float | None:
    """The limit of throughput for these visitors with the measured CPU time of a request; None while none is known."""
    if cpu_s is None or not settings.visitors or settings.behind == "stream":
        return None
    request = parse_request(settings.path.removeprefix("/"))
    return limit_per_s(
        users=settings.visitors, io_wait_s=request.io_wait_s(stack), cpu_s=cpu_s, threads=request.slots(stack)
    )
