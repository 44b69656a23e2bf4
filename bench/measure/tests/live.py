"""Clients of `channels_live` for tests: sockets, what is told over them, and what is open in the server."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from bench.measure.readiness import RunningServer

LIVE_STACKS = ("channels_live@uvicorn", "channels_live@daphne")
WITHIN_S = 10.0


class Address(Protocol):
    """A server, or whatever knows its address."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class Elsewhere:
    """The address of a server that somebody else has started."""

    url: str


def socket(server: Address, path: str, *, origin: str | None = "") -> connect:
    """A WebSocket to be opened by `async with` or `await`; its origin is the server's own unless another is given."""
    url = server.url.replace("http://", "ws://")
    return connect(url + path, origin=server.url if origin == "" else origin, proxy=None, open_timeout=WITHIN_S)  # type: ignore[arg-type]


async def heard(client: ClientConnection) -> dict[str, Any]:
    """The next message of a room."""
    return dict(json.loads(await asyncio.wait_for(client.recv(), WITHIN_S)))


async def enter(server: Address, path: str) -> ClientConnection:
    """A socket that is in its room: it has been welcomed."""
    client = await socket(server, path)
    assert (await heard(client)).keys() == {"you", "sockets", "threads"}
    return client


async def refused_with(server: Address, path: str, *, origin: str | None = "") -> int:
    """The status of a handshake that is refused; 101 for one that is not."""
    try:
        async with socket(server, path, origin=origin):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def get(server: Address, path: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}{path}", trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def publish(server: Address, text: str) -> httpx.Response:
    return httpx.post(f"{server.url}/publish", params={"text": text}, trust_env=False, timeout=30)


def open_there(server: RunningServer) -> dict[str, int]:
    """Tasks, threads, descriptors, listeners to news and members of rooms in the server's process."""
    process, inside = server.family()[0], get(server, "/process")
    return {
        "tasks": inside["tasks"],
        "threads": process.num_threads(),
        "descriptors": process.num_fds(),
        "listeners": inside["news_listeners"],
        "in rooms": inside["in_rooms"],
    }
