"""Probes both interfaces without Django: a WebSocket at each, and a WSGI application inside an ASGI one."""

import asyncio
from typing import Any

import httpx
from asgiref.wsgi import WsgiToAsgi

from bench.claims.probes.doors import status_of_handshake
from bench.claims.probes.printed import GUNICORN, HELLO, a_list_of_bytes
from bench.claims.probes.serving import Command, serve_anything
from bench.model.servers import HOST

inside = WsgiToAsgi(a_list_of_bytes)


async def both(scope: Any, receive: Any, send: Any) -> None:
    """Accept every WebSocket, and pass HTTP on to a WSGI application."""
    if scope["type"] == "http":
        await inside(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


def bare_interfaces() -> dict[str, Any]:
    """Ask a bare callable behind each interface: does it answer, and which status does a WebSocket get?"""
    uvicorn = ["uvicorn", "--lifespan", "off", "--ws", "websockets-sansio", "--log-level", "critical"]
    commands: dict[str, Command] = {
        "asgi": lambda port: ["python", "-m", *uvicorn, "--port", str(port), f"{__name__}:both"],
        "wsgi": lambda port: [*GUNICORN, "--threads", "2", "--bind", f"{HOST}:{port}", f"{__name__}:a_list_of_bytes"],
    }
    facts: dict[str, Any] = {}
    for door, command in commands.items():
        with serve_anything(command) as url:
            facts[f"{door}_answers"] = httpx.get(url, trust_env=False, timeout=10).text == HELLO
            facts[f"{door}_handshake"] = asyncio.run(status_of_handshake(url, "/"))
    return facts
