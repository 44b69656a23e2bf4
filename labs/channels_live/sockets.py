"""The URLs of sockets, and what spares the log a trace: a client that has just gone, a Redis that is away."""

from contextlib import suppress
from typing import Any

from autobahn.exception import Disconnected
from django.urls import path, re_path
from redis.exceptions import RedisError

from labs.channels_live.consumers import Chat, News
from labs.channels_live.one_thread_for_all_sockets import ChatOnOneThread
from labs.channels_live.rooms import ROOM, TRY_AGAIN_LATER

# What uvicorn (an OSError, as the ASGI specification asks) and daphne raise where the client has gone already.
GONE = (OSError, Disconnected)


def robust(consumer: Any) -> Any:
    """The consumer, which always lives until it is told that its client has gone, and so always leaves its room."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        is_closed = False

        async def send_unless_gone(message: Any) -> None:
            nonlocal is_closed
            if is_closed:
                return  # what the room says after this socket was refused; uvicorn would raise RuntimeError
            is_closed = message["type"] == "websocket.close"
            with suppress(*GONE):  # websocket.disconnect is on its way
                await send(message)

        try:
            await consumer(scope, receive, send_unless_gone)
        except RedisError:  # the channel layer cannot take this socket
            await send_unless_gone({"type": "websocket.close", "code": TRY_AGAIN_LATER})

    return application


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """Refuses the handshake; without it Channels raises, and every stranger's path writes a trace."""
    await send({"type": "websocket.close"})


sockets = [
    re_path(f"^ws/chat/{ROOM}$", robust(Chat.as_asgi())),
    re_path(f"^ws/chat_sync/{ROOM}$", robust(ChatOnOneThread.as_asgi())),
    path("ws/news", robust(News.as_asgi())),
    re_path("", nothing_here),
]
