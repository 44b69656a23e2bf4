"""ASGI without a framework: the server awaits a coroutine on its loop, which receives and sends messages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from labs.common.plain import Answer, answer_to

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer one HTTP request or the lifespan messages. Raises ValueError for any other kind of scope."""
    match scope["type"]:
        case "http":
            await respond(scope, send)
        case "lifespan":
            await live(receive, send)
        case other:
            raise ValueError(f"This lab speaks HTTP only, not {other}.")


async def respond(scope: Message, send: Send) -> None:
    """Send the answer to one request, after the wait that it asks for."""
    answer = answer_to(scope["path"], scope["query_string"])
    if answer.wait_s:
        await asyncio.sleep(answer.wait_s)
    await send_answer(answer, send)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer whole."""
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def live(receive: Receive, send: Send) -> None:
    """Agrees to start and to stop, when the server asks."""
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})
