"""Watching asgiref: for each call of `sync_to_async` and `async_to_sync` within a traced request, four moments.

Python 3.12 and later are observed with `sys.monitoring`, which replaces nothing; before, the two `__call__`s are
wrapped while somebody watches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from types import CodeType, FrameType
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync

from .model import Kind
from .sink import INSIDE, REQUEST, FarSide, OpenHop, Sink, open_hop

if {SyncToAsync.__module__, AsyncToSync.__module__} != {"asgiref.sync"}:
    raise ImportError("The project has put other adapters in the place of asgiref's.")


class Wrapping:
    """Before Python 3.12: both `__call__`s replaced, with the inner halves watched on a twin of each adapter."""

    name = "wrapped __call__"

    def install(self) -> None:
        """Replace `__call__` of both adapters."""
        self.originals = SyncToAsync.__call__, AsyncToSync.__call__
        SyncToAsync.__call__ = _wrapped_sync_to_async(SyncToAsync.__call__)  # type: ignore[method-assign]
        AsyncToSync.__call__ = _wrapped_async_to_sync(AsyncToSync.__call__)  # type: ignore[method-assign]

    def uninstall(self) -> None:
        """Put the original `__call__` of both adapters back."""
        SyncToAsync.__call__, AsyncToSync.__call__ = self.originals  # type: ignore[method-assign]


def _twin(adapter: Any, method: str, watched: Any) -> Any:
    """The adapter with one method of its own: several requests share an adapter, each call needs its hop."""
    twin = object.__new__(type(adapter))
    twin.__dict__.update(adapter.__dict__)
    twin.__dict__[method] = watched
    return twin


def _wrapped_sync_to_async(original: Any) -> Any:
    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        sink = REQUEST.get()
        if sink is None:
            return await original(self, *args, **kwargs)
        with open_hop(sink, "sync_to_async", self.func, sys._getframe(1)) as hop:

            def thread_handler(*inner: Any, **named: Any) -> Any:
                with FarSide(hop):
                    return self.thread_handler(*inner, **named)

            return await original(_twin(self, "thread_handler", thread_handler), *args, **kwargs)

    return __call__


def _wrapped_async_to_sync(original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        sink = REQUEST.get()
        if sink is None:
            return original(self, *args, **kwargs)
        with open_hop(sink, "async_to_sync", self.awaitable, sys._getframe(1)) as hop:

            async def main_wrap(*inner: Any, **named: Any) -> None:
                with FarSide(hop):
                    await self.main_wrap(*inner, **named)

            return original(_twin(self, "main_wrap", main_wrap), *args, **kwargs)

    return __call__


class Monitoring:
    """Python 3.12 and later: events of the four functions; asgiref itself stays as it is."""

    name = "sys.monitoring"

    def __init__(self) -> None:
        self.calls: dict[FrameType, OpenHop] = {}
        self.far_sides: dict[FrameType, OpenHop] = {}
        self.waiting: dict[Any, OpenHop] = {}  # adapters with a context of their own, which does not know us
        asks: dict[CodeType, Kind] = {
            SyncToAsync.__call__.__code__: "sync_to_async",
            AsyncToSync.__call__.__code__: "async_to_sync",
        }
        self.in_thread = SyncToAsync.thread_handler.__code__
        works = (self.in_thread, AsyncToSync.main_wrap.__code__)
        self.watched = (*asks, *works)
        # By id: to hash a code object is to hash all its instructions, which takes longer than all the rest here.
        self.asks = {id(code): kind for code, kind in asks.items()}
        self.works = {id(code) for code in works}

    def install(self) -> None:
        """Take a free tool id and watch the four functions. Raises StopIteration if all six ids are taken."""
        monitoring = sys.monitoring  # type: ignore[attr-defined]
        self.tool = next(tool for tool in range(6) if monitoring.get_tool(tool) is None)
        monitoring.use_tool_id(self.tool, "lab hops")
        events = monitoring.events
        monitoring.register_callback(self.tool, events.PY_START, self.on_start)
        monitoring.register_callback(self.tool, events.PY_RETURN, self.on_return)
        monitoring.register_callback(self.tool, events.PY_UNWIND, self.on_unwind)
        for code in self.watched:
            monitoring.set_local_events(self.tool, code, events.PY_START | events.PY_RETURN)
        monitoring.set_events(self.tool, events.PY_UNWIND)  # there is no local one

    def uninstall(self) -> None:
        """Stop all events and give the tool id back."""
        monitoring = sys.monitoring  # type: ignore[attr-defined]
        monitoring.set_events(self.tool, 0)
        for code in self.watched:
            monitoring.set_local_events(self.tool, code, 0)
        for event in (monitoring.events.PY_START, monitoring.events.PY_RETURN, monitoring.events.PY_UNWIND):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)

    def on_start(self, code: CodeType, offset: int) -> None:
        """Note that a watched function begins: a hop is asked for, or starts on its far side."""
        kind = self.asks.get(id(code))
        if kind is None:
            self.on_far_side(sys._getframe(1))
        elif (sink := REQUEST.get()) is not None:
            self.on_ask(kind, sink, sys._getframe(1))

    def on_ask(self, kind: Kind, sink: Sink, frame: FrameType) -> None:
        """Open a hop for the adapter that this frame calls."""
        adapter = frame.f_locals["self"]
        target = adapter.func if kind == "sync_to_async" else adapter.awaitable
        self.calls[frame] = hop = open_hop(sink, kind, target, frame)
        if getattr(adapter, "context", None) is not None:
            self.waiting[adapter] = hop

    def on_far_side(self, frame: FrameType) -> None:
        """Start the hop that this frame works for, unless it has started."""
        names = frame.f_locals
        context = _context_of(names["func"]) if frame.f_code is self.in_thread else names["context"][0]
        hop = (context.get(INSIDE) if context is not None else None) or self.waiting.pop(names["self"], None)
        if hop is not None and not hop.started_ns:
            self.far_sides[frame] = hop
            hop.start()

    def on_return(self, code: CodeType, offset: int, answer: object) -> None:
        """Note that a watched function has returned."""
        self.left(code, sys._getframe(1), None)

    def on_unwind(self, code: CodeType, offset: int, error: BaseException) -> None:
        """Note that a watched function ends with an exception; events of all other code come here too."""
        if id(code) in self.asks or id(code) in self.works:
            self.left(code, sys._getframe(1), error)

    def left(self, code: CodeType, frame: FrameType, error: BaseException | None) -> None:
        """End the hop on its far side, or note that its caller has it back."""
        if id(code) in self.works:
            worked = self.far_sides.pop(frame, None)
            if worked is not None:
                worked.end(error)
            return
        asked = self.calls.pop(frame, None)
        if asked is not None:
            asked.back(error)


def _context_of(run: Any) -> Context | None:
    """The context in which asgiref will run the function: it is `Context.run` itself or a closure over the context."""
    for cell in getattr(run, "__closure__", None) or ():
        if isinstance(cell.cell_contents, Context):
            return cell.cell_contents
    bound = getattr(run, "__self__", None)
    return bound if isinstance(bound, Context) else None


Observer = Wrapping | Monitoring


def best_observer() -> Observer:
    """The one that replaces nothing, where this Python has it."""
    return Monitoring() if sys.version_info >= (3, 12) else Wrapping()


@contextmanager
def observing(observer: Observer | None = None) -> Iterator[Observer]:
    """While this lasts, hops of requests that carry a sink in `REQUEST` are seen. Afterwards asgiref is as it was."""
    chosen = observer or best_observer()
    chosen.install()
    try:
        yield chosen
    finally:
        chosen.uninstall()


OBSERVERS: dict[str, Callable[[], Observer]] = {"best": best_observer, "wrap": Wrapping, "monitor": Monitoring}
