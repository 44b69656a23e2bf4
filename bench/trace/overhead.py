"""What watching costs: the same hops with and without, in turns.

    python -m bench.trace.overhead

prints microseconds a hop takes unwatched, watched, and what is between them, with intervals over the rounds. All on
one core: how soon another one wakes up differs by more than what is measured.
"""

from __future__ import annotations

import asyncio
import os
import sys
from time import perf_counter_ns

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from bench.analyse.stats import median_interval
from bench.base.console import console, run_program
from bench.base.errors import ExitCode
from bench.trace.inside.asgiref_hooks import Monitoring, Observer, Wrapping, observing
from bench.trace.inside.collector import Collector
from bench.trace.inside.sink import REQUEST

HOPS, ROUNDS = 1000, 40


async def measure_hop_us(watched: bool) -> float:
    """The mean of many hops of one request, its thread already there."""
    async with ThreadSensitiveContext():
        hop = sync_to_async(int)
        await hop()
        REQUEST.set(Collector("asgi", "GET", "/") if watched else None)
        began_ns = perf_counter_ns()
        for _ in range(HOPS):
            await hop()
        return (perf_counter_ns() - began_ns) / HOPS / 1000


def measure_rounds(observer: Observer) -> list[tuple[float, float]]:
    """(unwatched, watched) in microseconds, round by round, one after the other."""
    found = []
    for _ in range(ROUNDS):
        off_us = asyncio.run(measure_hop_us(False))
        with observing(observer):
            found.append((off_us, asyncio.run(measure_hop_us(True))))
    return found


def interval_text(values: list[float]) -> str:
    """The median with its interval."""
    interval = median_interval(values)
    assert interval, "there are enough rounds"
    return f"{interval.estimate:.1f} µs a hop ({interval.low:.1f} to {interval.high:.1f})"


def main() -> int:
    """Measure the hops with and without each observer, bound to one core, and print the costs."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    observers: list[Observer] = [Wrapping()] + ([Monitoring()] if sys.version_info >= (3, 12) else [])
    for observer in observers:
        rounds = measure_rounds(observer)
        parts = {
            "unwatched": [off for off, _ in rounds],
            "watched": [on for _, on in rounds],
            "watching costs": [on - off for off, on in rounds],
        }
        for name, values in parts.items():
            console().print(f"{observer.name}: {name} {interval_text(values)}", highlight=False)
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
