"""What a client that leaves wastes, and what SIGTERM loses (checklist: waste measured), by counts on real servers."""

import asyncio

import httpx
import pytest

from bench.base.polling import eventually
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.processes import all_inside, inside, outcomes_of_sigterm
from bench.model import servers
from bench.model.servers import GRACEFUL_STOP_S
from bench.model.stacks import parse_stack

CLIENTS = 4
WASTED_AFTER_S, WAIT_MS = 1.0, 8000
SHORT_MS, LONG_MS = (400, 1500, 4000), 1000 * (GRACEFUL_STOP_S + 8)
SERVERS = [
    *("sync_wsgi@gthread:8", "sync_asgi@uvicorn", "async_asgi@uvicorn", "zero_hop@uvicorn"),
    *("sync_wsgi@gevent:100", "sync_wsgi@granian:8", "async_asgi@granian", "async_asgi@hypercorn"),
    "sync_wsgi@uwsgi:8",
]


def ask_and_leave(server: RunningServer) -> None:
    """Ask CLIENTS times, and hang up when all are inside."""

    async def ask() -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=30, trust_env=False) as client:
            asked = [asyncio.create_task(client.get(f"/wait?ms={WAIT_MS}")) for _ in range(CLIENTS)]
            assert await asyncio.to_thread(all_inside, server, asked)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("stack", "middleware", "wasted"),
    [
        ("sync_wsgi@gthread:8", [], CLIENTS),
        ("sync_asgi@uvicorn", [], CLIENTS),
        ("async_asgi@uvicorn", [], 0),
        ("zero_hop@uvicorn", [], 0),
        ("zero_hop@uvicorn", ["startproject"], 0),
        ("pinned_pool@uvicorn", [], 0),
        ("sync_wsgi@gevent:100", [], CLIENTS),
        ("sync_wsgi@granian:8", [], CLIENTS),
        ("sync_wsgi@uwsgi:8", [], CLIENTS),
        ("async_asgi@granian", [], 0),
        ("async_asgi@hypercorn", [], 0),
    ],
)
def test_a_client_that_leaves_cancels_an_async_view_and_nothing_else(
    stack: str, middleware: list[str], wasted: int
) -> None:
    with serving_stack(parse_stack(stack), middleware=middleware, grace_s=0) as server:
        ask_and_leave(server)
        if wasted:
            assert not eventually(lambda: inside(server) < wasted, WASTED_AFTER_S)
        else:
            assert eventually(lambda: inside(server) == 0, WAIT_MS / 2000)


@pytest.mark.parametrize("stack", SERVERS)
def test_sigterm_lets_what_is_short_be_answered(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "GRACEFUL_STOP_S", 10)  # a busy machine may hold a short one up for longer than 1 s
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        assert outcomes_of_sigterm(server, CLIENTS, *SHORT_MS) == {"200": CLIENTS}


@pytest.mark.parametrize("stack", [stack for stack in SERVERS if "uwsgi" not in stack])
def test_sigterm_loses_what_takes_longer_than_the_grace(stack: str) -> None:
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        seen = outcomes_of_sigterm(server, CLIENTS, LONG_MS)
        assert seen["200"] == 0, seen
        assert seen.total() == CLIENTS


def test_uwsgi_has_no_grace_that_ends() -> None:
    with serving_stack(parse_stack("sync_wsgi@uwsgi:8"), grace_s=0) as server:
        assert outcomes_of_sigterm(server, CLIENTS, 1000 * (GRACEFUL_STOP_S + 2), LONG_MS) == {"200": CLIENTS}
