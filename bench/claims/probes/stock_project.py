"""Probes a stock project and its development server: handshakes, streams, previews, static files."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx

from bench.claims.probes.serving import OPENED, Command, get, publish, serve, status_of_handshake
from bench.claims.probes.view_and_interface import LOOKS, THREADS
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

STREAM = "/feed?n=5&ms=400"
ADMIN_FILE = "/static/admin/css/base.css"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
UVICORN = ["python", "-m", "uvicorn", "--log-level", "warning"]
ADMIN = "bench.claims.probes.admin_project"


def handshakes() -> dict[str, Any]:
    """Ask for a WebSocket to stock Django, on two servers that can open one and on one that cannot.

    `channels` is the status that the first server gives for a project with Channels.
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
    with serve(command) as server:
        return asyncio.run(status_of_handshake(server.url, path))


def runserver() -> dict[str, Any]:
    """Run `manage.py runserver` of Django and of the app `daphne`: handler, event loops, handshake, streams."""
    found: dict[str, Any] = {"looks": LOOKS}
    for name in ("django", "daphne"):
        with serve(_manage_runserver, LAB_RUNSERVER=name) as server:
            looks = [get(server, "/process") for _ in range(LOOKS)]
            found |= {
                f"{name}_request": looks[0]["request"],
                f"{name}_loops": len({look["loop"] for look in looks}),
                f"{name}_handshake": asyncio.run(status_of_handshake(server.url, "/ws/chat/one")),
                f"{name}_streams": is_open_after_its_first_event(server),
            }
    return found


def _manage_runserver(port: int) -> list[str]:
    return ["python", "-m", "labs.channels_live.manage", "runserver", "--noreload", f"{HOST}:{port}"]


def is_open_after_its_first_event(server: RunningServer) -> bool:
    """Return whether a feed still listens when its client has the first event: the event was sent at once."""
    with httpx.stream("GET", f"{server.url}{STREAM}", trust_env=False, timeout=30) as feed:
        events = feed.iter_text()  # kept: when it goes, it closes the connection
        next(events)
        return publish(server, "one") > 0


def live_preview() -> dict[str, Any]:
    """Try an editor's preview behind WSGI in each of its three ways: POST, event stream, WebSocket."""
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
    """Send a draft; return the preview that comes back."""
    token = TOKEN.search(client.get(f"{path}/post").text)
    assert token, "the editor has a token"
    form = {"text": text, "csrfmiddlewaretoken": token[1]}
    return client.post(f"{path}/post", data=form, headers={"HX-Request": "true"}).raise_for_status().text


def _until(parts: Iterator[str], wanted: str) -> bool:
    """Read until the text comes; return False if the stream ends first."""
    return any(wanted in part for part in parts)


def admin_files() -> dict[str, Any]:
    """Ask for the admin's style sheet under `runserver`, under uvicorn, and there with a static files handler."""
    commands: dict[str, Command] = {
        "runserver": lambda port: ["python", "-m", ADMIN, "runserver", "--noreload", f"{HOST}:{port}"],
        "uvicorn": lambda port: [*UVICORN, "--port", str(port), f"{ADMIN}:application"],
        "with_handler": lambda port: [*UVICORN, "--port", str(port), f"{ADMIN}:with_static_files"],
    }
    found = {}
    for name, command in commands.items():
        with serve(command) as server:
            found[name] = httpx.get(f"{server.url}{ADMIN_FILE}", trust_env=False, timeout=30).status_code
    return found
