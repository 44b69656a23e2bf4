"""The application behind ASGI: it reads, holds and streams as the path says, and notes what it sees."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

from labs.conformance import project
from labs.conformance.answers import LARGE_PARTS, MIB, described, ready
from labs.conformance.notes import ahold, key_of, note

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.conformance.settings"
django = get_asgi_application()
TEXT = (b"content-type", b"text/plain")


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer one request, WebSocket or lifespan; below `/django` Django does."""
    match scope["type"]:
        case "lifespan":
            await _live(scope, receive, send)
        case "websocket":
            await _socket(receive, send)
        case _ if scope["path"].startswith("/django/"):
            project.KEY.set(key_of(scope["query_string"].decode()))
            await django(scope, receive, send)
        case _:
            await _respond(scope, receive, send)


async def _respond(scope: Message, receive: Receive, send: Send) -> None:
    path, key = scope["path"], key_of(scope["query_string"].decode())
    if path in STREAMS:
        await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
        async for part in STREAMS[path](key):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        return await send({"type": "http.response.body"})
    body = await WHOLE[path](scope, receive, key)
    headers = [TEXT, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    return await send({"type": "http.response.body", "body": body})


async def _live(scope: Message, receive: Receive, send: Send) -> None:
    """Note start and stop of the server, and leave a word in the state that requests get a copy of."""
    for event in ("startup", "shutdown"):
        await receive()
        note("lifespan", event)
        scope.get("state", {})["made"] = event
        await send({"type": f"lifespan.{event}.complete"})


async def _socket(receive: Receive, send: Send) -> None:
    """Accept a WebSocket and send back what comes, until it closes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def _ready(*_: object) -> bytes:
    return ready()


async def _echo(scope: Message, receive: Receive, key: str) -> bytes:
    count = sum([len(part) async for part in _parts(receive)])
    client, state = (scope.get("client") or [""])[0], scope.get("state", {}).get("made", "")
    return described(key=key, read=count, client=client, scheme=scope.get("scheme", "http"), state=state)


async def _held(scope: Message, receive: Receive, key: str) -> bytes:
    note(key, f"entered {os.getpid()}")
    await ahold(key)
    return b"held"


async def _upload(scope: Message, receive: Receive, key: str) -> bytes:
    count = 0
    async for part in _parts(receive):
        if not count:
            note(key, "part")
        count += len(part)
    return str(count).encode()


async def _unread(scope: Message, receive: Receive, key: str) -> bytes:
    note(key, "entered")
    await ahold(key)
    return str(sum([len(part) async for part in _parts(receive)])).encode()


async def _stream(key: str) -> AsyncIterator[bytes]:
    yield b"first"
    await ahold(key)
    yield b"last"


async def _large(key: str) -> AsyncIterator[bytes]:
    for _ in range(LARGE_PARTS):
        note(key, "part")
        yield b"x" * MIB


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body as it comes, without empty parts."""
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


WHOLE: dict[str, Callable[[Message, Receive, str], Awaitable[bytes]]] = {
    "/ready": _ready,
    "/echo": _echo,
    "/held": _held,
    "/upload": _upload,
    "/unread": _unread,
}
"""Coroutine functions of scope, receive and key that return the body."""
STREAMS = {"/stream": _stream, "/large": _large}
"""Functions of the key that yield it in parts."""
