"""Calls to the upstream service through httpx: one client per process, sync or async, with equal limits.

What the upstream writes as a stream is passed on by `upstream_stream.py`.
"""

import asyncio
import atexit
import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

UPSTREAM_URL = os.environ.get("LAB_UPSTREAM_URL", "http://127.0.0.1:8900")
ClientT = TypeVar("ClientT")
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
    with explained():
        return _waited_ms(CLIENT.get("/wait", params={"ms": ms}))


async def ask_upstream_async(client: httpx.AsyncClient, ms: int) -> int:
    """Return the milliseconds that the upstream says it waited; awaits it. Raises ConnectionError if none is there."""
    with explained():
        return _waited_ms(await client.get("/wait", params={"ms": ms}))


async def ask_upstream_in(pool: Executor, ms: int) -> int:
    """What is left to async code when the client library is sync only: a thread for each call."""
    return await asyncio.get_running_loop().run_in_executor(pool, ask_upstream, ms)


def async_client(request: HttpRequest) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """The client of httpx for this request."""
    return client_for(request, new_async_client)


def new_async_client() -> httpx.AsyncClient:
    """Make a client, which belongs to the running loop."""
    return httpx.AsyncClient(**OPTIONS)


@asynccontextmanager
async def client_for(
    request: HttpRequest, make: Callable[[], AbstractAsyncContextManager[ClientT]]
) -> AsyncIterator[ClientT]:
    """The process's one client under ASGI, a client for this request alone under WSGI.

    A connection belongs to the event loop that opened it. Under ASGI one loop lives as long as the process.
    Under WSGI async_to_sync makes a loop for each request and closes it with the answer: a client kept for
    the next request would hold connections of a dead loop ("Event loop is closed"), so nothing can be shared.
    """
    if isinstance(request, ASGIRequest):
        yield cast(ClientT, shared_client(make, asyncio.get_running_loop()))
    else:
        async with make() as client:
            yield client


@lru_cache(maxsize=2)
def shared_client(make: Callable[[], Any], loop: Hashable) -> Any:
    """Return the process's async client of this kind: the same one for as long as the loop is the same."""
    # Never closed by us: Django's ASGI handler takes no lifespan events, so the client ends with the process.
    return make()


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
def explained() -> Iterator[None]:
    """Raise ConnectionError with the command that starts the upstream where it cannot be reached."""
    try:
        yield
    except (httpx.ConnectError, OSError) as error:
        command = f"uvicorn labs.upstream.asgi:application --port {urlsplit(UPSTREAM_URL).port or 80}"
        raise ConnectionError(f"No upstream at {UPSTREAM_URL} ({error}); start it with: {command}") from error
