"""Threads that work for a request and that asgiref did not start: of `asyncio.to_thread`, of pools, of the project.

`ThreadPoolExecutor.submit` and `Thread.start` are wrapped while somebody watches. What is handed to a thread there runs
as it would, and knows its request, so that threads which it starts are seen as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from .sink import REQUEST, Sink

ENDS_THREADS = ("asgiref.sync", "asyncio.base_events")
"""Modules that start a thread for a moment only to join others: of a request (asgiref 3.12), of a loop's pool."""
POOLS = "concurrent.futures.thread"
"""A thread that a pool starts has worked for a request when it has taken something of it, not before."""


def _for(sink: Sink, does: Any) -> Any:
    """The same call, noting the thread that it runs in."""

    def noted(*args: Any, **named: Any) -> Any:
        sink.worked.append(threading.current_thread())
        before = REQUEST.get()
        REQUEST.set(sink)
        try:
            return does(*args, **named)
        finally:
            REQUEST.set(before)

    return noted


@contextmanager
def counting_threads() -> Iterator[None]:
    """While this lasts, threads that work for a request in `REQUEST` are noted in it."""
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start

    def noted_submit(self: Any, fn: Any, /, *args: Any, **named: Any) -> Any:
        sink = REQUEST.get()
        return submit(self, fn if sink is None else _for(sink, fn), *args, **named)

    def noted_start(self: Any) -> None:
        sink, module = REQUEST.get(), getattr(getattr(self, "_target", None), "__module__", None)
        if sink is not None and module in ENDS_THREADS:
            sink.threads_to_end += 1
        elif sink is not None and module != POOLS:
            self.run = _for(sink, self.run)
        start(self)

    ThreadPoolExecutor.submit, threading.Thread.start = noted_submit, noted_start  # type: ignore[method-assign]
    try:
        yield
    finally:
        ThreadPoolExecutor.submit, threading.Thread.start = submit, start  # type: ignore[method-assign]
