"""One request as data: its hops, the threads they ran on, and where its time went. Computes only; needs no Django.

A hop is one call through asgiref: asked for on one side, started and done on the other, back on the first. Between
started and done it works. Between asked and started, and between done and back, it is handed off; but while the
thread that it needs is busy with this same request, it is queued.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import accumulate
from operator import sub
from typing import Any, Literal

Kind = Literal["sync_to_async", "async_to_sync"]
Runs = Literal["sync", "async", "not used", "unknown"]
KINDS: tuple[Kind, ...] = ("sync_to_async", "async_to_sync")
LEADS: dict[Kind, str] = {"sync_to_async": "to a thread", "async_to_sync": "to a loop"}
LOOP, THREAD, REQUEST_THREAD = "event loop", "thread", "request thread"
HOOKS = ("process_request", "process_response")
"""What MiddlewareMixin sends to a thread, one hop each, where it runs async."""
VIEW, DJANGO = "the view", "Django itself"
"""What causes a hop where no middleware does."""
ORM = "django/db/"
"""Where the hop of a query is asked for."""
TOTALS = ("threads", "status", "handed_off_us", "queued_us", "worked_in_hops_us", "causes")
"""What stands in a trace's JSON behind the numbers of hops and before the rest."""


@dataclass(frozen=True)
class Hop:
    """One call through asgiref. Times are microseconds since the request began, None for a moment that did not come.

    `lane` and `to_lane` are places in `Trace.lanes`. `parent` is the number of the hop on whose far side this one was
    asked for. `asked_by` is `file:line function`, the nearest one outside of asgiref; `project_at` is the project's
    nearest one, where a view asks through a library, as through the ORM, and else empty. `cause` is VIEW, DJANGO or the
    path of a middleware, and `layer` that middleware's place in `Trace.middleware`. `queued_us` is the part of the wait
    before `started_us` in which the thread was busy with another hop of the same request.
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
    project_at: str = ""

    @property
    def middleware(self) -> str | None:
        """The path of the middleware that causes it; None where the view or Django does."""
        return None if self.cause in (VIEW, DJANGO) else self.cause

    @property
    def purpose(self) -> str:
        """What it is for, in a word that can be counted: middleware, queries, the view, or Django itself."""
        if self.middleware:
            return "middleware"
        return "queries" if ORM in self.asked_by else self.cause

    @property
    def sent_us(self) -> float:
        """From asked to started, without the time in the queue."""
        return max(0.0, _span(self.asked_us, self.started_us) - self.queued_us)

    @property
    def worked_us(self) -> float:
        """From started to done."""
        return _span(self.started_us, self.done_us)

    @property
    def returned_us(self) -> float:
        """From done to back. 0 for a cancelled hop, which does not wait for its far side."""
        return max(0.0, _span(self.done_us, self.back_us))

    @property
    def handed_off_us(self) -> float:
        """The way there and the way back."""
        return self.sent_us + self.returned_us

    def to_json(self) -> dict[str, Any]:
        """The fields, the middleware, and two parts of its time; `queued_us`, the third, is a field."""
        parts = {"handed_off_us": self.handed_off_us, "worked_us": self.worked_us}
        return {**asdict(self), "middleware": self.middleware, **parts}


def _span(since_us: float | None, until_us: float | None) -> float:
    return 0.0 if since_us is None or until_us is None else until_us - since_us


def with_queues(hops: Sequence[Hop]) -> list[Hop]:
    """Compute `queued_us` of each hop.

    A thread does one thing at a time. A hop that it has to wait for inside another one (`async_to_sync` in a thread)
    runs within that one, so hops queue only behind those with the same enclosing hop on the same thread.
    """
    by_number = {hop.number: hop for hop in hops}
    queues = defaultdict(list)
    for hop in hops:
        if hop.kind == "sync_to_async" and hop.started_us is not None:
            queues[hop.to_lane, _enclosing(hop, by_number)].append(hop)
    queued_us = {number: waited_us for queue in queues.values() for number, waited_us in _waits_in(queue)}
    return [replace(hop, queued_us=queued_us.get(hop.number, 0.0)) for hop in hops]


def _enclosing(hop: Hop, by_number: dict[int, Hop]) -> int | None:
    """The number of the nearest outer hop that works on the same thread."""
    outer = by_number.get(hop.parent or 0)
    while outer is not None and outer.to_lane != hop.to_lane:
        outer = by_number.get(outer.parent or 0)
    return outer.number if outer else None


def _waits_in(queue: list[Hop]) -> Iterator[tuple[int, float]]:
    """The number of each hop in what one thread did, one after the other, and how long others kept it waiting."""
    starts = sorted(hop.started_us or 0.0 for hop in queue)
    in_order = sorted(queue, key=lambda hop: hop.started_us or 0.0)
    ends = [float("inf") if hop.done_us is None else hop.done_us for hop in in_order]
    busy_before_us = list(accumulate(map(sub, ends, starts), initial=0.0))

    def busy_until(at_us: float) -> float:
        last = bisect_left(starts, at_us) - 1
        return 0.0 if last < 0 else busy_before_us[last] + min(at_us, ends[last]) - starts[last]

    for hop, started_us in zip(in_order, starts, strict=True):
        yield hop.number, max(0.0, busy_until(started_us) - busy_until(hop.asked_us))


@dataclass(frozen=True)
class Layer:
    """One middleware of the settings: what it can do, how Django runs it here, and the hops that it causes.

    `hooks`: how many of `process_request` and `process_response` it has as a MiddlewareMixin, each of which is a hop
    where it runs async. `not used`: it raised MiddlewareNotUsed. `unknown`: one around it hides what is inside of it.
    """

    path: str
    capable: Literal["sync", "async", "both"]
    runs: Runs
    hops: int = 0
    hooks: int = 0


@dataclass(frozen=True)
class ViewCall:
    """One call of a view: its name, its thread as a place in `Trace.lanes`, and its times in microseconds.

    `lane` is None for a thread that no hop led to; `ended_us` is None where the view had not ended.
    """

    what: str
    lane: int | None
    began_us: float
    ended_us: float | None


@dataclass(frozen=True)
class Trace:
    """One request through one application.

    `lanes` are the threads that hops ran on, `other_threads` the names of further ones that worked for the request and
    that asgiref did not start. `threads_to_end` counts those that asgiref (3.12 and later) and asyncio start for a
    moment to end others. `middleware` begins with the outermost. `problem` says why the status is 300 or more, and what
    to do. `error` is what the request raised, and `error_at` the project's own places on the way to it, the view first.
    `ended` is False where the request was still at work when its time was over.
    """

    application: str
    interface: Literal["asgi", "wsgi"]
    method: str
    path: str
    status: int | None
    took_us: float
    first_byte_us: float | None
    lanes: list[str]
    hops: list[Hop]
    middleware: list[Layer] = field(default_factory=list)
    views: list[ViewCall] = field(default_factory=list)
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
    def hop_counts(self) -> dict[Kind, int]:
        """How many hops of each kind."""
        return {kind: sum(hop.kind == kind for hop in self.hops) for kind in KINDS}

    @property
    def summary(self) -> str:
        """The hops in one sentence: `Left the loop 15 times: 13 for middleware, 2 for Django itself.`"""
        is_asgi = self.interface == "asgi"
        out, back = KINDS if is_asgi else reversed(KINDS)
        home, away = ("the loop", "a thread") if is_asgi else ("its thread", "an event loop")
        counts = Counter(hop.purpose for hop in self.hops if hop.kind == out)
        if not self.hops:
            return f"Never left {home}."
        what_for = ", ".join(f"{count} for {purpose}" for purpose, count in counts.most_common())
        first = f"Left {home} for {away} {_times(counts.total())}" + (f": {what_for}." if counts else ".")
        returns = self.hop_counts[back]
        return f"{first} Came back from there {_times(returns)} on the way." if returns else first

    @property
    def causes(self) -> dict[str, int]:
        """How many hops no middleware causes, by what does."""
        return {cause: sum(hop.cause == cause for hop in self.hops) for cause in (VIEW, DJANGO)}

    @property
    def threads(self) -> int:
        """How many threads worked for the request."""
        return len(self.lanes) + len(self.other_threads)

    @property
    def handed_off_us(self) -> float:
        """Time in which calls were on their way between threads."""
        return sum(hop.handed_off_us for hop in self.hops)

    @property
    def queued_us(self) -> float:
        """Time in which calls waited for a thread that was busy with this same request."""
        return sum(hop.queued_us for hop in self.hops)

    @property
    def worked_in_hops_us(self) -> float:
        """Time on the far side of hops, without the hops made from there."""
        nested_us: defaultdict[int | None, float] = defaultdict(float)
        for hop in self.hops:
            nested_us[hop.parent] += _span(hop.asked_us, hop.back_us)
        return sum(max(0.0, hop.worked_us - nested_us[hop.number]) for hop in self.hops)

    def to_json(self) -> dict[str, Any]:
        """Plain data, the totals first. `hop_counts` is stored as `hops`, and the hops as `crossings`."""
        totals = {"summary": self.summary, "hops": self.hop_counts, **{name: getattr(self, name) for name in TOTALS}}
        stored = {"crossings" if name == "hops" else name: value for name, value in asdict(self).items()}
        return totals | stored | {"crossings": [hop.to_json() for hop in self.hops]}


def from_json(data: dict[str, Any]) -> Trace:
    """Read what `to_json` gave, also that of a lab which knew fewer fields."""
    hops = [Hop(**_known(Hop, {"cause": hop.get("middleware") or DJANGO, **hop})) for hop in data["crossings"]]
    layers = [Layer(**_known(Layer, layer)) for layer in data["middleware"]]
    views = [ViewCall(**_known(ViewCall, view)) for view in data.get("views", ())]
    return Trace(**{**_known(Trace, data), "hops": hops, "middleware": layers, "views": views})


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    return {one.name: data[one.name] for one in fields(kind) if one.name in data}


def _times(count: int) -> str:
    return f"{count} time{'' if count == 1 else 's'}"


def hops_text(counts: dict[Kind, int]) -> str:
    """`15 hops to a thread and 1 hop to a loop`, or `no hop`."""
    told = (f"{count} hop{'' if count == 1 else 's'} {LEADS[kind]}" for kind, count in counts.items() if count)
    return " and ".join(told) or "no hop"


def threads_text(count: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{count} thread{'' if count == 1 else 's'}"
