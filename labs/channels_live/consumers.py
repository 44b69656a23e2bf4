"""Async consumers: all sockets share the event loop, and one that waits holds up nobody else."""

import asyncio
from contextlib import suppress

from channels.generic.websocket import AsyncWebsocketConsumer
from redis.exceptions import RedisError

from labs.channels_live.rooms import (
    OPEN_SOCKETS,
    REDIS_IS_AWAY,
    Refused,
    checked,
    group_of,
    said,
    visitor,
    wait_s,
    welcome,
)
from labs.common.news import NEWS


class Chat(AsyncWebsocketConsumer):
    """A room: what one says, all hear. `/wait 300` is said after 300 ms."""

    async def connect(self) -> None:
        """Join the room, accept the socket, and send the visitor's name."""
        self.room, self.who = group_of(self.scope), visitor()
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        OPEN_SOCKETS.add(self.channel_name)
        await self.send(welcome(self.who))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Say a text to the room, or send the visitor the sentence why not."""
        try:
            text = checked(text_data)
            await asyncio.sleep(wait_s(text))
            await self.say(text)
        except Refused as refused:
            await self.send(refused.line)
            if refused.code:
                await self.close(refused.code)

    async def say(self, text: str) -> None:
        """Send a text to all of the room. Raises Refused if Redis is away."""
        try:
            await self.channel_layer.group_send(self.room, said(self.who, text))
        except RedisError:
            raise Refused(REDIS_IS_AWAY) from None

    async def chat_said(self, message: dict[str, str]) -> None:
        """Send the visitor a line that the channel layer has delivered."""
        await self.send(message["line"])

    async def disconnect(self, code: int) -> None:
        """Leave the room."""
        OPEN_SOCKETS.discard(self.channel_name)
        with suppress(RedisError):  # the layer has forgotten this socket before it tells Redis
            await self.channel_layer.group_discard(self.room, self.channel_name)


class News(AsyncWebsocketConsumer):
    """Hears what is published. A task of its own waits for it, because a consumer only reacts."""

    channel_layer_alias = "none"  # so that this socket needs nothing from Redis itself

    async def connect(self) -> None:
        """Accept the socket and start to send it what is published."""
        await self.accept()
        self.telling = asyncio.create_task(self.tell())

    async def tell(self) -> None:
        """Send each published text, until cancelled."""
        with NEWS.heard_by_loop() as inbox:
            while True:
                if (text := await inbox.next(within_s=60)) is not None:
                    await self.send(text)

    async def disconnect(self, code: int) -> None:
        """Cancel the sending task and wait until it has ended."""
        self.telling.cancel()
        await asyncio.gather(self.telling, return_exceptions=True)
