"""Probes a Channels consumer that uses sync Django, in a process without a channel layer."""

import asyncio
import threading
from typing import Any

from bench.claims.probes.project import project

urlpatterns: list[Any] = []


def consumer_without_layer() -> dict[str, Any]:
    """Ask the consumer: does it answer, and in which thread does the ORM run, the loop's or another one?"""
    with project(__name__, CHANNEL_LAYERS={}):
        sent = asyncio.run(_talk())
    texts = [message["text"] for message in sent if message["type"] == "websocket.send"]
    return {"answered": texts[:1] == ["1"], "in_a_thread": texts[1:] == ["another thread"]}


async def _talk() -> list[dict[str, Any]]:
    """Return what the consumer sends to a client that asks once and leaves."""
    sent: list[dict[str, Any]] = []
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for message in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "how many?"}):
        incoming.put_nowait(message)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message.get("text", "").endswith("thread"):
            await incoming.put({"type": "websocket.disconnect", "code": 1000})

    async with asyncio.timeout(10):
        await _consumer()({"type": "websocket", "path": "/", "headers": []}, incoming.get, send)
    return sent


def _consumer() -> Any:
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncWebsocketConsumer
    from django.contrib.auth.models import User

    loop_s = threading.get_ident()

    def ask() -> tuple[int, int]:
        return User.objects.count(), threading.get_ident()

    class Counting(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            count, thread = await database_sync_to_async(ask)()
            await self.send(str(count))
            await self.send("another thread" if thread != loop_s else "the loop's thread")

    return Counting.as_asgi()
