"""One request as data: its hops, the threads they ran on, and what its time went into. Pure, and without Django.

A hop is one call through asgiref: asked for on one side, started and done on the other, back on the first. What lies
between asked and started, and between done and back, is hand-off; between started and done is work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.record import Hops

Kind = Literal["sync_to_async", "async_to_sync"]
KINDS: tuple[Kind, ...] = ("sync_to_async", "async_to_sync")
LOOP, THREAD, REQUEST_THREAD = "event loop", "thread", "request thread"


@dataclass(frozen=True)
class Hop:
    """One crossing. Times are microseconds since the request began, None where it did not come so far.

    `lane` and `to_lane` are places in `Trace.lanes`; `parent` is the number of the hop on whose far side this one was
    asked for. `asked_by` is `file:line function`, the nearest one outside of asgiref.
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
    middleware: str | None = None

    @property
    def waited_us(self) -> float:
        """From being asked for to being begun on the other side."""
        return _span(self.asked_us, self.started_us)

    @property
    def worked_us(self) -> float:
        return _span(self.started_us, self.done_us)

    @property
    def returned_us(self) -> float:
        """From being done there to going on where it was asked for; a cancelled hop does not wait for it."""
        return max(0.0, _span(self.done_us, self.back_us))

    @property
    def handed_off_us(self) -> float:
        return self.waited_us + self.returned_us


def _span(since_us: float | None, until_us: float | None) -> float:
    return 0.0 if since_us is None or until_us is None else until_us - since_us


@dataclass(frozen=True)
class Layer:
    """One middleware, the outermost first: what it can do, how Django runs it here, and the hops it causes."""

    path: str
    capable: Literal["sync", "async", "both"]
    runs: Literal["sync", "async"]
    is_mixin: bool
    hops: int = 0


@dataclass(frozen=True)
class Trace:
    """One request through one application."""

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
    observer: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def hops(self) -> dict[Kind, int]:
        """How many of each kind."""
        seen = Counter(hop.kind for hop in self.crossings)
        return {kind: seen[kind] for kind in KINDS}

    @property
    def counts(self) -> Hops:
        """The same as a run keeps it."""
        return Hops(**self.hops)

    @property
    def handed_off_us(self) -> float:
        """The time of this request in which nobody worked on it, because it was on its way between threads."""
        return sum(hop.handed_off_us for hop in self.crossings)

    @property
    def worked_in_hops_us(self) -> float:
        """Time on the far side of hops, without the hops made from there."""
        return sum(hop.worked_us - self._nested_us(hop) for hop in self.crossings)

    def _nested_us(self, outer: Hop) -> float:
        return sum(_span(hop.asked_us, hop.back_us) for hop in self.crossings if hop.parent == outer.number)

    def to_json(self) -> dict[str, Any]:
        """Plain data, the totals first."""
        counted = {"hops": self.hops, "threads": len(self.lanes), "status": self.status}
        times = {"handed_off_us": self.handed_off_us, "worked_in_hops_us": self.worked_in_hops_us}
        return counted | times | asdict(self)


def from_json(data: dict[str, Any]) -> Trace:
    """Read what `to_json` gave."""
    plain = {name: data[name] for name in Trace.__dataclass_fields__}
    crossings = [Hop(**hop) for hop in plain.pop("crossings")]
    layers = [Layer(**layer) for layer in plain.pop("middleware")]
    return Trace(**plain, crossings=crossings, middleware=layers)


def hops_text(hops: dict[Kind, int]) -> str:
    """`15 sync_to_async and 1 async_to_sync`, or `no hop`."""
    parts = [f"{count} {kind}" for kind, count in hops.items() if count]
    return " and ".join(parts) or "no hop"


def children_of(crossings: Sequence[Hop], parent: int | None) -> Iterator[Hop]:
    """The hops asked for on the far side of one, or by the request itself."""
    return (hop for hop in crossings if hop.parent == parent)
