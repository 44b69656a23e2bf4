"""Watching asgiref: for each call of `sync_to_async` and `async_to_sync` within a traced request, four moments.

Python 3.12 and later are observed with `sys.monitoring`, which replaces nothing. Before, the two `__call__`s are
wrapped while requests are traced.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from itertools import chain
from types import CodeType, FrameType
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync

from .model import Kind
from .patching import patched
from .sink import INSIDE, REQUEST, OpenHop, open_hop

if {SyncToAsync.__module__, AsyncToSync.__module__} != {"asgiref.sync"}:
    raise ImportError("The project has put other adapters in the place of asgiref's.")


@contextmanager
def wrapping() -> Iterator[str]:
    """Observe asgiref before Python 3.12: both `__call__`s are replaced. Yields what to call this."""
    to_async, to_sync = _watched_sync_to_async(SyncToAsync.__call__), _watched_async_to_sync(AsyncToSync.__call__)
    with patched(SyncToAsync, __call__=to_async), patched(AsyncToSync, __call__=to_sync):
        yield "wrapped __call__"


def _watched_sync_to_async(original: Any) -> Any:
    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        sink = REQUEST.get()
        if sink is None:
            return await original(self, *args, **kwargs)
        hop = open_hop(sink, "sync_to_async", self.func, sys._getframe(1))

        def thread_handler(*inner: Any, **named: Any) -> Any:
            hop.start()
            with _Telling(hop.end):
                return self.thread_handler(*inner, **named)

        with _Telling(hop.back):
            return await original(_twin(self, "thread_handler", thread_handler), *args, **kwargs)

    return __call__


def _watched_async_to_sync(original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        sink = REQUEST.get()
        if sink is None:
            return original(self, *args, **kwargs)
        hop = open_hop(sink, "async_to_sync", self.awaitable, sys._getframe(1))

        async def main_wrap(*inner: Any, **named: Any) -> None:
            hop.start()
            with _Telling(hop.end):
                await self.main_wrap(*inner, **named)

        with _Telling(hop.back):
            return original(_twin(self, "main_wrap", main_wrap), *args, **kwargs)

    return __call__


def _twin(adapter: Any, method: str, watched: Any) -> Any:
    """The adapter with one method of its own: several requests share an adapter, each call needs its hop."""
    twin = object.__new__(type(adapter))
    twin.__dict__.update(adapter.__dict__, **{method: watched})
    return twin


class _Telling:
    """Calls `end` with the error that ends the block, or with None. A generator would cost each hop 3 µs more."""

    __slots__ = ("end",)

    def __init__(self, end: Callable[[BaseException | None], None]) -> None:
        self.end = end

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.end(error)


@contextmanager
def monitoring() -> Iterator[str]:
    """Observe asgiref on Python 3.12 and later: asgiref itself stays as it is. Yields what to call this.

    Raises StopIteration where all six tool ids are taken.
    """
    tools, calls = sys.monitoring, _Calls()  # type: ignore[attr-defined]
    tool, events = next(tool for tool in range(6) if tools.get_tool(tool) is None), tools.events
    callbacks = {events.PY_START: calls.start, events.PY_RETURN: calls.end, events.PY_UNWIND: calls.unwind}
    tools.use_tool_id(tool, "lab hops")
    try:
        for event, callback in callbacks.items():
            tools.register_callback(tool, event, callback)
        for code in WATCHED:
            tools.set_local_events(tool, code, events.PY_START | events.PY_RETURN)
        tools.set_events(tool, events.PY_UNWIND)  # there is no local one
        yield "sys.monitoring"
    finally:
        tools.set_events(tool, 0)
        for code in WATCHED:
            tools.set_local_events(tool, code, 0)
        for event in callbacks:
            tools.register_callback(tool, event, None)
        tools.free_tool_id(tool)


WATCHED: dict[CodeType, Kind | None] = {
    SyncToAsync.__call__.__code__: "sync_to_async",
    AsyncToSync.__call__.__code__: "async_to_sync",
    SyncToAsync.thread_handler.__code__: None,
    AsyncToSync.main_wrap.__code__: None,
}
"""The functions on the near side of a hop, each with its kind, and those that run on its far side."""
# By id: to hash a code object is to hash all its instructions, which takes longer than all the rest here.
KIND_BY_ID = {id(code): kind for code, kind in WATCHED.items()}


class _Calls:
    """The calls of the watched functions that go on, by frame, and the callbacks of `sys.monitoring` for them."""

    def __init__(self) -> None:
        self.near: dict[FrameType, OpenHop] = {}
        self.far: dict[FrameType, OpenHop] = {}
        self.waiting: dict[Any, OpenHop] = {}  # adapters with a context of their own, which does not know us

    def start(self, code: CodeType, offset: int) -> None:
        """Note that a watched function begins: a hop is asked for, or starts on its far side."""
        kind, frame = KIND_BY_ID[id(code)], sys._getframe(1)
        if kind is None:
            self._start_on_far_side(frame)
        elif (sink := REQUEST.get()) is not None:
            adapter = frame.f_locals["self"]
            target = adapter.func if kind == "sync_to_async" else adapter.awaitable
            self.near[frame] = hop = open_hop(sink, kind, target, frame)
            if getattr(adapter, "context", None) is not None:
                self.waiting[adapter] = hop

    def _start_on_far_side(self, frame: FrameType) -> None:
        """Start the hop that this frame works for, unless it has started."""
        names = frame.f_locals
        context = _context_of(names["func"]) if "func" in names else names["context"][0]
        hop = (context.get(INSIDE) if context is not None else None) or self.waiting.pop(names["self"], None)
        if hop is not None and not hop.started_ns:
            self.far[frame] = hop
            hop.start()

    def end(self, code: CodeType, offset: int, answer: object) -> None:
        """Note that a watched function has returned."""
        self._leave(sys._getframe(1), None)

    def unwind(self, code: CodeType, offset: int, error: BaseException) -> None:
        """Note that a watched function ends with an exception; events of all other code come here too."""
        if id(code) in KIND_BY_ID:
            self._leave(sys._getframe(1), error)

    def _leave(self, frame: FrameType, error: BaseException | None) -> None:
        """End the hop on its far side, or note that its caller has it back."""
        if (worked := self.far.pop(frame, None)) is not None:
            worked.end(error)
        elif (asked := self.near.pop(frame, None)) is not None:
            asked.back(error)


def _context_of(run: Any) -> Context | None:
    """The context in which asgiref will run the function: it is `Context.run` itself or a closure over the context."""
    cells = (cell.cell_contents for cell in getattr(run, "__closure__", None) or ())
    return next((one for one in chain(cells, [getattr(run, "__self__", None)]) if isinstance(one, Context)), None)


observing = monitoring if sys.version_info >= (3, 12) else wrapping
"""While this lasts, hops of requests that carry a sink in `REQUEST` are seen. Afterwards asgiref is as it was."""
