"""The URLs of sockets; while Redis is away those that need it are refused, in place of a trace in the log."""

from typing import Any

from django.urls import path, re_path
from redis.exceptions import RedisError

from labs.channels_live.consumers import Chat, News
from labs.channels_live.one_thread_for_all_sockets import ChatOnOneThread
from labs.channels_live.rooms import ROOM, TRY_AGAIN_LATER


def unless_redis_is_away(consumer: Any) -> Any:
    """The consumer; a socket that its channel layer cannot take is closed."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await consumer(scope, receive, send)
        except RedisError:
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})

    return application


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """Refuses the handshake; without it Channels raises, and every stranger's path writes a trace."""
    await send({"type": "websocket.close"})


sockets = [
    re_path(f"^ws/chat/{ROOM}$", unless_redis_is_away(Chat.as_asgi())),
    re_path(f"^ws/chat_sync/{ROOM}$", unless_redis_is_away(ChatOnOneThread.as_asgi())),
    path("ws/news", News.as_asgi()),
    re_path("", nothing_here),
]
