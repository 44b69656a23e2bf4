"""What is published is heard by whoever listens in this process: open feeds, polls and sockets.

Several processes hear the same through Redis: see background.py.
"""

import asyncio
import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Protocol


class Inbox(Protocol):
    """What a listener leaves with News to be given texts."""

    def put(self, text: str) -> None:
        """Called from any thread."""


class ThreadInbox:
    """For sync code, which waits in its thread."""

    def __init__(self) -> None:
        self._texts = queue.SimpleQueue[str]()

    def put(self, text: str) -> None:
        """Add a text; from any thread."""
        self._texts.put(text)

    def next(self, within_s: float) -> str | None:
        """The next text, or None when there is none in time."""
        with suppress(queue.Empty):
            return self._texts.get(timeout=within_s)
        return None


class LoopInbox:
    """For async code, which waits on the loop that made this."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._texts = asyncio.Queue[str]()

    def put(self, text: str) -> None:
        """Add a text; from any thread, also after the loop was closed."""
        with suppress(RuntimeError):  # a loop that has just been closed: nobody listens there any more
            self._loop.call_soon_threadsafe(self._texts.put_nowait, text)

    async def next(self, within_s: float) -> str | None:
        """The next text, or None when there is none in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                return await self._texts.get()
        return None


class News:
    """The inboxes of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inboxes = set[Inbox]()

    @property
    def listeners(self) -> int:
        """Return how many inboxes there are now."""
        return len(self._inboxes)

    def publish(self, text: str) -> int:
        """Put the text into every inbox; gives how many there are."""
        with self._lock:
            inboxes = tuple(self._inboxes)
        for inbox in inboxes:
            inbox.put(text)
        return len(inboxes)

    @contextmanager
    def heard_by_thread(self) -> Iterator[ThreadInbox]:
        """Yield an inbox for sync code; it gets every text published within the `with` block."""
        with self._registered(inbox := ThreadInbox()):
            yield inbox

    @contextmanager
    def heard_by_loop(self) -> Iterator[LoopInbox]:
        """Yield an inbox for async code; it gets every text published within the `with` block."""
        with self._registered(inbox := LoopInbox()):
            yield inbox

    @contextmanager
    def _registered(self, inbox: Inbox) -> Iterator[None]:
        with self._lock:
            self._inboxes.add(inbox)
        try:
            yield
        finally:
            with self._lock:
                self._inboxes.discard(inbox)


NEWS = News()
