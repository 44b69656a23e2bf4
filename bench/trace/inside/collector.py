"""One traced request from its first to its last moment: its hops are noted here, and made into a trace."""

import platform
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any

from .app_loader import Interface, error_text
from .callable_names import innermost, name_of, short_path
from .middleware import NO_LAYERS, Layers
from .model import LOOP, REQUEST_THREAD, THREAD, VIEW, Hop, Trace, ViewCall, with_queues
from .sink import OpenHop, Place
from .view_calls import OpenCall

HANDLERS = "django/core/handlers/"
"""Where Django asks for the view itself."""
KEPT_BYTES = 1000
"""Of an answer's first part."""


class Collector:
    """Sink of one request: its hops and threads, when it began, answered and ended, and what it answered."""

    def __init__(self, interface: Interface, method: str, path: str) -> None:
        self.interface, self.method, self.path = interface, method, path
        self.hops: list[OpenHop] = []
        self.worked: list[threading.Thread] = []
        self.view_calls: list[OpenCall] = []
        self.threads_to_end = 0
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.first_byte_ns = self.end_ns = 0
        self.error: BaseException | None = None
        self.thread = threading.current_thread()
        self.begin_ns = perf_counter_ns()

    def answering(self, status: Any, headers: Sequence[tuple[Any, Any]] = ()) -> None:
        """The answer begins: a number or a line as `200 OK`, and headers as text or bytes. Only the first counts."""
        number = re.match(r"\d+", str(status))
        if self.status is None and number:
            self.status = int(number[0])
            self.headers = {_text(name).lower(): _text(value) for name, value in headers}

    def answers(self, part: bytes) -> None:
        """A part of the body leaves; of later ones nothing is kept."""
        if part and not self.first_byte_ns:
            self.first_byte_ns, self.body = perf_counter_ns(), bytes(part[:KEPT_BYTES])

    def finish(self) -> None:
        """The request has ended; what comes later does not count."""
        self.end_ns = self.end_ns or perf_counter_ns()

    def trace(self, application: str = "", layers: Layers = NO_LAYERS, observer: str = "", **more: Any) -> Trace:
        """What was seen until now; hops that are still open have no end. `more` are further fields of Trace."""
        seen = list(self.hops)  # other threads may add to it
        lanes = self._lanes(seen)
        places = {thread: lane for lane, thread in enumerate(lanes)}
        hops = self._closed(seen, places, layers)
        return Trace(
            application=application,
            interface=self.interface,
            method=self.method,
            path=self.path,
            status=self.status,
            took_us=self._us(self.end_ns or perf_counter_ns()) or 0.0,
            first_byte_us=self._us(self.first_byte_ns),
            lanes=list(lanes.values()),
            hops=hops,
            middleware=layers.with_hops(hops),
            views=[
                ViewCall(
                    name_of(call.view), places.get(call.thread), self._us(call.begin_ns) or 0.0, self._us(call.end_ns)
                )
                for call in list(self.view_calls)
            ],
            error=None if self.error is None else error_text(self.error),
            observer=observer,
            versions=_versions(),
            other_threads=[thread.name for thread in dict.fromkeys(self.worked) if thread not in lanes],
            threads_to_end=self.threads_to_end,
            ended=bool(self.end_ns),
            **more,
        )

    def _us(self, at_ns: int) -> float | None:
        return (at_ns - self.begin_ns) / 1000 if at_ns else None

    def _lanes(self, hops: Sequence[OpenHop]) -> dict[threading.Thread, str]:
        """The threads in the order in which the request came to them, with a name for each."""
        lanes = {self.thread: LOOP if self.interface == "asgi" else REQUEST_THREAD}
        for hop in hops:
            near, far = (LOOP, THREAD) if hop.kind == "sync_to_async" else (THREAD, LOOP)
            for thread, kind in ((hop.thread, near), (hop.to_thread, far)):
                if thread and thread not in lanes:
                    number = 1 + sum(name.startswith(kind) for name in lanes.values())
                    lanes[thread] = kind if kind == LOOP and number == 1 else f"{kind} {number}"
        return lanes

    def _closed(self, hops: Sequence[OpenHop], lanes: Mapping[Any, int], layers: Layers) -> list[Hop]:
        """The hops as data, each with its cause."""
        numbers = {id(hop): number for number, hop in enumerate(hops, 1)}
        found: list[Hop] = []
        for number, hop in enumerate(hops, 1):
            parent = numbers.get(id(hop.parent))
            cause, layer = layers.cause_of(hop, found[parent - 1] if parent else None)
            found.append(
                Hop(
                    number=number,
                    kind=hop.kind,
                    what=name_of(hop.target),
                    asked_by=_asker_text(hop),
                    lane=lanes[hop.thread],
                    to_lane=lanes.get(hop.to_thread),
                    asked_us=self._us(hop.asked_ns) or 0.0,
                    started_us=self._us(hop.started_ns),
                    done_us=self._us(hop.done_ns),
                    back_us=self._us(hop.back_ns),
                    outcome=_outcome(hop),
                    parent=parent,
                    cause=cause,
                    layer=layer,
                    project_at=_project_text(hop, cause),
                )
            )
        return with_queues(found)


def _text(header: Any) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header)


def _versions() -> dict[str, str]:
    """Of Python, and of asgiref and Django where they are loaded."""
    loaded = {name: sys.modules[name].__version__ for name in ("asgiref", "django") if sys.modules.get(name)}
    return {"python": platform.python_version(), **loaded}


def _outcome(hop: OpenHop) -> str:
    """How it ended: `returned`, `raised ValueError`, `cancelled`, or `not ended` while its far side is at work."""
    if hop.error is not None and (hop.done_ns or not hop.started_ns):
        name = type(hop.error).__name__
        return "cancelled" if name == "CancelledError" else f"raised {name}"
    return "returned" if hop.back_ns and hop.error is None else "not ended"


def _asker_text(hop: OpenHop) -> str:
    """`django/utils/deprecation.py:302 MiddlewareMixin.__acall__`: the end of the path, line, function.

    A task that begins with the hop, as `gather` makes them, has no caller any more: then where the target is defined.
    """
    if hop.asked_by is None:
        code = getattr(innermost(hop.target), "__code__", None)
        return "a task" if code is None else f"{short_path(code.co_filename)}:{code.co_firstlineno} a task"
    return _place_text(hop.asked_by)


def _project_text(hop: OpenHop, cause: str) -> str:
    """The project's place where a view of it asks through a library; empty where it asks itself, or Django does."""
    asks = hop.asked_by[0].co_filename if hop.asked_by else ""
    is_through_library = cause == VIEW and HANDLERS not in asks and hop.project_at != hop.asked_by
    return _place_text(hop.project_at) if is_through_library else ""


def _place_text(place: Place | None) -> str:
    """`blog/views.py:12 feed`; empty where there is no place."""
    if place is None:
        return ""
    code, line = place
    return f"{short_path(code.co_filename)}:{line} {getattr(code, 'co_qualname', code.co_name)}"
