"""Calls to the upstream service through httpx: one client per process, sync or async, with equal limits."""

import asyncio
import atexit
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

UPSTREAM_URL = os.environ.get("LAB_UPSTREAM_URL", "http://127.0.0.1:8900")
TIMEOUT_S = 30  # beyond the longest wait there is, 10 s
# Idle connections are not kept: httpcore looks at each of them, with a system call, whenever any request begins
# or ends. Hundreds of them cost more than connecting anew (https://github.com/encode/httpcore/pull/1035), the async
# pool most of all, and fan_out would compare pools instead of ways of waiting.
LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=0)
OPTIONS: dict[str, Any] = {
    "base_url": UPSTREAM_URL,
    "limits": LIMITS,
    "timeout": TIMEOUT_S,
    "trust_env": False,
    "verify": httpx.create_ssl_context(),  # once: a client that makes its own reads all certificates again
}
CLIENT = httpx.Client(**OPTIONS)
atexit.register(CLIENT.close)


def ask_upstream(ms: int) -> int:
    """Waits in this thread until the upstream has waited; gives the milliseconds that it says it waited."""
    with _explained():
        return _waited_ms(CLIENT.get("/wait", params={"ms": ms}))


async def ask_upstream_async(client: httpx.AsyncClient, ms: int) -> int:
    """Return the milliseconds that the upstream says it waited; awaits it. Raises ConnectionError if none is there."""
    with _explained():
        return _waited_ms(await client.get("/wait", params={"ms": ms}))


async def ask_upstream_in(pool: Executor, ms: int) -> int:
    """What is left to async code when the client library is sync only: a thread for each call."""
    return await asyncio.get_running_loop().run_in_executor(pool, ask_upstream, ms)


@asynccontextmanager
async def async_client(request: HttpRequest) -> AsyncIterator[httpx.AsyncClient]:
    """The process's one client under ASGI, a client for this request alone under WSGI.

    A connection belongs to the event loop that opened it. Under ASGI one loop lives as long as the process.
    Under WSGI async_to_sync makes a loop for each request and closes it with the answer: a client kept for
    the next request would hold connections of a dead loop ("Event loop is closed"), so nothing can be shared.
    """
    if isinstance(request, ASGIRequest):
        yield shared_async_client(asyncio.get_running_loop())
    else:
        async with httpx.AsyncClient(**OPTIONS) as client:
            yield client


@lru_cache(maxsize=1)
def shared_async_client(loop: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
    """Return the process's async client: the same one for as long as the loop is the same."""
    # Never closed by us: Django's ASGI handler takes no lifespan events, so the client ends with the process.
    return httpx.AsyncClient(**OPTIONS)


class LoopThreadPool(ThreadPoolExecutor):
    """A thread pool to leave from inside an event loop: it does not wait for its threads.

    ThreadPoolExecutor waits on leaving `with`. When one call fails or the visitor has gone, the other threads
    are still busy, and waiting for them would stop the loop and every other request with it.
    """

    def __exit__(self, *exception: object) -> None:
        self.shutdown(wait=False, cancel_futures=True)


def _waited_ms(response: httpx.Response) -> int:
    return response.raise_for_status().json()["waited_ms"]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        command = f"uvicorn labs.upstream.asgi:application --port {urlsplit(UPSTREAM_URL).port or 80}"
        raise ConnectionError(f"No upstream at {UPSTREAM_URL}; start it with: {command}") from error
