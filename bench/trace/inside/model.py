"""One request as data: its hops, the threads they ran on, and where its time went. Pure, and without Django.

A hop is one call through asgiref: asked for on one side, started and done on the other, back on the first. Between
started and done lies work. Between asked and started, and between done and back, the hop is handed off; except while
the thread that it needs is busy with this same request: then it is queued.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Kind = Literal["sync_to_async", "async_to_sync"]
Runs = Literal["sync", "async", "not used", "unknown"]
KINDS: tuple[Kind, ...] = ("sync_to_async", "async_to_sync")
LOOP, THREAD, REQUEST_THREAD = "event loop", "thread", "request thread"
HOOKS = ("process_request", "process_response")
"""What MiddlewareMixin sends to a thread, one hop each, where it runs async."""
VIEW, DJANGO = "the view", "Django itself"
"""What causes a hop where no middleware does."""


@dataclass(frozen=True)
class Hop:
    """One crossing. Times are microseconds since the request began, None for a moment that did not come.

    `lane` and `to_lane` are places in `Trace.lanes`; `parent` is the number of the hop on whose far side this one was
    asked for. `asked_by` is `file:line function`, the nearest one outside of asgiref. `cause` is VIEW, DJANGO or the
    path of a middleware, and `layer` that middleware's place in `Trace.middleware`. `queued_us` is the part of
    `waited_us` in which the thread was busy with another hop of the same request.
    """

    number: int
    kind: Kind
    what: str
    asked_by: str
    lane: int
    to_lane: int | None
    asked_us: float
    started_us: float | None
    done_us: float | None
    back_us: float | None
    outcome: str = "returned"
    parent: int | None = None
    cause: str = DJANGO
    layer: int | None = None
    queued_us: float = 0.0

    @property
    def middleware(self) -> str | None:
        """The path of the middleware that causes it; None where the view or Django does."""
        return None if self.cause in (VIEW, DJANGO) else self.cause

    @property
    def waited_us(self) -> float:
        """From asked to started: on the way, or queued."""
        return _span(self.asked_us, self.started_us)

    @property
    def worked_us(self) -> float:
        """Return how long the work took on the far side, in microseconds."""
        return _span(self.started_us, self.done_us)

    @property
    def returned_us(self) -> float:
        """From done to back. 0 for a cancelled hop, which does not wait for its far side."""
        return max(0.0, _span(self.done_us, self.back_us))

    @property
    def sent_us(self) -> float:
        """The way there: the wait without the time in the queue."""
        return max(0.0, self.waited_us - self.queued_us)

    @property
    def handed_off_us(self) -> float:
        """Both ways."""
        return self.sent_us + self.returned_us

    def to_json(self) -> dict[str, Any]:
        """The fields, the middleware, and the three parts of its time."""
        parts = {"handed_off_us": self.handed_off_us, "worked_us": self.worked_us}
        return {**asdict(self), "middleware": self.middleware, **parts}


def _span(since_us: float | None, until_us: float | None) -> float:
    return 0.0 if since_us is None or until_us is None else until_us - since_us


def with_queues(hops: Sequence[Hop]) -> list[Hop]:
    """The same hops with `queued_us`.

    A thread does one thing at a time. A hop that it has to wait for inside another one (`async_to_sync` in a thread)
    runs within that one, so hops queue only behind those with the same enclosing hop on the same thread.
    """
    by_number = {hop.number: hop for hop in hops}
    works = defaultdict(list)
    queue_of = {}
    for hop in hops:
        if hop.kind == "sync_to_async" and hop.started_us is not None:
            queue_of[hop.number] = hop.to_lane, _enclosing(hop, by_number)
            works[queue_of[hop.number]].append((hop.started_us, hop.done_us))
    queues = {place: _Queue(sorted(spans, key=lambda span: span[0])) for place, spans in works.items()}
    return [
        replace(hop, queued_us=queues[queue_of[hop.number]].busy_us(hop.asked_us, hop.started_us))
        if hop.number in queue_of
        else hop
        for hop in hops
    ]


def _enclosing(hop: Hop, by_number: dict[int, Hop]) -> int | None:
    """The number of the nearest outer hop that works on the same thread."""
    outer = by_number.get(hop.parent or 0)
    while outer is not None and outer.to_lane != hop.to_lane:
        outer = by_number.get(outer.parent or 0)
    return outer.number if outer else None


class _Queue:
    """What a thread did one after the other: (started, done) in order, done None while it lasts."""

    def __init__(self, spans: Sequence[tuple[float, float | None]]) -> None:
        self.starts = [started for started, _ in spans]
        self.ends = [float("inf") if done is None else done for _, done in spans]
        self.busy_before = [0.0]
        for started, end in zip(self.starts, self.ends, strict=True):
            self.busy_before.append(self.busy_before[-1] + end - started)

    def busy_us(self, since_us: float, until_us: float | None) -> float:
        return 0.0 if until_us is None else max(0.0, self._busy_until(until_us) - self._busy_until(since_us))

    def _busy_until(self, at_us: float) -> float:
        place = bisect_left(self.starts, at_us)
        if place == 0:
            return 0.0
        return self.busy_before[place - 1] + min(at_us, self.ends[place - 1]) - self.starts[place - 1]


@dataclass(frozen=True)
class Layer:
    """One middleware, the outermost first: what it can do, how Django runs it here, and the hops that it causes.

    `hooks`: how many of `process_request` and `process_response` it has as a MiddlewareMixin, each of which is a hop
    where it runs async. `not used`: it raised MiddlewareNotUsed. `unknown`: one around it hides what is inside of it.
    """

    path: str
    capable: Literal["sync", "async", "both"]
    runs: Runs
    hops: int = 0
    hooks: int = 0


@dataclass(frozen=True)
class Trace:
    """One request through one application.

    `lanes` are the threads that hops ran on, `other_threads` the names of further ones that worked for the request and
    that asgiref did not start. `threads_to_end` counts those that asgiref (3.12 and later) and asyncio start for a
    moment to end others. `problem` says why the status is 300 or more, and what to do. `error` is what the request
    raised, and `error_at` the project's own places on the way to it, the view first. `ended` is False where the request
    was still at work when nobody waited any more.
    """

    application: str
    interface: Literal["asgi", "wsgi"]
    method: str
    path: str
    status: int | None
    took_us: float
    first_byte_us: float | None
    lanes: list[str]
    crossings: list[Hop]
    middleware: list[Layer] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    error: str | None = None
    error_at: list[str] = field(default_factory=list)
    problem: str | None = None
    observer: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    other_threads: list[str] = field(default_factory=list)
    threads_to_end: int = 0
    ended: bool = True
    has_lifespan: bool | None = None
    warm_up: int = 0
    interpreter: str = ""

    @property
    def hops(self) -> dict[Kind, int]:
        """How many of each kind."""
        seen = Counter(hop.kind for hop in self.crossings)
        return {kind: seen[kind] for kind in KINDS}

    @property
    def threads(self) -> int:
        """How many threads worked for the request."""
        return len(self.lanes) + len(self.other_threads)

    @property
    def causes(self) -> dict[str, int]:
        """Hops that no middleware causes, by what does."""
        seen = Counter(hop.cause for hop in self.crossings)
        return {cause: seen[cause] for cause in (VIEW, DJANGO)}

    @property
    def handed_off_us(self) -> float:
        """Time in which nobody worked on a call, because it was on its way between threads."""
        return sum(hop.handed_off_us for hop in self.crossings)

    @property
    def queued_us(self) -> float:
        """Time in which a call waited for a thread that was busy with this same request."""
        return sum(hop.queued_us for hop in self.crossings)

    @property
    def worked_in_hops_us(self) -> float:
        """Time on the far side of hops, without the hops made from there."""
        nested_us: defaultdict[int | None, float] = defaultdict(float)
        for hop in self.crossings:
            nested_us[hop.parent] += _span(hop.asked_us, hop.back_us)
        return sum(max(0.0, hop.worked_us - nested_us[hop.number]) for hop in self.crossings)

    def to_json(self) -> dict[str, Any]:
        """Plain data, the totals first."""
        counted = {"hops": self.hops, "threads": self.threads, "status": self.status}
        times = {
            "handed_off_us": self.handed_off_us,
            "queued_us": self.queued_us,
            "worked_in_hops_us": self.worked_in_hops_us,
        }
        crossings = [hop.to_json() for hop in self.crossings]
        return counted | times | {"causes": self.causes} | asdict(self) | {"crossings": crossings}


def from_json(data: dict[str, Any]) -> Trace:
    """Read what `to_json` gave, also that of a lab which knew fewer fields."""
    crossings = [Hop(**_known(Hop, {"cause": hop.get("middleware") or DJANGO, **hop})) for hop in data["crossings"]]
    layers = [Layer(**_known(Layer, layer)) for layer in data["middleware"]]
    return Trace(**{**_known(Trace, data), "crossings": crossings, "middleware": layers})


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    return {one.name: data[one.name] for one in fields(kind) if one.name in data}


def hops_text(hops: dict[Kind, int]) -> str:
    """`15 sync_to_async and 1 async_to_sync`, or `no hop`."""
    parts = [f"{count} {kind}" for kind, count in hops.items() if count]
    return " and ".join(parts) or "no hop"


def threads_text(count: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{count} thread{'' if count == 1 else 's'}"
