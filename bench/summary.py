"""A run as rows (one per stack x request x users, over restarts), and its claims judged: findings.

Writes and draws nothing; `tables.py`, `plots.py` and `report.py` all start from these rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from operator import attrgetter
from typing import Any

from bench import stats, theory
from bench.record import Claim, Reason, Run, Trial, Verdict, decode_histogram, new_histogram

WORST_LAST: tuple[Verdict, ...] = ("ok", "degraded", "aborted", "not-run", "invalid")
ONLY_LATENCY_SUFFERS = {"unsteady", "errors", "drift"}
SATURATED = 0.9
"""Of its limit: a server this busy bounds the throughput itself, also when the client had little headroom left."""


@dataclass(frozen=True)
class Row:
    """All restarts of one stack x request x middleware x users; numbers are medians over those measured."""

    stack: str
    request: str
    middleware: tuple[str, ...]
    users: int
    trials: tuple[Trial, ...]

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """The restarts whose numbers may be shown."""
        return tuple(trial for trial in self.trials if trial.is_measured)

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
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
        values = self.values(measure)
        return stats.median_of(values) if values else None

    def interval(self, measure: str) -> stats.Interval | None:
        """The interval of the median over restarts; None for fewer than three of them."""
        values = self.values(measure)
        return _median_interval(tuple(values)) if values else None

    def stands(self, measure: str) -> bool:
        """True where most restarts may stand for this measure, as `ok` ones do."""
        return 2 * sum(_decides(trial, measure) for trial in self.trials) > len(self.trials)

    @cached_property
    def throughput_interval(self) -> stats.Interval | None:
        return self.interval("throughput_per_s")

    @property
    def io_wait_s(self) -> float:
        return self.trials[0].io_wait_s

    @property
    def slots(self) -> int | None:
        return self.trials[0].slots

    @property
    def limiter(self) -> theory.Limiter | None:
        """Which of users, threads and server CPU gives the limit, with the measured CPU per request."""
        cpu_us = self.median("cpu_us_per_request")
        if cpu_us is None:
            return None
        return theory.limiter(
            users=self.users,
            io_wait_s=self.io_wait_s,
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


def processes_of(stack: str) -> int:
    """Server processes in the stack's budget, 1 where it names none; also for stacks no longer known."""
    match = re.search(r"x([1-9][0-9]*)$", stack.partition(":")[2])
    return int(match[1]) if match else 1


def values_of(trials: Iterable[Trial], measure: str) -> list[float]:
    """The numbers at a dotted path, of the trials that have them. AttributeError where no trial could."""
    values = (_follow(trial, measure.split(".")) for trial in trials)
    return [float(value) for value in values if value is not None]


def _follow(start: object, path: Sequence[str]) -> Any:
    return reduce(lambda at, name: None if at is None else getattr(at, name), path, start)


def rows_of(run: Run) -> list[Row]:
    """The run's rows in the plan's order: request, middleware, users, stack."""
    groups: dict[tuple[str, str, tuple[str, ...], int], list[Trial]] = {}
    for trial in sorted(run.trials, key=attrgetter("repeat")):
        key = (trial.stack, trial.request, tuple(trial.middleware), trial.users)
        groups.setdefault(key, []).append(trial)
    rows = [Row(*key, tuple(trials)) for key, trials in groups.items()]
    return sorted(rows, key=lambda row: _place(run, row))


def _place(run: Run, row: Row) -> tuple[object, ...]:
    return (
        *_rank(run.plan.requests, row.request),
        *(len(row.middleware), row.middleware, row.users),
        *_rank(run.plan.stacks, row.stack),
    )


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def stacks_without_trials(run: Run) -> list[str]:
    """Stacks that were planned and have no trial in the run, as an interruption leaves them."""
    seen = {trial.stack for trial in run.trials}
    return [stack for stack in run.plan.stacks if stack not in seen]


@dataclass(frozen=True)
class Finding:
    """A claim judged by the run. `text` is the ratio with its interval, or why it cannot be told."""

    claim: Claim
    value: stats.Finding
    text: str
    ratio: stats.Interval | None = None


def findings_of(run: Run) -> list[Finding]:
    """One finding for each of the plan's claims, in its order."""
    return [_judge(claim, run.trials) for claim in run.plan.claims]


def _judge(claim: Claim, trials: Sequence[Trial]) -> Finding:
    left, right = _pick(trials, claim.left), _pick(trials, claim.right)
    hindrance = _hindrance(claim.left, left, claim.measure) or _hindrance(claim.right, right, claim.measure)
    if hindrance:
        return Finding(claim, "cannot tell", hindrance)
    ratio = stats.ratio_interval(_deciding(left, claim.measure), _deciding(right, claim.measure))
    if ratio is None:
        return Finding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts on a side")
    judge = stats.finding_greater if claim.expect == "greater" else stats.finding_less
    return Finding(claim, judge(ratio, claim.than), _ratio_text(claim, ratio), ratio)


def _ratio_text(claim: Claim, ratio: stats.Interval) -> str:
    asked = f", asked: {'more' if claim.expect == 'greater' else 'less'} than {claim.than:g}×"
    return stats.describe_ratio(ratio) + (asked if claim.than != 1 else "")


def _pick(trials: Sequence[Trial], selector: dict[str, Any]) -> list[Trial]:
    return [trial for trial in trials if _fits(trial, selector)]


def _fits(trial: Trial, selector: dict[str, Any]) -> bool:
    return (
        trial.stack == selector["stack"]
        and selector.get("request") in (None, trial.request, trial.workload)
        and selector.get("users") in (None, trial.users)
        and selector.get("middleware") in (None, trial.middleware)
    )


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
    if code == "client-limited":  # what the server spends on a request does not depend on who asks
        is_the_server_s = measure.startswith("server.") or measure == "cpu_us_per_request"
        is_bounded_by_server = measure == "throughput_per_s" and (trial.fraction_of_limit or 0.0) >= SATURATED
        return not (is_the_server_s or is_bounded_by_server)
    return True


def _hindrance(selector: dict[str, Any], trials: Sequence[Trial], measure: str) -> str:
    """Why these trials cannot stand for one side of a claim; empty where they can."""
    side = selector_text(selector)
    if not trials:
        return f"not in this run: {side}"
    if len({(trial.request, trial.users, tuple(trial.middleware)) for trial in trials}) > 1:
        return f"{side} fits several rows: the claim must name its request and users"
    values = _deciding(trials, measure)
    if not values:
        codes = dict.fromkeys(reason.code for trial in trials for reason in trial.reasons)
        return f"{side} has no {measure} to go by ({', '.join(codes) or 'not measured'})"
    return f"{side} has a {measure} of 0" if min(values) <= 0 else ""


def selector_text(selector: dict[str, Any]) -> str:
    """One side of a claim in words: `async_asgi@uvicorn, wait?ms=100, 400 users`."""
    users = selector.get("users")
    parts = [selector["stack"], selector.get("request"), None if users is None else users_text(users)]
    return ", ".join(part for part in [*parts, "+".join(selector.get("middleware") or [])] if part)


def users_text(users: int) -> str:
    """`1 user`, `1,000 users`."""
    return f"{users:,} user{'' if users == 1 else 's'}"
