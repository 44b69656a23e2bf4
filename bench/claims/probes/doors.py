"""What a stock project, its development server do: handshakes, streams, previews, static files."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from bench.claims.probes.cells import LOOKS, THREADS, get, publish
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving, serving_stack
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

OPENED, NO_ANSWER = 101, 0
OPEN_WITHIN_S = 10.0
STREAM = "/feed?n=5&ms=400"
ADMIN_FILE = "/static/admin/css/base.css"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
UVICORN = ["python", "-m", "uvicorn", "--log-level", "warning"]
Command = Callable[[int], list[str]]
"""A server's, for a port."""
ADMIN = "bench.claims.probes.admin_project"


def handshakes() -> dict[str, Any]:
    """Status that a WebSocket to stock Django gets from two servers that can open one, and from one that cannot.

    `channels` is what the first of them answers for a project with Channels: the same question can be answered so.
    """
    uvicorn = [*UVICORN, "--lifespan", "off", "--ws", "websockets-sansio"]
    commands: dict[str, Command] = {
        "uvicorn": lambda port: [*uvicorn, "--port", str(port), "labs.async_asgi.asgi:application"],
        "daphne": parse_stack("async_asgi@daphne").command,
        "gthread": parse_stack(f"sync_wsgi@gthread:{THREADS}").command,
    }
    found = {name: _handshake_at(command) for name, command in commands.items()}
    channels = _handshake_at(parse_stack("channels_live@uvicorn").command, "/ws/chat/one")
    return {"servers": len(found), "opened": list(found.values()).count(OPENED), **found, "channels": channels}


def _handshake_at(command: Command, path: str = "/ws") -> int:
    with _on_a_port(command) as server:
        return asyncio.run(status_of_handshake(server.url, path))


@contextmanager
def _on_a_port(command: Command) -> Iterator[RunningServer]:
    port = free_port()
    with serving(command(port), port, environment={}, grace_s=0) as server:
        yield server


async def status_of_handshake(http: str, path: str) -> int:
    """Of a server's address: 101 where it opens, the status where it is refused, 0 where no HTTP comes back."""
    url = http.replace("http://", "ws://") + path
    try:
        async with connect(url, origin=http, proxy=None, open_timeout=OPEN_WITHIN_S):  # type: ignore[arg-type]
            return OPENED
    except InvalidStatus as refusal:
        return refusal.response.status_code
    except (InvalidHandshake, EOFError, TimeoutError):
        return NO_ANSWER


def runserver() -> dict[str, Any]:
    """`manage.py runserver` as Django has it and as the app `daphne` has it: handler, loops, handshake, streams."""
    found: dict[str, Any] = {"looks": LOOKS}
    for name in ("django", "daphne"):
        with _runserver(name) as server:
            looks = [get(server, "/process") for _ in range(LOOKS)]
            found |= {
                f"{name}_request": looks[0]["request"],
                f"{name}_loops": len({look["loop"] for look in looks}),
                f"{name}_handshake": asyncio.run(status_of_handshake(server.url, "/ws/chat/one")),
                f"{name}_streams": is_open_after_its_first_event(server),
            }
    return found


@contextmanager
def _runserver(name: str) -> Iterator[RunningServer]:
    port = free_port()
    command = ["python", "-m", "labs.channels_live.manage", "runserver", "--noreload", f"{HOST}:{port}"]
    with serving(command, port, environment={"LAB_RUNSERVER": name}, grace_s=0) as server:
        yield server


def is_open_after_its_first_event(server: RunningServer) -> bool:
    """Whether a feed still listens when its client has the first event: it was sent as it came."""
    with httpx.stream("GET", f"{server.url}{STREAM}", trust_env=False, timeout=30) as feed:
        events = feed.iter_text()  # kept: when it goes, it closes the connection
        next(events)
        return publish(server, "one") > 0


def live_preview() -> dict[str, Any]:
    """An editor's preview behind WSGI by each of its three ways: POST, event stream, WebSocket."""
    path = "/drafts/claim"
    with (
        serving_stack(parse_stack(f"live_preview_wsgi@gthread:{THREADS}"), grace_s=0) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        by_post = "First" in _posted(client, path, "First")
        with client.stream("GET", f"{path}/events") as events:
            parts = events.iter_text()
            _until(parts, "First")
            _posted(client, path, "Second")
            by_stream = _until(parts, "Second")
        return {
            "post": by_post,
            "stream": by_stream,
            "threads": THREADS,
            "handshake": asyncio.run(status_of_handshake(server.url, f"{path}/socket")),
        }


def _posted(client: httpx.Client, path: str, text: str) -> str:
    """The preview that comes back for a draft."""
    token = TOKEN.search(client.get(f"{path}/post").text)
    assert token, "the editor has a token"
    form = {"text": text, "csrfmiddlewaretoken": token[1]}
    return client.post(f"{path}/post", data=form, headers={"HX-Request": "true"}).raise_for_status().text


def _until(parts: Iterator[str], wanted: str) -> bool:
    """Read until it comes; False where the stream ends first."""
    return any(wanted in part for part in parts)


def admin_files() -> dict[str, Any]:
    """The status of the admin's style sheet under Django's `runserver` and under uvicorn, in development."""
    commands: dict[str, Command] = {
        "runserver": lambda port: ["python", "-m", ADMIN, "runserver", "--noreload", f"{HOST}:{port}"],
        "uvicorn": lambda port: [*UVICORN, "--port", str(port), f"{ADMIN}:application"],
    }
    return {name: _status_at(command, ADMIN_FILE) for name, command in commands.items()}


def _status_at(command: Command, path: str) -> int:
    with _on_a_port(command) as server:
        return httpx.get(f"{server.url}{path}", trust_env=False, timeout=30).status_code
