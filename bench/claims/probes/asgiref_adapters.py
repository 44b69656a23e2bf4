"""Probes asgiref's two adapters by themselves: exceptions across them, gathered sleeps, the cost of a hop."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any, NamedTuple

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from bench.claims.exhibits.blocking_calls import Ticker

SLEEPS, SLEEP_MS = 5, 50
REQUESTS, HOPS_OF_A_REQUEST, FASTEST = 1500, 15, 50


def exceptions() -> dict[str, Any]:
    """Raise an exception on either side and catch it on the other: does it come, and as the same object?"""
    raised = LookupError("raised on the other side")

    def fail() -> None:
        raise raised

    async def fail_on_loop() -> None:
        raise raised

    async def catch_on_loop() -> list[Any]:
        return await asyncio.gather(sync_to_async(fail)(), return_exceptions=True)

    with ThreadPoolExecutor(1) as pool:
        caught = [*asyncio.run(catch_on_loop()), pool.submit(async_to_sync(fail_on_loop)).exception()]
    came = sum(isinstance(each, LookupError) for each in caught)
    return {"directions": len(caught), "came": came, "same": caught.count(raised)}


def gathered_sleeps() -> dict[str, Any]:
    """Gather sleeps in one request: threads and time with sync_to_async as it is by default, and not thread-sensitive.

    `loop_ticks` are the milliseconds that another task ticked meanwhile, `bare_ticks` those of a sleep on the loop.
    """
    default, free = asyncio.run(_gathered(True)), asyncio.run(_gathered(False))
    return {
        "sleeps": SLEEPS,
        "sleep_ms": SLEEP_MS,
        "loop_ticks": default.ticks,
        "bare_ticks": asyncio.run(_bare_ticks()),
        "default_threads": default.threads,
        "default_ms": default.took_ms,
        "free_threads": free.threads,
        "free_ms": free.took_ms,
    }


class Gathered(NamedTuple):
    """The outcome of gathered sleeps: threads that slept, milliseconds in all, ticks of another task meanwhile."""

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


async def _bare_ticks() -> int:
    ticker = Ticker()
    await ticker.settle()
    time.sleep(SLEEP_MS / 1000)
    await ticker.stop()
    return len(ticker.ticks_s)


def hop_cost() -> dict[str, Any]:
    """Measure the microseconds of a request's hops, as many as an async view makes under the seven middlewares.

    The mean of all, a warm one, and the first, with the thread that it makes: each of the fastest 50 of many
    requests, since whatever else runs here only slows; and what all hops of the median request take together. All on
    one core: how soon another one wakes up differs by more than what is measured.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    requests = asyncio.run(_requests())
    sums = list(map(sum, requests))
    return {
        "hops": HOPS_OF_A_REQUEST,
        "requests": REQUESTS,
        "fastest": FASTEST,
        "all_us": round(median(sums)),
        "mean_us": _fastest([total / HOPS_OF_A_REQUEST for total in sums]),
        "warm_us": _fastest([rest / (HOPS_OF_A_REQUEST - 1) for _, rest in requests]),
        "first_us": _fastest([first for first, _ in requests]),
    }


async def _requests() -> list[tuple[float, float]]:
    """Return for each request the microseconds of its first hop and of all others."""
    hop, found = sync_to_async(int), list[tuple[float, float]]()
    for _ in range(REQUESTS):
        async with ThreadSensitiveContext():
            began_ns = time.perf_counter_ns()
            await hop()
            warm_ns = time.perf_counter_ns()
            for _ in range(HOPS_OF_A_REQUEST - 1):
                await hop()
            found.append(((warm_ns - began_ns) / 1000, (time.perf_counter_ns() - warm_ns) / 1000))
    return found


def _fastest(values: list[float]) -> dict[str, float]:
    """Return the least, the median and the most of the fastest."""
    chosen = sorted(values)[:FASTEST]
    return {"low": chosen[0], "estimate": median(chosen), "high": chosen[-1]}
