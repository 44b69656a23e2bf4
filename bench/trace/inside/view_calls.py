"""When and where a view runs: Django asks its handler for the callable, and is given one that notes both."""

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

from .patching import patched
from .sink import REQUEST


class OpenCall:
    """One call of a view. Times are monotonic, in ns; 0 is for an end that has not come."""

    __slots__ = ("begin_ns", "end_ns", "thread", "view")

    def __init__(self, view: Any) -> None:
        self.view, self.thread = view, threading.current_thread()
        self.begin_ns, self.end_ns = perf_counter_ns(), 0

    def __enter__(self) -> None:
        """The view begins where this is made."""

    def __exit__(self, *error: Any) -> None:
        self.end_ns = perf_counter_ns()


@contextmanager
def noting_view_calls() -> Iterator[None]:
    """Note the calls of views of traced requests, while this lasts; nothing without Django."""
    handler: Any = getattr(sys.modules.get("django.core.handlers.base"), "BaseHandler", None)
    makes: Any = getattr(handler, "make_view_atomic", None)

    def make_view_atomic(self: Any, view: Any) -> Any:
        made, sink = makes(self, view), REQUEST.get()
        return made if sink is None else _noting(made, sink)

    with patched(handler, make_view_atomic=make_view_atomic):
        yield


def _noting(view: Any, sink: Any) -> Any:
    """The view, of the same kind for asgiref, and with the same name."""
    from asgiref.sync import iscoroutinefunction

    def begin() -> OpenCall:
        sink.view_calls.append(call := OpenCall(view))
        return call

    if iscoroutinefunction(view):

        @functools.wraps(view)
        async def call_async(*args: Any, **named: Any) -> Any:
            with begin():
                return await view(*args, **named)

        return call_async

    @functools.wraps(view)
    def call(*args: Any, **named: Any) -> Any:
        with begin():
            return view(*args, **named)

    return call
