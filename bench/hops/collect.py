"""One traced request from its first to its last moment: hops are put here by `observe.py`, and made into a trace."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from types import CodeType
from typing import Any, Literal

from bench.hops.layers import Layers, advice_on
from bench.hops.names import innermost, name_of
from bench.hops.observe import OpenHop, loop_is_running
from bench.hops.trace import LOOP, REQUEST_THREAD, THREAD, Hop, Trace

LONGEST_PATH = 2
"""Parts of a file's path that are shown."""


class Collector:
    """Sink of one request: its hops, when it began, answered and ended, and what it answered."""

    def __init__(self, interface: Literal["asgi", "wsgi"], method: str, path: str) -> None:
        self.interface, self.method, self.path = interface, method, path
        self.hops: list[OpenHop] = []
        self.status: int | None = None
        self.first_byte_ns = self.end_ns = 0
        self.error: BaseException | None = None
        self.thread, self.on_loop = threading.get_ident(), loop_is_running()
        self.begin_ns = perf_counter_ns()

    def answering(self, status: int) -> None:
        self.status = status

    def first_byte(self) -> None:
        """The first part of the body leaves; later ones do not count."""
        self.first_byte_ns = self.first_byte_ns or perf_counter_ns()

    def finish(self) -> None:
        self.end_ns = perf_counter_ns()

    def trace(self, application: str, layers: Layers, observer: str) -> Trace:
        """What was seen until now; hops that are still open have no end."""
        lanes = self._lanes()
        hops = self._hops(list(lanes), layers)
        middleware = layers.with_hops(hops)
        return Trace(
            application=application,
            interface=self.interface,
            method=self.method,
            path=self.path,
            status=self.status,
            took_us=self._us(self.end_ns or perf_counter_ns()) or 0.0,
            first_byte_us=self._us(self.first_byte_ns),
            lanes=list(lanes.values()),
            crossings=hops,
            middleware=middleware,
            advice=advice_on(hops, middleware, self.interface),
            error=None if self.error is None else error_text(self.error),
            observer=observer,
            versions=layers.versions,
        )

    def _us(self, at_ns: int) -> float | None:
        return (at_ns - self.begin_ns) / 1000 if at_ns else None

    def _lanes(self) -> dict[int, str]:
        """The threads by their ids, in the order in which the request came to them, with a name for each."""
        lanes = {self.thread: LOOP if self.on_loop else REQUEST_THREAD}
        for hop in self.hops:
            near, far = (LOOP, THREAD) if hop.kind == "sync_to_async" else (THREAD, LOOP)
            for thread, kind in ((hop.thread, near), (hop.to_thread, far)):
                if thread and thread not in lanes:
                    number = 1 + sum(name.startswith(kind) for name in lanes.values())
                    lanes[thread] = kind if kind == LOOP and number == 1 else f"{kind} {number}"
        return lanes

    def _hops(self, threads: Sequence[int], layers: Layers) -> list[Hop]:
        numbers = {id(hop): number for number, hop in enumerate(self.hops, 1)}
        found: list[Hop] = []
        for number, hop in enumerate(self.hops, 1):
            parent = numbers.get(id(hop.parent)) if hop.parent else None
            above = found[parent - 1] if parent else None
            found.append(
                Hop(
                    number=number,
                    kind=hop.kind,
                    what=name_of(hop.target),
                    asked_by=asker_text(hop.asked_by, hop.target),
                    lane=threads.index(hop.thread),
                    to_lane=threads.index(hop.to_thread) if hop.to_thread else None,
                    asked_us=self._us(hop.asked_ns) or 0.0,
                    started_us=self._us(hop.started_ns),
                    done_us=self._us(hop.done_ns),
                    back_us=self._us(hop.back_ns),
                    outcome=outcome_of(hop),
                    parent=parent,
                    middleware=layers.cause_of(hop.kind, hop.target, above),
                )
            )
        return found


def outcome_of(hop: OpenHop) -> str:
    """How it ended: `returned`, `raised ValueError`, `cancelled`, or `not ended`."""
    if hop.error is not None:
        name = type(hop.error).__name__
        return "cancelled" if name == "CancelledError" else f"raised {name}"
    return "returned" if hop.back_ns else "not ended"


def asker_text(asked_by: tuple[CodeType, int] | None, target: Any) -> str:
    """`django/utils/deprecation.py:302 MiddlewareMixin.__acall__`: the end of the path, line, function.

    A task that begins with the hop, as `gather` makes them, has no caller any more: then where the target is defined.
    """
    if asked_by is None:
        code = getattr(innermost(target), "__code__", None)
        return "a task" if code is None else f"{short_path(code.co_filename)}:{code.co_firstlineno} a task"
    code, line = asked_by
    return f"{short_path(code.co_filename)}:{line} {getattr(code, 'co_qualname', code.co_name)}"


def short_path(name: str) -> str:
    """From the last `site-packages` or the current folder on; else the end of it."""
    path = Path(name)
    parts = path.parts
    if "site-packages" in parts:
        return "/".join(parts[len(parts) - parts[::-1].index("site-packages") :])
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return "/".join(parts[-LONGEST_PATH:])


def error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
