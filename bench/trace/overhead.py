"""What watching costs: the same hops with and without, in turns.

    python -m bench.trace.overhead

prints microseconds a hop takes unwatched, watched, and what is between them, with intervals over the rounds. All on
one core: how soon another one wakes up differs by more than what is measured.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import perf_counter_ns

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from bench.analyse.stats import median_interval
from bench.base.console import console, run_program
from bench.base.errors import ExitCode
from bench.trace.inside.asgiref_hooks import monitoring, wrapping
from bench.trace.inside.collector import Collector
from bench.trace.inside.sink import REQUEST

HOPS, ROUNDS = 1000, 40
OBSERVERS = (wrapping, monitoring) if sys.version_info >= (3, 12) else (wrapping,)


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


def print_costs(observing: Callable[[], AbstractContextManager[str]]) -> None:
    """Measure the hops with and without this observer, round by round, and print medians with their intervals."""
    costs_us: dict[str, list[float]] = {"unwatched": [], "watched": [], "watching costs": []}
    for _ in range(ROUNDS):
        off_us = asyncio.run(measure_hop_us(False))
        with observing() as observer:
            on_us = asyncio.run(measure_hop_us(True))
        for values, cost_us in zip(costs_us.values(), (off_us, on_us, on_us - off_us), strict=True):
            values.append(cost_us)
    for name, values in costs_us.items():
        interval = median_interval(values)
        assert interval, "there are enough rounds"
        text = f"{interval.estimate:.1f} µs a hop ({interval.low:.1f} to {interval.high:.1f})"
        console().print(f"{observer}: {name} {text}", highlight=False)


def main() -> int:
    """Bound to one core, measure and print what each observer costs."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for observing in OBSERVERS:
        print_costs(observing)
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
