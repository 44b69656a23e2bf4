"""A run as rows (one per stack x request x users, over restarts), and its claims judged: findings.

Writes and draws nothing; `tables`, `plots.py` and `report.py` all start from these rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

from bench import limits, stats, theory
from bench.model.histograms import decode_histogram, new_histogram
from bench.model.run_record import Assertion, Run, sides_of
from bench.model.trial_record import Reason, Trial, Verdict, load_text, values_of

WORST_LAST: tuple[Verdict, ...] = ("ok", "degraded", "aborted", "not-run", "invalid")
ONLY_LATENCY_SUFFERS = {"unsteady", "errors", "drift", "overload", "server-busy"}
LOADS = ("users", "rate_per_s", "capacity_share", "connections", "max_connections")
COUNTED = ("held.", "gone.", "waves.", "database.")
LEAST = 1e-9
"""Of any measure that a ratio can be made of: less is nothing, and one over it overflows."""
SATURATED = 0.9
"""Of its limit: a server this busy bounds the throughput itself, also when the client had little headroom left."""


class Load(NamedTuple):
    """What the load of a row was: see `trial_record.Trial`."""

    users: int | None
    rate_per_s: float | None
    capacity_share: float | None
    connections: int | None = None
    max_connections: int | None = None


@dataclass(frozen=True)
class Row:
    """All restarts of one stack x request x middleware x load; numbers are medians over those measured."""

    stack: str
    request: str
    middleware: tuple[str, ...]
    load: Load
    trials: tuple[Trial, ...]

    @property
    def users(self) -> int:
        """N of a closed loop, 0 for an open one."""
        return self.load.users or 0

    @property
    def is_open(self) -> bool:
        """Return whether this is an open loop: its load is a rate."""
        return self.load.users is None and self.load.connections is None

    @property
    def is_connections(self) -> bool:
        """True where connections were held or left, and nothing was counted by the second."""
        return self.load.connections is not None

    @property
    def load_text(self) -> str:
        """Return the load in words, such as `100 users`."""
        return self.trials[0].load_text

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """The restarts whose numbers may be shown."""
        return tuple(trial for trial in self.trials if trial.is_measured)

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
        """Return how many restarts have each verdict."""
        return Counter(trial.verdict for trial in self.trials)

    @property
    def verdict(self) -> Verdict:
        """The worst of the restarts' verdicts."""
        return max(self.verdicts, key=WORST_LAST.index)

    @property
    def verdict_text(self) -> str:
        """The verdict where all restarts are alike, else how many have the worst one: `1/5 invalid`."""
        if len(self.verdicts) == 1:
            return self.verdict
        return f"{self.verdicts[self.verdict]}/{len(self.trials)} {self.verdict}"

    @property
    def is_hollow(self) -> bool:
        """True where numbers exist but some restart was not plainly `ok`."""
        return bool(self.measured) and self.verdict != "ok"

    @cached_property
    def reasons(self) -> tuple[tuple[Reason, int], ...]:
        """The first reason of each code, with the number of restarts it befell."""
        counts: Counter[str] = Counter()
        first: dict[str, Reason] = {}
        for trial in self.trials:
            counts.update({reason.code for reason in trial.reasons})
            first = {reason.code: reason for reason in reversed(trial.reasons)} | first
        return tuple((first[code], counts[code]) for code in first)

    @property
    def why(self) -> str:
        """The reasons as one text; how many restarts each befell where there are several restarts."""
        return "; ".join(self._because(*counted) for counted in self.reasons) or (
            "interrupted" if self.verdict == "aborted" else "no reason recorded"
        )

    def _because(self, reason: Reason, count: int) -> str:
        share = f" ({count} of {len(self.trials)} restarts)" if len(self.trials) > 1 else ""
        return reason.message.rstrip(".") + share

    def values(self, measure: str) -> list[float]:
        """One number per measured restart; `measure` is a path in Trial, such as `server.threads_max`."""
        return values_of(self.measured, measure)

    def median(self, measure: str) -> float | None:
        """Return the median over measured restarts; None where there are none. `measure` as in `values`."""
        values = self.values(measure)
        return stats.median_of(values) if values else None

    def interval(self, measure: str) -> stats.Interval | None:
        """The interval of the median over restarts; None for fewer than three of them."""
        values = self.values(measure)
        return _median_interval(tuple(values)) if values else None

    def deciding(self, measure: str) -> list[float]:
        """One number per restart that may stand for this measure; claims and comparisons go by these."""
        return _deciding(self.trials, measure)

    def why_not(self, measure: str) -> str:
        """Why this row cannot be one side of a ratio of this measure; empty where it can."""
        return _why_not(self.trials, measure)

    def stands(self, measure: str) -> bool:
        """True where most restarts may stand for this measure, as `ok` ones do."""
        return 2 * sum(_decides(trial, measure) for trial in self.trials) > len(self.trials)

    @cached_property
    def throughput_interval(self) -> stats.Interval | None:
        """Return the interval of the median throughput, in requests/s; None for fewer than three restarts."""
        return self.interval("throughput_per_s")

    @property
    def vendor(self) -> str:
        """The database that was asked, as `PostgreSQL 15.18`; empty where none was."""
        return next((trial.database.vendor for trial in self.trials if trial.database), "")

    @property
    def io_wait_s(self) -> float:
        """Return how long each request has to wait, in seconds."""
        return self.trials[0].io_wait_s

    @property
    def slots(self) -> int | None:
        """Return how many requests the server can work on at once; None where that has no bound."""
        return self.trials[0].slots

    @property
    def limiter(self) -> str | None:
        """What most measured restarts had used to the full, from samples; None where nothing was."""
        found = Counter(trial.limiter for trial in self.measured)
        return found.most_common(1)[0][0] if found else None

    @property
    def ceiling(self) -> theory.Limiter | None:
        """Which of users, threads and server CPU gives the limit, with the measured CPU per request."""
        cpu_us = self.median("cpu_us_per_request")
        if cpu_us is None:
            return None
        return theory.limiter(
            users=self.users or limits.UNBOUNDED,
            io_wait_s=limits.waiting_s(self.trials[0], cpu_us / 1e6),
            cpu_s=cpu_us / 1e6,
            threads=self.slots,
            cores=processes_of(self.stack),
        )

    @cached_property
    def histogram(self) -> Any:
        """The latencies of all measured restarts in one HdrHistogram, added without loss."""
        merged = new_histogram()
        for trial in self.measured:
            if trial.histogram:
                merged.add(decode_histogram(trial.histogram))
        return merged


@cache
def _median_interval(values: tuple[float, ...]) -> stats.Interval | None:
    return stats.median_interval(values)


def lab_of(stack: str) -> str:
    """The lab in the stack's name."""
    return re.split(r"[+@]", stack)[0]


def processes_of(stack: str) -> int:
    """Server processes in the stack's budget, 1 where it names none; also for stacks no longer known."""
    match = re.search(r"x([1-9][0-9]*)$", stack.partition(":")[2])
    return int(match[1]) if match else 1


def rows_of(run: Run) -> list[Row]:
    """The run's rows in the plan's order: request, middleware, load, stack."""
    groups: dict[tuple[str, str, tuple[str, ...], Load], list[Trial]] = {}
    for trial in sorted(run.trials, key=attrgetter("repeat")):
        load = Load(*(getattr(trial, name) for name in LOADS))
        groups.setdefault((trial.stack, trial.request, tuple(trial.middleware), load), []).append(trial)
    rows = [Row(*key, tuple(trials)) for key, trials in groups.items()]
    return sorted(rows, key=lambda row: _place(run, row))


def _place(run: Run, row: Row) -> tuple[object, ...]:
    load = (
        row.is_open,
        row.users or row.load.connections or 0,
        -(row.load.max_connections or 0),
        row.load.capacity_share or 0.0,
        row.load.rate_per_s or 0.0,
    )
    if row.load.capacity_share is not None:
        load = (*load[:-1], 0.0)  # the same share is another rate for every stack
    return (
        *_rank(run.plan.requests, row.request),
        *(len(row.middleware), row.middleware, *load),
        *_rank(run.plan.stacks, row.stack),
    )


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def between_windows_s(run: Run) -> float | None:
    """What a trial costs beside its window and warm-up: stop, start, ready, probe; the median, None for no two.

    From the end of one measured window to the beginning of the next trial's, less that trial's warm-up.
    """
    pauses_s = [
        after.window_at_s - after.warmup_s - (before.window_at_s + before.duration_s)
        for before, after in pairwise(run.trials)
        if before.window_at_s is not None and after.window_at_s is not None
    ]
    return stats.median_of(pauses_s) if pauses_s else None


def stacks_without_trials(run: Run) -> list[str]:
    """Stacks that were planned and have no trial in the run, as an interruption leaves them."""
    seen = {trial.stack for trial in run.trials}
    return [stack for stack in run.plan.stacks if stack not in seen]


@dataclass(frozen=True)
class Finding:
    """A claim judged by the run. `text` is the ratio with its interval, or why it cannot be told."""

    claim: Assertion
    value: stats.Finding
    text: str
    ratio: stats.Interval | None = None


def findings_of(run: Run) -> list[Finding]:
    """One finding for each of the plan's claims, in its order."""
    return [judge(claim, run.trials) for claim in run.plan.claims]


def claims_about(claims: Iterable[Assertion], trials: Sequence[Trial]) -> list[Assertion]:
    """The claims all of whose sides are among these trials, measured or only planned."""
    return [claim for claim in claims if all(_pick(trials, side) for side in sides_of(claim))]


def judge(claim: Assertion, trials: Sequence[Trial]) -> Finding:
    """What these trials say to a claim, whoever made it."""
    if claim.order:
        return _judge_order(claim, trials)
    if claim.right is None:
        return _judge_count(claim, trials)
    left, right = _pick(trials, claim.left), _pick(trials, claim.right)
    hindrance = _hindrance(claim.left, left, claim.measure) or _hindrance(claim.right, right, claim.measure)
    if hindrance:
        return Finding(claim, "cannot tell", hindrance)
    ratio = stats.ratio_interval(_deciding(left, claim.measure), _deciding(right, claim.measure))
    if ratio is None:
        return Finding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts on a side")
    return Finding(claim, _side(claim, ratio), _ratio_text(claim, ratio), ratio)


def _side(claim: Assertion, interval: stats.Interval) -> stats.Finding:
    match claim.expect:
        case "between":
            return stats.finding_between(interval, *claim.within)
        case "less":
            return stats.finding_less(interval, claim.than)
        case "greater":
            return stats.finding_greater(interval, claim.than)


def _judge_count(claim: Assertion, trials: Sequence[Trial]) -> Finding:
    """The number itself, from the least to the most seen in any restart."""
    picked = _pick(trials, claim.left)
    hindrance = _hindrance(claim.left, picked, claim.measure, may_be_zero=True)
    if hindrance:
        return Finding(claim, "cannot tell", hindrance)
    values = _deciding(picked, claim.measure)
    if len(values) < stats.MIN_RESTARTS:
        return Finding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts")
    seen = stats.Interval(min(values), stats.median_of(values), max(values))
    per_unit, unit = (1000, " ms") if "_us" in claim.measure else (1, "")
    low, high = (_shown(value / per_unit) for value in (seen.low, seen.high))
    shown = low if low == high else f"{low} to {high}"
    return Finding(claim, _side(claim, seen), f"{shown}{unit}, asked: {_asked(claim, unit, per_unit)}")


def _shown(value: float) -> str:
    """Counts and what has more than three digits as whole numbers, anything else with three digits."""
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.3g}"


def _judge_order(claim: Assertion, trials: Sequence[Trial]) -> Finding:
    """Each has more than the next: refuted by one pair the other way round, supported only by all pairs."""
    pairs = [
        judge(replace(claim, left=more, right=less, order=[], expect="greater", than=1.0), trials)
        for more, less in pairwise(claim.order)
    ]
    text = "; ".join(finding.text for finding in pairs)
    values = {finding.value for finding in pairs}
    for value in ("refuted", "cannot tell"):
        if value in values:
            return Finding(claim, value, text)
    return Finding(claim, "supported", text)


def ratio_of(over: Row, under: Row, measure: str) -> stats.Interval | None:
    """One row's measure over another's, with its interval; None where either has a reservation that forbids it."""
    if over.why_not(measure) or under.why_not(measure):
        return None
    return stats.ratio_interval(over.deciding(measure), under.deciding(measure))


def _ratio_text(claim: Assertion, ratio: stats.Interval) -> str:
    plain = claim.expect != "between" and claim.than == 1
    return stats.describe_ratio(ratio) + ("" if plain else f", asked: {_asked(claim, '×')}")


def _asked(claim: Assertion, unit: str = "", per_unit: float = 1) -> str:
    if claim.expect == "between":
        low, high = (bound / per_unit for bound in claim.within)
        return f"{low:,.10g} to {high:,.10g}{unit}"
    return f"{'more' if claim.expect == 'greater' else 'less'} than {claim.than / per_unit:,.10g}{unit}"


def _pick(trials: Sequence[Trial], selector: dict[str, Any]) -> list[Trial]:
    return [trial for trial in trials if _fits(trial, selector)]


def _fits(trial: Trial, selector: dict[str, Any]) -> bool:
    return (
        trial.stack == selector["stack"]
        and selector.get("request") in (None, trial.request, trial.workload)
        and _fits_load(trial, selector)
        and selector.get("middleware") in (None, trial.middleware)
    )


def _fits_load(trial: Trial, selector: dict[str, Any]) -> bool:
    """Any load where none is named; a share stands for whatever rate it was; else users and rate, absent or not."""
    if not any(name in selector for name in LOADS):
        return True
    share = selector.get("capacity_share")
    if share is not None:
        return trial.capacity_share == share
    if "connections" in selector:
        allowed = selector.get("max_connections", trial.max_connections)
        return (trial.connections, trial.max_connections) == (selector["connections"], allowed)
    return (trial.users, trial.rate_per_s) == (selector.get("users"), selector.get("rate_per_s"))


def _deciding(trials: Sequence[Trial], measure: str) -> list[float]:
    return values_of((trial for trial in trials if _decides(trial, measure)), measure)


def _decides(trial: Trial, measure: str) -> bool:
    """True where the number may stand for its stack: no reason against the trial touches that measure."""
    if trial.verdict == "degraded":
        return not any(_touches(reason.code, trial, measure) for reason in trial.reasons)
    return trial.verdict == "ok"


def _touches(code: str, trial: Trial, measure: str) -> bool:
    if code in ONLY_LATENCY_SUFFERS:
        return measure.startswith("latency")
    if measure.startswith("hops."):  # counted in a request of their own
        return False
    if code == "lab-gap":
        return True
    if measure.startswith(COUNTED) or (trial.connections and measure == "failed"):
        return "_us" in measure  # a slow driver makes delays longer, not counts or memory
    if code == "client-limited":  # what the server spends on a request does not depend on who asks
        is_the_server_s = measure.startswith("server.") or measure == "cpu_us_per_request"
        is_bounded_by_server = measure == "throughput_per_s" and (trial.fraction_of_limit or 0.0) >= SATURATED
        return not (is_the_server_s or is_bounded_by_server)
    return True


def _hindrance(selector: dict[str, Any], trials: Sequence[Trial], measure: str, *, may_be_zero: bool = False) -> str:
    """Why these trials cannot stand for one side of a claim; empty where they can."""
    side = selector_text(selector)
    if not trials:
        return f"not in this run: {side}"
    if len({(trial.request, trial.load_text, tuple(trial.middleware)) for trial in trials}) > 1:
        return f"{side} fits several rows: the claim must name its request and load"
    because = _why_not(trials, measure, may_be_zero=may_be_zero)
    return f"{side} has {because}" if because else ""


def _why_not(trials: Sequence[Trial], measure: str, *, may_be_zero: bool = False) -> str:
    values = _deciding(trials, measure)
    if not values:
        codes = dict.fromkeys(reason.code for trial in trials for reason in trial.reasons)
        return f"no {measure} to go by ({', '.join(codes) or 'not measured'})"
    return f"a {measure} of 0" if min(values) < LEAST and not may_be_zero else ""


def selector_text(selector: dict[str, Any]) -> str:
    """One side of a claim in words: `async_asgi@uvicorn, wait?ms=100, 400 users`."""
    named = {name: selector[name] for name in LOADS if name in selector}
    load = load_text(*(named.get(name) for name in LOADS)) if named else None
    parts = [selector["stack"], selector.get("request"), load, "+".join(selector.get("middleware") or [])]
    return ", ".join(part for part in parts if part)


def compared_text(claim: Assertion) -> str:
    """What a claim sets beside what: `throughput_per_s: one stack / another`."""
    if claim.order:
        return f"{claim.measure}: " + " > ".join(map(selector_text, claim.order))
    right = "" if claim.right is None else f" / {selector_text(claim.right)}"
    return f"{claim.measure}: {selector_text(claim.left)}{right}"
