"""Two runs row by row: the second over the first, with intervals; or why not. `comparison.py` shows it.

Runs of unlike machines, versions or capabilities are refused unless asked for: see `comparability.py`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analyse import stats
from bench.analyse.comparability import differences, notes_of
from bench.analyse.rows import Row, rows_of
from bench.base.errors import UsageError
from bench.model.load import Open
from bench.model.run_record import Run

Change = Literal["better", "worse", "no difference", "cannot compare"]


@dataclass(frozen=True)
class Measure:
    """One number of a row that is compared; `scale` makes the shown unit of the recorded one."""

    path: str
    heading: str
    scale: float
    more_is_better: bool


THROUGHPUT = Measure("throughput_per_s", "req/s", 1, True)
P50 = Measure("latency_us.p50", "p50 ms", 1e-3, False)
P99 = Measure("latency_us.p99", "p99 ms", 1e-3, False)
CPU = Measure("cpu_us_per_request", "CPU µs", 1, False)
TOLD = Measure("held.all_delivered_us", "delivery ms", 1e-3, False)
EACH = Measure("held.rss_per_connection_bytes", "kB per feed", 1e-3, False)
NEWCOMER = Measure("gone.newcomer_us", "next client ms", 1e-3, False)
SPENT = Measure("gone.cpu_us_per_leaver", "CPU ms per departure", 1e-3, False)
SLOWEST = Measure("waves.first.slowest_us", "slowest ms", 1e-3, False)
LEFT_OPEN = Measure("waves.first.open_left", "left open", 1, False)
CLOSED, OPEN, HELD, GONE = (THROUGHPUT, CPU), (P99, P50, CPU), (TOLD, EACH), (NEWCOMER, SPENT)
WAVES = (SLOWEST, LEFT_OPEN)
"""The first one speaks for the pair in the summary."""


@dataclass(frozen=True)
class Ratio:
    """One measure of a pair: second over first with its interval, or in `text` why there is none."""

    measure: Measure
    first: float | None
    second: float | None
    interval: stats.Interval | None
    text: str

    @property
    def outcome(self) -> Change:
        """Of the second run, seen from the first."""
        if self.interval is None:
            return "cannot compare"
        if self.interval.includes(1.0):
            return "no difference"
        return "better" if (self.interval.low > 1) == self.measure.more_is_better else "worse"


@dataclass(frozen=True)
class Pair:
    """The same row in both runs."""

    first: Row
    second: Row
    ratios: tuple[Ratio, ...]

    @property
    def load_text(self) -> str:
        """The load, and for a share of the capacity what it came to in either run."""
        rates = [row.trial.rate_per_s for row in (self.first, self.second)]
        is_share = self.first.trial.capacity_share is not None
        both = ", ".join("no rate" if rate is None else f"{rate:,.4g}/s" for rate in rates)
        return self.first.load_text + (f" ({both})" if is_share else "")


@dataclass(frozen=True)
class Comparison:
    """All that two runs say to each other."""

    first: Run
    second: Run
    differences: list[str]
    notes: list[str]
    pairs: list[Pair]
    only_first: list[Row]
    only_second: list[Row]


def compare(first: Run, second: Run, *, anyway: bool = False) -> Comparison:
    """Pair the rows of two runs. UsageError, naming what differs, where they are not alike and not `anyway`."""
    differing = differences(first, second)
    if differing and not anyway:
        raise UsageError(f"These runs differ in {'; '.join(differing)}: say --anyway to compare them all the same.")
    ours, theirs = _by_key(first), _by_key(second)
    if not ours.keys() & theirs.keys():
        raise UsageError(
            f"No row of {first.experiment} has a partner in {second.experiment} (the same stack, request, middleware "
            f"and load): compare two runs of one experiment."
        )
    refusal = _unlike_schedule(first, second)
    return Comparison(
        first,
        second,
        differing,
        notes_of(first, second),
        pairs=[_pair(row, theirs[key], refusal) for key, row in ours.items() if key in theirs],
        only_first=[row for key, row in ours.items() if key not in theirs],
        only_second=[row for key, row in theirs.items() if key not in ours],
    )


def _unlike_schedule(first: Run, second: Run) -> str:
    """Why no open loop of these runs can be compared: requests that come at random times queue more."""
    if first.plan.schedule == second.plan.schedule:
        return ""
    return f"another schedule: {first.plan.schedule} / {second.plan.schedule}"


def _by_key(run: Run) -> dict[tuple[object, ...], Row]:
    """Rows by what must be the same; the rate counts only where it was not a share of the capacity."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows_of(run):
        share = row.trial.capacity_share
        key = (row.stack, row.request, row.middleware, row.load if share is None else Open(capacity_share=share))
        found[key] = replace(row, trials=found[key].trials + row.trials) if key in found else row
    return found


def _pair(first: Row, second: Row, unlike_schedule: str) -> Pair:
    refusal = unlike_schedule if first.is_open else ""
    return Pair(first, second, tuple(_ratio(first, second, measure, refusal) for measure in _measures_of(first)))


def _measures_of(row: Row) -> tuple[Measure, ...]:
    if row.trial.max_connections is not None:
        return WAVES
    if row.is_connections:
        return HELD if any(trial.held for trial in row.trials) else GONE
    return OPEN if row.is_open else CLOSED


def _ratio(first: Row, second: Row, measure: Measure, refusal: str) -> Ratio:
    why = refusal or _hindrance(first, second, measure.path)
    interval = None if why else stats.ratio_interval(second.deciding(measure.path), first.deciding(measure.path))
    shown = [row.median(measure.path) for row in (first, second)]
    return Ratio(measure, shown[0], shown[1], interval, why or stats.describe_ratio(interval))


def _hindrance(first: Row, second: Row, path: str) -> str:
    left, right = first.why_not(path), second.why_not(path)
    if left and left == right:
        return f"both have {left}"
    return "; ".join(f"the {word} has {why}" for word, why in (("first", left), ("second", right)) if why)


def counts_of(pairs: Sequence[Pair]) -> Counter[Change]:
    """How the pairs came out, each by its first measure: throughput, an open loop's p99, a delay of connections."""
    return Counter(pair.ratios[0].outcome for pair in pairs)
