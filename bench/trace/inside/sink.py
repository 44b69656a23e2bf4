"""Where the moments of a hop are noted while it happens. Needs no asgiref.

A request is known by a ContextVar, which asgiref carries across both ways. It is put back with `set`, never with
`reset`: after a hop the token belongs to another context.
"""

import asyncio
import functools
import sys
import threading
from contextvars import ContextVar, copy_context
from pathlib import Path
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import Any, Protocol

from .model import Kind
from .whose_file import OURS, is_project

ASYNCIO = str(Path(asyncio.__file__).parent)
ASGIREF = str(Path("asgiref", "sync.py"))
LAYER_CODES: set[int] = set()
"""Ids of the functions that Django puts around each middleware and around the view: see `middleware_chain.py`."""
Place = tuple[CodeType, int]
"""Code and line."""


class OpenHop:
    """A hop while it happens. Times are monotonic, in ns; 0 is for what has not come yet.

    `asked_by` is the nearest place outside of asgiref, `project_at` the project's nearest one. `within` is the
    middleware, or the handler's method that calls the view, in which the hop was asked for; None outside. `parent` is
    the hop on whose far side it was asked for.
    """

    __slots__ = (
        *("asked_by", "asked_ns", "back_ns", "done_ns", "error", "kind", "parent", "started_ns"),
        *("project_at", "target", "thread", "to_thread", "within"),
    )

    def __init__(self, kind: Kind, target: Any, frame: FrameType | None, parent: "OpenHop | None") -> None:
        self.kind, self.target, self.parent = kind, target, parent
        self.asked_by, self.within = find_asker(frame)
        self.project_at = find_project(frame)
        self.thread = threading.current_thread()
        self.to_thread: threading.Thread | None = None
        self.started_ns = self.done_ns = self.back_ns = 0
        self.error: BaseException | None = None
        self.asked_ns = perf_counter_ns()

    def start(self) -> None:
        """Note thread and time: the work begins on the far side."""
        self.to_thread, self.started_ns = threading.current_thread(), perf_counter_ns()

    def end(self, error: BaseException | None) -> None:
        """Note the time, and the error if one ended it: the work is done on the far side."""
        self.done_ns = perf_counter_ns()
        self.error = self.error or error  # a cancelled hop is back before it has ended

    def back(self, error: BaseException | None) -> None:
        """Note the time at which the caller goes on; the hop around this one is the current one again."""
        self.back_ns = perf_counter_ns()
        self.error = self.error or error
        INSIDE.set(self.parent)


class Sink(Protocol):
    """What collects one request; hops and threads are appended from several threads."""

    hops: list[OpenHop]
    worked: list[threading.Thread]
    view_calls: list[Any]
    threads_to_end: int


REQUEST: ContextVar[Sink | None] = ContextVar("lab_traced_request", default=None)
WITHIN: ContextVar[Any] = ContextVar("lab_layer_of_task", default=None)
INSIDE: ContextVar[OpenHop | None] = ContextVar("lab_hop_inside", default=None)


def open_hop(sink: Sink, kind: Kind, target: Any, frame: FrameType | None) -> OpenHop:
    """Begin a hop of that request, asked for in that frame."""
    hop = OpenHop(kind, target, frame, INSIDE.get())
    sink.hops.append(hop)
    INSIDE.set(hop)
    return hop


def find_asker(frame: FrameType | None) -> tuple[Place | None, Any]:
    """The nearest place outside of asgiref and of this package, and the layer of Django that it stands in.

    The place is None where a task begins with the hop, the layer where no frame of one is on the way out.
    """
    while frame is not None and _is_skipped(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(ASYNCIO):
        return None, WITHIN.get()
    return (frame.f_code, frame.f_lineno), layer_around(frame)


def find_project(frame: FrameType | None) -> Place | None:
    """The project's nearest place on the way to the hop; None where none of it is."""
    while frame is not None:
        if is_project(frame.f_code.co_filename):
            return frame.f_code, frame.f_lineno
        frame = frame.f_back
    return None


def _is_skipped(file: str) -> bool:
    return file == functools.__file__ or file.endswith(ASGIREF) or file.startswith(OURS)


def layer_around(frame: FrameType | None) -> Any:
    """The middleware, or the handler's method that calls the view, which the frame or its task came out of.

    None on the far side of a hop that leads to none: what the thread does further out belongs to another call.
    """
    while LAYER_CODES and frame is not None:
        if id(frame.f_code) in LAYER_CODES:
            return frame.f_locals.get("get_response")
        if frame.f_code.co_name == "thread_handler" and frame.f_code.co_filename.endswith(ASGIREF):
            return None
        frame = frame.f_back
    return WITHIN.get()


def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
    """A task factory: the task remembers the layer that it was made in, which its frames do not lead to."""
    context = named.pop("context", None) or copy_context()
    context.run(WITHIN.set, layer_around(sys._getframe(1)))
    task: asyncio.Task[Any] = context.run(asyncio.Task[Any], coroutine, loop=loop, **named)
    return task
