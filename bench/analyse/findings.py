"""Judges the assertions of an experiment by its trials: each gets a ClaimFinding with its Outcome (`stats.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bench.analyse import stats
from bench.analyse.rows import Row, cores_text
from bench.analyse.usable_trials import is_lower_bound, usable_values, why_unusable
from bench.model.load import STORED, load_of
from bench.model.run_record import Assertion, Run, sides_of
from bench.model.trial_record import Trial


@dataclass(frozen=True)
class ClaimFinding:
    """A claim, its Outcome in `value`, and in `measured` the number, the ratio with its interval, or why there is none.

    `expected` is what the claim lets one expect, such as `more than 2×`; empty where the claim itself says it.
    """

    claim: Assertion
    value: stats.Outcome
    measured: str
    ratio: stats.Interval | None = None
    expected: str = ""

    @property
    def text(self) -> str:
        """Return what was measured and, beside it, what was claimed: `2.2× (1.7 to 2.5), claimed: more than 2×`."""
        return self.measured + (f", claimed: {self.expected}" if self.expected else "")


def findings_of(run: Run) -> list[ClaimFinding]:
    """Return one ClaimFinding for each of the plan's claims, in their order."""
    return [finding_for(claim, run.trials) for claim in run.plan.claims]


def claims_about(claims: Iterable[Assertion], trials: Sequence[Trial]) -> list[Assertion]:
    """Return the claims all of whose sides are among these trials, measured or only planned."""
    return [claim for claim in claims if all(_pick(trials, side) for side in sides_of(claim))]


def is_about(claim: Assertion, trial: Trial) -> bool:
    """Return True if the trial, measured or only planned, is on one of the claim's sides."""
    return any(_pick([trial], side) for side in sides_of(claim))


def finding_for(claim: Assertion, trials: Sequence[Trial]) -> ClaimFinding:
    """Judge a claim by these trials; they may be of any run."""
    if claim.order:
        return _judge_order(claim, trials)
    is_count = claim.right is None
    sides = [(side, _pick(trials, side)) for side in sides_of(claim)]
    for side, picked in sides:
        if why := _why_not(side, picked, claim.measure, may_be_zero=is_count):
            return ClaimFinding(claim, "cannot tell", why)
    values = [usable_values(picked, claim.measure) for _, picked in sides]
    if min(map(len, values)) < stats.MIN_RESTARTS:
        text = f"fewer than {stats.MIN_RESTARTS} restarts" + ("" if is_count else " on a side")
        return ClaimFinding(claim, "cannot tell", text)
    if is_count:
        return _judge_count(claim, values[0])
    ratio = stats.ratio_interval(*values)
    is_plain = claim.expect != "between" and claim.than == 1
    expected = "" if is_plain else _expectation(claim, "×")
    return _as_bound(ClaimFinding(claim, _outcome(claim, ratio), stats.describe_ratio(ratio), ratio, expected), sides)


def _as_bound(found: ClaimFinding, sides: Sequence[tuple[Any, Sequence[Trial]]]) -> ClaimFinding:
    """Let a ratio with a lower bound on one side decide only what a bound can decide.

    A server that shares a core with the load could answer more: as the left side it makes the ratio a lower bound, as
    the right side an upper one. Where both share, both answer beside the same load, and the ratio counts as it is.
    """
    claim = found.claim
    left, right = (any(is_lower_bound(trial, claim.measure) for trial in picked) for _, picked in sides)
    decided = {"supported": "greater", "refuted": "less"} if left else {"supported": "less", "refuted": "greater"}
    if left == right or found.value == "cannot tell" or decided[found.value] == claim.expect:
        return found
    word = "at least" if left else "at most"
    return replace(
        found, value="cannot tell", measured=f"{word} {found.measured}: one side shares a core with the load"
    )


def _outcome(claim: Assertion, interval: stats.Interval | None) -> stats.Outcome:
    if claim.expect == "between":
        return stats.judge_between(interval, *claim.within)
    return stats.judge_beyond(interval, claim.expect, claim.than)


def _judge_count(claim: Assertion, values: Sequence[float]) -> ClaimFinding:
    """Judge the number itself, from the least to the most of any restart."""
    interval = stats.Interval(min(values), stats.median_of(values), max(values))
    per_unit, unit = (1000, " ms") if "_us" in claim.measure else (1, "")
    low, high = (_number_text(value / per_unit) for value in (interval.low, interval.high))
    measured = low if low == high else f"{low} to {high}"
    expected = _expectation(claim, unit, per_unit)
    return ClaimFinding(claim, _outcome(claim, interval), f"{measured}{unit}", expected=expected)


def _number_text(value: float) -> str:
    """Write whole numbers and numbers from 100 on without decimals, others with three digits."""
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.3g}"


def _judge_order(claim: Assertion, trials: Sequence[Trial]) -> ClaimFinding:
    """Judge that each side has more than the next: one refuted pair refutes it, only all pairs support it."""
    pairs = [
        finding_for(replace(claim, left=more, right=less, order=[], expect="greater", than=1.0), trials)
        for more, less in pairwise(claim.order)
    ]
    outcome = min((pair.value for pair in pairs), key=stats.WORST_FIRST.index)
    return ClaimFinding(claim, outcome, "; ".join(pair.text for pair in pairs))


def ratio_of(over: Row, under: Row, measure: str) -> stats.Interval | None:
    """Return the ratio of one row's measure to another's with its interval; None if a reservation forbids it."""
    if over.why_not(measure) or under.why_not(measure):
        return None
    return stats.ratio_interval(usable_values(over.trials, measure), usable_values(under.trials, measure))


def _expectation(claim: Assertion, unit: str = "", per_unit: float = 1) -> str:
    if claim.expect == "between":
        low, high = (bound / per_unit for bound in claim.within)
        return f"{low:,.10g}{unit}" if low == high else f"{low:,.10g} to {high:,.10g}{unit}"
    return f"{'more' if claim.expect == 'greater' else 'less'} than {claim.than / per_unit:,.10g}{unit}"


def _pick(trials: Sequence[Trial], selector: dict[str, Any]) -> list[Trial]:
    return [
        trial
        for trial in trials
        if trial.stack == selector["stack"]
        and selector.get("request") in (None, trial.request, trial.workload)
        and _fits_load(trial, selector)
        and selector.get("middleware") in (None, trial.middleware)
        and selector.get("server_cores", trial.server_cores) == trial.server_cores
    ]


def _fits_load(trial: Trial, selector: dict[str, Any]) -> bool:
    """True if the selector names no load, or the trial's; a share of the capacity fits at any rate."""
    if not any(name in selector for name in STORED):
        return True
    share = selector.get("capacity_share")
    if share is not None:
        return trial.capacity_share == share
    if "connections" in selector:
        allowed = selector.get("max_connections", trial.max_connections)
        return (trial.connections, trial.max_connections) == (selector["connections"], allowed)
    return (trial.users, trial.rate_per_s) == (selector.get("users"), selector.get("rate_per_s"))


def _why_not(selector: dict[str, Any], trials: Sequence[Trial], measure: str, *, may_be_zero: bool = False) -> str:
    """Say why these trials cannot be one side of a claim; empty if they can."""
    side = selector_text(selector)
    if not trials:
        return f"not in this run: {side}"
    if len({(it.request, it.load_text, tuple(it.middleware), it.server_cores) for it in trials}) > 1:
        return f"{side} fits several rows: the claim must name its request and load, and cores where they differ"
    because = why_unusable(trials, measure, may_be_zero=may_be_zero)
    return f"{side} has {because}" if because else ""


def selector_text(selector: dict[str, Any]) -> str:
    """Write one side of a claim: `async_asgi@uvicorn, wait?ms=100, 400 users`."""
    named = {name: selector[name] for name in STORED if name in selector}
    load = load_of(**named).text if named else None
    cores = f"on {cores_text(selector['server_cores'])}" if selector.get("server_cores") else None
    parts = [selector["stack"], selector.get("request"), load, "+".join(selector.get("middleware") or []), cores]
    return ", ".join(part for part in parts if part)


def compared_text(claim: Assertion) -> str:
    """Write what a claim compares: `throughput_per_s: one stack / another`."""
    if claim.order:
        return f"{claim.measure}: " + " > ".join(map(selector_text, claim.order))
    right = "" if claim.right is None else f" / {selector_text(claim.right)}"
    return f"{claim.measure}: {selector_text(claim.left)}{right}"
