"""Probes a Channels consumer that uses sync Django, in a process without a channel layer."""

import asyncio
import threading
from typing import Any

from bench.claims.probes.project import project

urlpatterns: list[Any] = []
WITHIN_S = 10


def consumer_without_layer() -> dict[str, Any]:
    """Ask the consumer: does it answer, and in which thread does the ORM run, the loop's or another one?"""
    with project(__name__, CHANNEL_LAYERS={}):
        count, thread = asyncio.run(_talk())
    return {"answered": count == "1", "in_a_thread": thread == "another thread"}


async def _talk() -> list[str]:
    """Return the two texts that the consumer sends to a client that asks once and leaves."""
    from channels.testing import WebsocketCommunicator

    client = WebsocketCommunicator(_consumer(), "/")
    await client.connect(timeout=WITHIN_S)
    await client.send_to("how many?")
    texts = [await client.receive_from(timeout=WITHIN_S) for _ in range(2)]
    await client.disconnect()
    return texts


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
