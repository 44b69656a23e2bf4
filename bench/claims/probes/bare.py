"""Both interfaces without Django: a WebSocket at each, and a WSGI application inside an ASGI one."""

import asyncio
from typing import Any

import httpx
from asgiref.wsgi import WsgiToAsgi

from bench.claims.probes.doors import Command, status_of_handshake
from bench.claims.probes.printed import GUNICORN, HELLO, a_list_of_bytes, listening
from bench.measure.ports import free_port
from bench.model.servers import HOST

inside = WsgiToAsgi(a_list_of_bytes)


async def both(scope: Any, receive: Any, send: Any) -> None:
    """Takes every WebSocket, and leaves HTTP to a WSGI application."""
    if scope["type"] == "http":
        await inside(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


def bare_interfaces() -> dict[str, Any]:
    """Of a bare ASGI callable whether it answers by a WSGI application, and what a WebSocket gets at each interface."""
    uvicorn = ["uvicorn", "--lifespan", "off", "--ws", "websockets-sansio", "--log-level", "critical"]
    commands: dict[str, Command] = {
        "asgi": lambda port: ["python", "-m", *uvicorn, "--port", str(port), f"{__name__}:both"],
        "wsgi": lambda port: [*GUNICORN, "--threads", "2", "--bind", f"{HOST}:{port}", f"{__name__}:a_list_of_bytes"],
    }
    return {name: value for door, command in commands.items() for name, value in _asked(door, command).items()}


def _asked(door: str, command: Command) -> dict[str, Any]:
    port = free_port()
    with listening(command(port), port) as url:
        answers = httpx.get(url, trust_env=False, timeout=10).text == HELLO
        return {f"{door}_answers": answers, f"{door}_handshake": asyncio.run(status_of_handshake(url, "/"))}
