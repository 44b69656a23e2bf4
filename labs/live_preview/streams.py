"""The previews of a draft as server-sent events, as long as somebody listens. One source for each kind of server."""

import threading
from collections.abc import AsyncIterator, Iterator

from labs.common.feed import event
from labs.common.gauge import inside
from labs.live_preview.drafts import EMPTY, Draft, Shown

# A server of threads learns that the reader has gone when it writes, and not from the first write after that: a thread
# may be held for nobody as long as two silences.
SILENT_AT_MOST_S = 2
STILL_HERE = b": still here\n\n"


def previews(draft: Draft) -> Iterator[bytes]:
    """Waiting holds this thread, from the first byte until the reader has gone."""
    with inside(), draft.news.heard_by_thread() as inbox:
        yield event("where", f"The server waits for news in its thread {threading.current_thread().name}.")
        seen = EMPTY
        while True:
            yield newer(seen, shown := draft.shown)
            seen = shown
            inbox.next(SILENT_AT_MOST_S)


async def previews_async(draft: Draft) -> AsyncIterator[bytes]:
    """The same; waiting gives the loop away."""
    with inside(), draft.news.heard_by_loop() as inbox:
        yield event("where", "The server waits for news on its event loop.")
        seen = EMPTY
        while True:
            yield newer(seen, shown := draft.shown)
            seen = shown
            await inbox.next(SILENT_AT_MOST_S)


def newer(seen: Shown, shown: Shown) -> bytes:
    """Return the event to send: the new preview, or a comment that keeps the connection open."""
    return STILL_HERE if shown is seen else event("preview", shown.html)
