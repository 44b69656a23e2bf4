"""asgiref's two adapters by themselves: exceptions across, sleeps gathered, and what a hop costs."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any, NamedTuple

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from bench.calls import Ticker
from bench.hops.cost import hop_us
from bench.stats import Interval, median_interval

SLEEPS, SLEEP_MS = 5, 50
ROUNDS, HOPS_OF_A_REQUEST = 20, 15


def exceptions() -> dict[str, Any]:
    """An exception raised on either side and caught on the other: whether it came, and as the same object."""
    raised = LookupError("raised on the other side")

    def fail() -> None:
        raise raised

    async def fail_on_loop() -> None:
        raise raised

    caught = [asyncio.run(_caught_on_loop(fail)), _caught_in_thread(fail_on_loop)]
    return {"directions": len(caught), "came": sum(each is not None for each in caught), "same": caught.count(raised)}


async def _caught_on_loop(fail: Any) -> LookupError | None:
    try:
        await sync_to_async(fail)()
    except LookupError as error:
        return error
    return None


def _caught_in_thread(fail: Any) -> LookupError | None:
    try:
        async_to_sync(fail)()
    except LookupError as error:
        return error
    return None


def gathered_sleeps() -> dict[str, Any]:
    """Sleeps gathered in one request: threads and time as sync_to_async is by default, and not thread-sensitive.

    `loop_ticks` of a millisecond were made meanwhile by another task.
    """
    default, free = asyncio.run(_gathered(True)), asyncio.run(_gathered(False))
    return {
        "sleeps": SLEEPS,
        "sleep_ms": SLEEP_MS,
        "loop_ticks": default.ticks,
        "default_threads": default.threads,
        "default_ms": default.took_ms,
        "free_threads": free.threads,
        "free_ms": free.took_ms,
    }


class Gathered(NamedTuple):
    threads: int
    took_ms: int
    ticks: int


async def _gathered(thread_sensitive: bool) -> Gathered:
    threads: set[int] = set()

    def sleep() -> None:
        threads.add(threading.get_ident())
        time.sleep(SLEEP_MS / 1000)

    async with ThreadSensitiveContext():
        ticker, began_s = Ticker(), time.monotonic()
        await asyncio.gather(*(sync_to_async(sleep, thread_sensitive=thread_sensitive)() for _ in range(SLEEPS)))
        took_ms = int((time.monotonic() - began_s) * 1000)
        await ticker.stop()
    return Gathered(len(threads), took_ms, len(ticker.ticks_s))


def hop_cost() -> dict[str, Any]:
    """Microseconds of a warm hop, of a request's first one, and the mean over as many as a request makes.

    The request: an async view under the seven middlewares of a new project. All on one core, as `bench.hops.cost`.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    warm = [asyncio.run(hop_us(False)) for _ in range(ROUNDS)]
    first = [asyncio.run(_first_hop_us()) for _ in range(ROUNDS)]
    means = [(one + (HOPS_OF_A_REQUEST - 1) * hop) / HOPS_OF_A_REQUEST for one, hop in zip(first, warm, strict=True)]
    return {
        "hops": HOPS_OF_A_REQUEST,
        "warm_us": _interval(warm),
        "first_us": _interval(first),
        "mean_us": _interval(means),
    }


async def _first_hop_us() -> float:
    """With the thread that it makes; the process has made such threads before."""
    async with ThreadSensitiveContext():
        await sync_to_async(int)()
    async with ThreadSensitiveContext():
        began_ns = time.perf_counter_ns()
        await sync_to_async(int)()
        return (time.perf_counter_ns() - began_ns) / 1000


def _interval(values: list[float]) -> dict[str, float]:
    interval = median_interval(values)
    assert isinstance(interval, Interval), "there are enough rounds"
    return {"low": interval.low, "estimate": interval.estimate, "high": interval.high}
