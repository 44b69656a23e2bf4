"""Passes on what the upstream writes in small parts, each part as it comes: one generator for each kind of code.

Leaving a generator early closes its connection, which is how the upstream hears that nobody reads any more.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.http import HttpRequest

from labs.common.gauge import inside
from labs.common.upstream_client import CLIENT, TIMEOUT_S, UPSTREAM_URL, async_client, client_for, explained

if TYPE_CHECKING:
    from aiohttp import ClientSession

MOST_CONNECTIONS = 1000


def pass_on(n: int, ms: int) -> Iterator[bytes]:
    """Yield the parts, read with httpx; waiting holds this thread. Raises ConnectionError if no upstream is there."""
    with inside(), explained(), CLIENT.stream("GET", _path(n, ms)) as response:
        yield from response.raise_for_status().iter_raw()


async def pass_on_async(request: HttpRequest, n: int, ms: int) -> AsyncIterator[bytes]:
    """The same; waiting gives the loop away."""
    with inside(), explained():
        async with async_client(request) as client, client.stream("GET", _path(n, ms)) as response:
            async for part in response.raise_for_status().aiter_raw():
                yield part


def pass_on_lean(n: int, ms: int) -> Iterator[bytes]:
    """Yield the parts, read with the standard library's client; waiting holds this thread."""
    upstream = urlsplit(UPSTREAM_URL)
    connection = HTTPConnection(str(upstream.hostname), upstream.port, timeout=TIMEOUT_S)
    with inside(), explained(), closing(connection):
        connection.request("GET", _path(n, ms))
        with connection.getresponse() as response:
            while part := response.read1():
                yield part


async def pass_on_lean_async(request: HttpRequest, n: int, ms: int) -> AsyncIterator[bytes]:
    """The same, read with aiohttp; waiting gives the loop away."""
    with inside(), explained():
        async with client_for(request, new_session) as session, session.get(_path(n, ms)) as response:
            async for part in response.content.iter_any():
                yield part


def new_session() -> "ClientSession":
    """Make a session of aiohttp with the limits of our httpx clients; it belongs to the running loop."""
    from aiohttp import ClientSession, ClientTimeout, TCPConnector  # here: no other workload needs it

    return ClientSession(
        UPSTREAM_URL,
        connector=TCPConnector(limit=MOST_CONNECTIONS, force_close=True),
        timeout=ClientTimeout(total=None, sock_read=TIMEOUT_S, sock_connect=TIMEOUT_S),
        raise_for_status=True,
    )


def _path(n: int, ms: int) -> str:
    return f"/tokens?n={n}&ms={ms}"
