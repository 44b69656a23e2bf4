"""Compares two runs row by row: ratios of the second to the first, with intervals, or why there is none.

Runs of different machines, versions or capabilities are refused, unless the caller insists: see `comparability.py`.
`show/comparison.py` prints the result.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.analyse import stats
from bench.analyse.comparability import differences, notes_of
from bench.analyse.findings import ratio_of
from bench.analyse.rows import Row, rows_of
from bench.base.errors import UsageError, nearest
from bench.model.load import Open, Slow, Streams
from bench.model.run_record import Run
from bench.model.stacks import split_environment

Change = Literal["better", "worse", "no difference", "cannot compare"]


@dataclass(frozen=True)
class Measure:
    """A number of a row that is compared; recorded unit times `scale` is the printed unit."""

    path: str
    heading: str
    scale: float
    more_is_better: bool


CPU = Measure("cpu_us_per_request", "CPU µs", 1, False)
CLOSED = (Measure("throughput_per_s", "req/s", 1, True), CPU)
OPEN = (
    Measure("latency_us.p99", "p99 ms", 1e-3, False),
    Measure("latency_us.p50", "p50 ms", 1e-3, False),
    CPU,
)
HELD = (
    Measure("held.all_delivered_us", "delivery ms", 1e-3, False),
    Measure("held.rss_per_connection_bytes", "kB per feed", 1e-3, False),
)
GONE = (
    Measure("gone.newcomer_us", "next client ms", 1e-3, False),
    Measure("gone.cpu_us_per_leaver", "CPU ms per departure", 1e-3, False),
)
WAVES = (
    Measure("waves.first.slowest_us", "slowest ms", 1e-3, False),
    Measure("waves.first.open_left", "left open", 1, False),
)
SLOW = (
    Measure("slow.kept_share", "visits kept", 1, True),
    Measure("slow.beside.latency_us.p50", "visitors' p50 ms", 1e-3, False),
)
STREAMS = (
    Measure("streams.carried", "carried", 1, True),
    Measure("streams.gap_us.p99", "gap p99 ms", 1e-3, False),
    Measure("streams.cpu_us_per_part", "CPU µs per part", 1, False),
)
"""What is compared for each kind of load; the first measure stands for the pair in the summary."""


@dataclass(frozen=True)
class Ratio:
    """One measure of a pair: second / first with its interval; without one `text` says why."""

    measure: Measure
    first: float | None
    second: float | None
    interval: stats.Interval | None
    text: str

    @property
    def outcome(self) -> Change:
        """What became of the measure in the second run, compared with the first."""
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
        """The load in words; a share of the capacity with the rate of each run."""
        rates = [row.trial.rate_per_s for row in (self.first, self.second)]
        is_share = self.first.trial.capacity_share is not None
        both = ", ".join("no rate" if rate is None else f"{rate:,.4g}/s" for rate in rates)
        return self.first.load_text + (f" ({both})" if is_share else "")


@dataclass(frozen=True)
class Comparison:
    """Two runs compared: what differs between their machines, and every row that both have or only one has."""

    first: Run
    second: Run
    differences: list[str]
    notes: list[str]
    pairs: list[Pair]
    only_first: list[Row]
    only_second: list[Row]


def compare(first: Run, second: Run, *, anyway: bool = False) -> Comparison:
    """Pair the rows of two runs. Raises UsageError with the differences, unless there are none or `anyway`."""
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


def compare_environments(run: Run, first: str, second: str) -> Comparison:
    """Pair the rows of one run that differ in their environment alone. Raises UsageError for one without trials."""
    found = {split_environment(trial.stack)[1] for trial in run.trials}
    for name in (first, second):
        if name not in found:
            raise UsageError(f"The run has no trial in the environment {name!r}: {nearest(name, found)}")
    return compare(_in_environment(run, first), _in_environment(run, second))


def _in_environment(run: Run, name: str) -> Run:
    """Return the run with the trials in one environment, as if their stacks had none."""
    trials = [(split_environment(trial.stack), trial) for trial in run.trials]
    kept = [replace(trial, stack=stack) for (stack, environment), trial in trials if environment == name]
    stacks = list(dict.fromkeys(split_environment(stack)[0] for stack in run.plan.stacks))
    return replace(run, trials=kept, plan=replace(run.plan, stacks=stacks))


def _unlike_schedule(first: Run, second: Run) -> str:
    """Say why open loops of these runs cannot be compared: requests at random times queue more. Empty if they can."""
    if first.plan.schedule == second.plan.schedule:
        return ""
    return f"another schedule: {first.plan.schedule} / {second.plan.schedule}"


def _by_key(run: Run) -> dict[tuple[object, ...], Row]:
    """Return the rows by what they share in both runs; a rate that is a share of the capacity may differ."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows_of(run):
        share = row.trial.capacity_share
        load = row.load if share is None else Open(capacity_share=share)
        key = (row.stack, row.request, row.middleware, load, row.trial.server_cores)
        found[key] = replace(row, trials=found[key].trials + row.trials) if key in found else row
    return found


def _pair(first: Row, second: Row, unlike_schedule: str) -> Pair:
    refusal = unlike_schedule if first.is_open else ""
    return Pair(first, second, tuple(_ratio(first, second, measure, refusal) for measure in _measures_of(first)))


def _measures_of(row: Row) -> tuple[Measure, ...]:
    if row.trial.max_connections is not None:
        return WAVES
    if isinstance(row.load, Slow):
        return SLOW
    if isinstance(row.load, Streams):
        return STREAMS
    if row.is_connections:
        return HELD if any(trial.held for trial in row.trials) else GONE
    return OPEN if row.is_open else CLOSED


def _ratio(first: Row, second: Row, measure: Measure, refusal: str) -> Ratio:
    why = refusal or _why_not(first, second, measure.path)
    interval = None if why else ratio_of(second, first, measure.path)
    shown = [row.median(measure.path) for row in (first, second)]
    return Ratio(measure, shown[0], shown[1], interval, why or stats.describe_ratio(interval))


def _why_not(first: Row, second: Row, path: str) -> str:
    left, right = first.why_not(path), second.why_not(path)
    if left and left == right:
        return f"both have {left}"
    return "; ".join(f"the {word} has {why}" for word, why in (("first", left), ("second", right)) if why)


def counts_of(pairs: Sequence[Pair]) -> Counter[Change]:
    """Count the pairs by the outcome of their first measure."""
    return Counter(pair.ratios[0].outcome for pair in pairs)
