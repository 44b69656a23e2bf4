"""Concurrency proved by count, identity and lower bounds that logic forces: how many callers are inside at once."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from bench.base.polling import eventually
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.processes import Burst, at_rest, burst
from bench.model.stacks import parse_stack

CALLERS = 20


def whoami(server: RunningServer) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{server.url}/whoami", trust_env=False, timeout=30).json()
    return answer


def wait_and_look(server: RunningServer, most_threads: float = math.inf) -> list[dict[str, Any]]:
    """What `whoami` says while 20 callers wait.

    They wait longer where a busy machine does not let all in meanwhile, or still has more threads that are to end.
    """
    for ms in (1000, 2000, 4000):
        looks = asyncio.run(_wait_and_look(server, ms))
        threads = max(look["threads_alive"] for look in looks)
        if {look["inside_now"] for look in looks} == {CALLERS} and threads <= most_threads:
            break
    return looks


async def _wait_and_look(server: RunningServer, ms: int) -> list[dict[str, Any]]:
    """Seen by three more in the middle of it."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
        waits = [asyncio.create_task(client.get(f"/wait?ms={ms}")) for _ in range(CALLERS)]
        while not waits[0].done():
            if (await client.get("/whoami")).json()["inside_now"] == CALLERS:
                break
        looks = await asyncio.gather(*(client.get("/whoami") for _ in range(3)))
        assert {answer.status_code for answer in await asyncio.gather(*waits)} == {200}
    return [look.json() for look in looks]


def burst_inside(server: RunningServer, path: str, ms: int, inside: int) -> tuple[Burst, float]:
    """20 requests that wait at once, and seconds that each waits: more where a busy machine let in fewer meanwhile."""
    for wait_ms in (ms, 4 * ms, 10 * ms):
        waited = burst(server.url, [f"{path}?ms={wait_ms}"] * CALLERS)
        if whoami(server)["inside_most"] == inside:
            break
    return waited, wait_ms / 1000


def test_20_waits_in_sync_views_under_asgi_are_inside_at_once_on_20_threads() -> None:
    with serving_stack(parse_stack("sync_asgi@uvicorn")) as server:
        looks = wait_and_look(server)
        assert whoami(server)["inside_most"] == CALLERS
    assert {look["inside_now"] for look in looks} == {CALLERS}
    assert not any(look["loop_running"] for look in looks)
    assert len({look["thread_id"] for look in looks}) == len(looks)
    # The loop's thread, one for each caller who sleeps in time.sleep, and the one that looks.
    assert min(look["threads_alive"] for look in looks) >= 1 + CALLERS + 1


def test_20_waits_in_async_views_are_inside_at_once_on_one_loop() -> None:
    with serving_stack(parse_stack("async_asgi@uvicorn")) as server:
        looks = wait_and_look(server)
        assert whoami(server)["inside_most"] == CALLERS
    assert {look["inside_now"] for look in looks} == {CALLERS}
    assert all(look["loop_running"] for look in looks)
    assert len({(look["thread_id"], look["thread_name"]) for look in looks}) == 1


def test_20_waits_on_the_bare_loop_need_no_more_threads_than_one() -> None:
    with serving_stack(parse_stack("bare_asgi@uvicorn")) as server:
        process = psutil.Process(server.pid)
        before = at_rest(process.num_threads)
        for _ in range(3):  # a busy machine takes longer for it
            waited = burst(server.url, ["/wait?ms=200"] * CALLERS)
            if waited.took_s < CALLERS * 0.2 / 2:
                break
        assert process.num_threads() == before
    assert {answer.status_code for answer in waited.answers} == {200}
    assert 0.2 <= waited.took_s < CALLERS * 0.2 / 2


@pytest.mark.parametrize(
    ("stack", "middleware", "least", "most"),
    [
        ("async_asgi@uvicorn", [], CALLERS, CALLERS + 5),  # one is parked for each, though the view is async
        ("pinned_pool@uvicorn", [], 16, 16 + 5),
        ("zero_hop@uvicorn", [], 1, 5),
        ("zero_hop@uvicorn", ["startproject"], 1, 5),
    ],
)
def test_20_waits_in_async_views_take_the_threads_that_their_handler_takes(
    stack: str, middleware: list[str], least: int, most: int
) -> None:
    with serving_stack(parse_stack(stack), middleware=middleware) as server:
        looks = wait_and_look(server, most)
        process = psutil.Process(server.pid)
        assert eventually(lambda: process.num_threads() <= most, 10), process.num_threads()  # some are still ending
    assert {look["inside_now"] for look in looks} == {CALLERS}
    assert least <= max(look["threads_alive"] for look in looks) <= most


@pytest.mark.parametrize(
    ("stack", "ms", "inside"),
    [
        ("sync_wsgi@gthread:4", 100, 4),
        ("async_wsgi@gthread:4", 100, 4),  # an async view under WSGI holds its thread all the same
        ("sync_wsgi@gthread:64", 800, 20),
        ("sync_wsgi@sync", 20, 1),
        ("sync_wsgi@granian:4", 100, 4),
        ("sync_wsgi@gevent:4", 100, 4),
        ("sync_wsgi@uwsgi:4", 100, 4),
    ],
)
def test_under_wsgi_no_more_are_inside_than_there_are_threads(stack: str, ms: int, inside: int) -> None:
    with serving_stack(parse_stack(stack)) as server:
        waited, wait_s = burst_inside(server, "/wait", ms, inside)
        assert whoami(server)["inside_most"] == inside
    assert {answer.status_code for answer in waited.answers} == {200}
    assert waited.took_s >= CALLERS / inside * wait_s


def hello_behind(server: RunningServer, path: str, holds: Callable[[bool, float], bool]) -> bool:
    """Whether it holds of one of three tries: on a busy machine hello may come before `path`, or after its end."""
    return any(holds(*asyncio.run(_hello_behind(server, path))) for _ in range(3))


async def _hello_behind(server: RunningServer, path: str) -> tuple[bool, float]:
    """Ask `path` and a little later /hello: was `path` still waiting when hello had its answer, and after how long?"""
    async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
        began_s = time.monotonic()
        first = asyncio.create_task(client.get(path))
        await asyncio.sleep(0.2)
        await client.get("/hello")
        seen = not first.done(), time.monotonic() - began_s
        await first
        return seen


def test_a_blocking_call_in_an_async_view_lets_one_inside_and_stalls_every_request() -> None:
    with serving_stack(parse_stack("async_asgi@uvicorn")) as server:
        waited = burst(server.url, ["/blocking_wait?ms=50"] * CALLERS)
        assert whoami(server)["inside_most"] == 1
        assert hello_behind(server, "/blocking_wait?ms=800", lambda still_waits, hello_s: hello_s >= 0.8)
    assert {answer.status_code for answer in waited.answers} == {200}
    assert waited.took_s >= CALLERS * 0.050


def test_the_same_blocking_call_in_a_sync_view_under_asgi_stalls_nobody() -> None:
    with serving_stack(parse_stack("sync_asgi@uvicorn")) as server:
        waited, wait_s = burst_inside(server, "/blocking_wait", 500, CALLERS)
        assert whoami(server)["inside_most"] == CALLERS
        assert hello_behind(server, "/blocking_wait?ms=1500", lambda still_waits, hello_s: still_waits)
    assert {answer.status_code for answer in waited.answers} == {200}
    assert waited.took_s >= wait_s
