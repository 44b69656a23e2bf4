"""The slow service that views call: the bare ASGI callable, and streams that are written in small parts.

It holds many of both in one thread. `/streams` says what became of the streams: how many were begun, how many ended
with all of their parts, how many were cut short because their reader had gone, and how many parts were written.
"""

import asyncio
from dataclasses import asdict, dataclass

from labs.bare.asgi import Message, Receive, Send, send_answer
from labs.bare.asgi import application as bare
from labs.common.parameters import BadParameter
from labs.common.plain import Answer, as_json, number_in, refusal

__all__ = ["application"]


@dataclass
class Streams:
    """What became of the streams of this process so far."""

    begun: int = 0
    ended: int = 0
    cut_short: int = 0
    parts: int = 0


STREAMS = Streams()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer one HTTP request or the lifespan messages. Raises ValueError for any other kind of scope."""
    match scope.get("path"):
        case "/tokens":
            await answer_tokens(scope, receive, send)
        case "/streams":
            await send_answer(Answer(as_json(**asdict(STREAMS))), send)
        case _:
            await bare(scope, receive, send)


async def answer_tokens(scope: Message, receive: Receive, send: Send) -> None:
    """Write `n` parts, `ms` milliseconds apart, until the reader has gone; count what became of it."""
    try:
        n, ms = (number_in(scope["query_string"], name) for name in ("n", "ms"))
    except BadParameter as error:
        await send_answer(refusal(error), send)
        return
    STREAMS.begun += 1
    writing = asyncio.ensure_future(write_parts(n, ms / 1000, send))
    leaving = asyncio.ensure_future(wait_until_gone(receive))
    try:
        await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        STREAMS.ended += writing.done()
        STREAMS.cut_short += not writing.done()
        writing.cancel()
        leaving.cancel()


async def write_parts(n: int, every_s: float, send: Send) -> None:
    """Write the first part at once and the others on schedule, whatever became of those before them."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    clock = asyncio.get_running_loop().time
    began_s = clock()
    for number in range(n):
        late_s = began_s + number * every_s - clock()
        if late_s > 0:
            await asyncio.sleep(late_s)
        body = b"event: token\ndata: %d\n\n" % number
        await send({"type": "http.response.body", "body": body, "more_body": True})
        STREAMS.parts += 1
    await send({"type": "http.response.body"})


async def wait_until_gone(receive: Receive) -> None:
    """Return when the reader has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
