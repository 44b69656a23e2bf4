"""Server-sent events: n ticks, one each ms, and between them whatever is published. One source for each kind of code.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.http import StreamingHttpResponse

from labs.common.gauge import inside
from labs.common.news import NEWS


def event(name: str, text: str) -> bytes:
    """One event on the wire; each line of the text has a field of its own."""
    fields = [f"event: {name}", *(f"data: {line}" for line in text.splitlines() or [""])]
    return ("\n".join(fields) + "\n\n").encode()


def events(n: int, ms: int) -> Iterator[bytes]:
    """The first tick at once, the last (n - 1) ms later; waiting holds this thread."""
    with inside(), NEWS.heard_by_thread() as inbox:
        began_s = time.monotonic()
        for tick in range(n):
            while (left_s := began_s + tick * ms / 1000 - time.monotonic()) > 0:
                if (text := inbox.next(left_s)) is not None:
                    yield event("news", text)
            yield event("tick", str(tick))


async def events_async(n: int, ms: int) -> AsyncIterator[bytes]:
    """The same; waiting gives the loop away."""
    with inside(), NEWS.heard_by_loop() as inbox:
        began_s = time.monotonic()
        for tick in range(n):
            while (left_s := began_s + tick * ms / 1000 - time.monotonic()) > 0:
                if (text := await inbox.next(left_s)) is not None:
                    yield event("news", text)
            yield event("tick", str(tick))


def event_stream(events: Any) -> StreamingHttpResponse:
    """A response that sends each event as it comes, where the server's side of the interface can."""
    return StreamingHttpResponse(events, content_type="text/event-stream", headers={"Cache-Control": "no-store"})
