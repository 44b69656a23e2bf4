"""The bad example: sync consumers. Channels runs all of them on one thread, so one that waits holds up everybody.

Read beside consumers.py. Whoever needs sync code for a socket calls it from an async consumer, in a thread of its own.
"""

import time
from contextlib import suppress

from asgiref.sync import async_to_sync
from channels.generic.websocket import WebsocketConsumer
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


class ChatOnOneThread(WebsocketConsumer):
    """The same room; `/wait 300` keeps the one thread for 300 ms."""

    def connect(self) -> None:
        """Join the room, accept the socket, and send the visitor's name."""
        self.room, self.who = group_of(self.scope), visitor()
        async_to_sync(self.channel_layer.group_add)(self.room, self.channel_name)
        self.accept()
        OPEN_SOCKETS.add(self.channel_name)
        self.send(welcome(self.who))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Say a text to the room, or send the visitor the sentence why not."""
        try:
            text = checked(text_data)
            time.sleep(wait_s(text))
            self.say(text)
        except Refused as refused:
            self.send(refused.line)
            if refused.code:
                self.close(refused.code)

    def say(self, text: str) -> None:
        """Send a text to all of the room. Raises Refused if Redis is away."""
        try:
            async_to_sync(self.channel_layer.group_send)(self.room, said(self.who, text))
        except RedisError:
            raise Refused(REDIS_IS_AWAY) from None

    def chat_said(self, message: dict[str, str]) -> None:
        """Send the visitor a line that the channel layer has delivered."""
        self.send(message["line"])

    def disconnect(self, code: int) -> None:
        """Leave the room."""
        OPEN_SOCKETS.discard(self.channel_name)
        with suppress(RedisError):
            async_to_sync(self.channel_layer.group_discard)(self.room, self.channel_name)
