"""Threads that work for a request and that asgiref did not start: of `asyncio.to_thread`, of pools, of the project.

`ThreadPoolExecutor.submit` and `Thread.start` are wrapped while requests are traced. What is handed to a thread there
runs as it would, and knows its request, so that threads which it starts are seen as well.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from .patching import patched
from .sink import REQUEST, Sink

ENDS_THREADS = ("asgiref.sync", "asyncio.base_events")
"""Modules that start a thread for a moment only to join others: of a request (asgiref 3.12), of a loop's pool."""
POOLS = "concurrent.futures.thread"
"""A thread that a pool starts has worked for a request when it has taken something of it, not before."""


def _noting_its_thread(sink: Sink, call: Any) -> Any:
    """The same call, which notes the thread that it runs in."""

    def noted(*args: Any, **named: Any) -> Any:
        sink.worked.append(threading.current_thread())
        before = REQUEST.get()
        REQUEST.set(sink)
        try:
            return call(*args, **named)
        finally:
            REQUEST.set(before)

    return noted


@contextmanager
def counting_threads() -> Iterator[None]:
    """Note threads that work for a request in that request's sink, while this lasts."""
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start

    def noted_submit(self: Any, fn: Any, /, *args: Any, **named: Any) -> Any:
        sink = REQUEST.get()
        return submit(self, fn if sink is None else _noting_its_thread(sink, fn), *args, **named)

    def noted_start(self: Any) -> None:
        sink, module = REQUEST.get(), getattr(getattr(self, "_target", None), "__module__", None)
        if sink is not None and module in ENDS_THREADS:
            sink.threads_to_end += 1
        elif sink is not None and module != POOLS:
            self.run = _noting_its_thread(sink, self.run)
        start(self)

    with patched(ThreadPoolExecutor, submit=noted_submit), patched(threading.Thread, start=noted_start):
        yield
