"""What load processes recorded of a window: counts and latencies, merged without loss."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from bench.model.histograms import merge_histograms
from bench.model.trial_record import ANSWERED_EVERY_S, Latency

Stretch = tuple[float, float]
"""From and to, in seconds since the window's start."""


COUNTS = (
    *("issued", "carried_in", "completed", "failed", "errors", "timed_out", "dropped", "in_flight"),
    *("answered", "answered_every_s", "duration_s"),
)


@dataclass(frozen=True)
class Recording:
    """Counts and latencies of one window, over all load processes; `trial_record.Trial` says what the counts mean.

    `waited_s` is how long requests were in flight in the window, all added up; `silences` are stretches without any
    answer, `stalls` those in which a load process itself was held up. `engine`: the program that made the load, and its
    version. wrk does not know which request is the oldest in flight, and says 0.
    """

    duration_s: float
    carried_in: int
    issued: int
    completed: int
    answered_halves: list[int]
    answered: list[int]
    errors: dict[str, int]
    in_flight: int
    in_flight_oldest_us: int
    histogram: Any
    timed_out: int = 0
    dropped: int = 0
    waited_s: float = 0.0
    histogram_from_send: Any = None
    histogram_censored: Any = None
    lateness_us: Latency | None = None
    silences: list[Stretch] = field(default_factory=list)
    stalls: list[Stretch] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    answered_every_s: float = ANSWERED_EVERY_S
    engine: str = ""

    @property
    def failed(self) -> int:
        """Return how many requests ended with an error."""
        return sum(self.errors.values())

    @property
    def answered_in_window(self) -> int:
        """Return how many right answers came in the window, whenever they were asked for."""
        return sum(self.answered_halves)

    @property
    def counts(self) -> dict[str, Any]:
        """What a trial keeps of it as it is, by the names of `trial_record.Trial`."""
        return {name: getattr(self, name) for name in COUNTS}

    @property
    def lost(self) -> int:
        """Requests that the accounting misses; exactly 0 unless the load is broken (checklist: accounting)."""
        ended = self.completed + self.failed + self.timed_out + self.dropped + self.in_flight
        return self.carried_in + self.issued - ended


def merge(parts: Sequence[dict[str, Any]]) -> Recording:
    """One recording out of those of all load processes; histograms are added count by count."""
    return Recording(
        duration_s=max(part["duration_s"] for part in parts),
        **{name: sum(part.get(name, 0) for part in parts) for name in SUMMED},
        answered_halves=[sum(part["answered_halves"][half] for part in parts) for half in (0, 1)],
        answered=[sum(column) for column in zip_longest(*(part["answered"] for part in parts), fillvalue=0)],
        answered_every_s=parts[0]["answered_every_s"],
        errors=dict(sum((Counter(part["errors"]) for part in parts), Counter[str]())),
        in_flight_oldest_us=max(part["in_flight_oldest_us"] for part in parts),
        histogram=_added(parts, "histogram"),
        histogram_from_send=_added(parts, "histogram_from_send"),
        histogram_censored=_added(parts, "histogram_censored"),
        lateness_us=next((Latency(**part["lateness_us"]) for part in parts if part.get("lateness_us")), None),
        silences=in_all([[(at, to) for at, to in part["silences"]] for part in parts]),
        stalls=sorted((at, to) for part in parts for at, to in part["stalls"]),
        cpu_s=[part["cpu_s"] for part in parts],
        engine=", ".join(sorted({part["engine"] for part in parts if part.get("engine")})),
    )


SUMMED = ("waited_s", "carried_in", "issued", "completed", "timed_out", "dropped", "in_flight")


def _added(parts: Sequence[dict[str, Any]], name: str) -> Any:
    return merge_histograms(part[name] for part in parts) if any(name in part for part in parts) else None


def in_all(stretches: Sequence[Sequence[Stretch]]) -> list[Stretch]:
    """The stretches of time that every one of the lists covers."""
    common = list(stretches[0]) if stretches else []
    for other in stretches[1:]:
        both = [(max(a, c), min(b, d)) for a, b in common for c, d in other]
        common = [(at, to) for at, to in both if to > at]
    return common
