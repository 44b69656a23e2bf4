"""The assertions of an experiment, judged by its trials: supported, refuted, or cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bench.analyse import stats
from bench.analyse.rows import Row
from bench.analyse.usable_trials import usable_values, why_unusable
from bench.model.load import STORED, load_of
from bench.model.run_record import Assertion, Run, sides_of
from bench.model.trial_record import Trial


@dataclass(frozen=True)
class ClaimFinding:
    """A claim judged by the run. `text` is the ratio with its interval, or why it cannot be told."""

    claim: Assertion
    value: stats.Outcome
    text: str
    ratio: stats.Interval | None = None


def findings_of(run: Run) -> list[ClaimFinding]:
    """One finding for each of the plan's claims, in its order."""
    return [finding_for(claim, run.trials) for claim in run.plan.claims]


def claims_about(claims: Iterable[Assertion], trials: Sequence[Trial]) -> list[Assertion]:
    """The claims all of whose sides are among these trials, measured or only planned."""
    return [claim for claim in claims if all(_pick(trials, side) for side in sides_of(claim))]


def finding_for(claim: Assertion, trials: Sequence[Trial]) -> ClaimFinding:
    """What these trials say to a claim, whoever made it."""
    if claim.order:
        return _judge_order(claim, trials)
    if claim.right is None:
        return _judge_count(claim, trials)
    left, right = _pick(trials, claim.left), _pick(trials, claim.right)
    hindrance = _hindrance(claim.left, left, claim.measure) or _hindrance(claim.right, right, claim.measure)
    if hindrance:
        return ClaimFinding(claim, "cannot tell", hindrance)
    ratio = stats.ratio_interval(usable_values(left, claim.measure), usable_values(right, claim.measure))
    if ratio is None:
        return ClaimFinding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts on a side")
    return ClaimFinding(claim, _side(claim, ratio), _ratio_text(claim, ratio), ratio)


def _side(claim: Assertion, interval: stats.Interval) -> stats.Outcome:
    match claim.expect:
        case "between":
            return stats.finding_between(interval, *claim.within)
        case "less":
            return stats.finding_less(interval, claim.than)
        case "greater":
            return stats.finding_greater(interval, claim.than)


def _judge_count(claim: Assertion, trials: Sequence[Trial]) -> ClaimFinding:
    """The number itself, from the least to the most seen in any restart."""
    picked = _pick(trials, claim.left)
    hindrance = _hindrance(claim.left, picked, claim.measure, may_be_zero=True)
    if hindrance:
        return ClaimFinding(claim, "cannot tell", hindrance)
    values = usable_values(picked, claim.measure)
    if len(values) < stats.MIN_RESTARTS:
        return ClaimFinding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts")
    seen = stats.Interval(min(values), stats.median_of(values), max(values))
    per_unit, unit = (1000, " ms") if "_us" in claim.measure else (1, "")
    low, high = (_shown(value / per_unit) for value in (seen.low, seen.high))
    shown = low if low == high else f"{low} to {high}"
    return ClaimFinding(claim, _side(claim, seen), f"{shown}{unit}, asked: {_asked(claim, unit, per_unit)}")


def _shown(value: float) -> str:
    """Counts and what has more than three digits as whole numbers, anything else with three digits."""
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.3g}"


def _judge_order(claim: Assertion, trials: Sequence[Trial]) -> ClaimFinding:
    """Each has more than the next: refuted by one pair the other way round, supported only by all pairs."""
    pairs = [
        finding_for(replace(claim, left=more, right=less, order=[], expect="greater", than=1.0), trials)
        for more, less in pairwise(claim.order)
    ]
    text = "; ".join(finding.text for finding in pairs)
    values = {finding.value for finding in pairs}
    for value in ("refuted", "cannot tell"):
        if value in values:
            return ClaimFinding(claim, value, text)
    return ClaimFinding(claim, "supported", text)


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
    if not any(name in selector for name in STORED):
        return True
    share = selector.get("capacity_share")
    if share is not None:
        return trial.capacity_share == share
    if "connections" in selector:
        allowed = selector.get("max_connections", trial.max_connections)
        return (trial.connections, trial.max_connections) == (selector["connections"], allowed)
    return (trial.users, trial.rate_per_s) == (selector.get("users"), selector.get("rate_per_s"))


def _hindrance(selector: dict[str, Any], trials: Sequence[Trial], measure: str, *, may_be_zero: bool = False) -> str:
    """Why these trials cannot stand for one side of a claim; empty where they can."""
    side = selector_text(selector)
    if not trials:
        return f"not in this run: {side}"
    if len({(trial.request, trial.load_text, tuple(trial.middleware)) for trial in trials}) > 1:
        return f"{side} fits several rows: the claim must name its request and load"
    because = why_unusable(trials, measure, may_be_zero=may_be_zero)
    return f"{side} has {because}" if because else ""


def selector_text(selector: dict[str, Any]) -> str:
    """One side of a claim in words: `async_asgi@uvicorn, wait?ms=100, 400 users`."""
    named = {name: selector[name] for name in STORED if name in selector}
    load = load_of(**named).text if named else None
    parts = [selector["stack"], selector.get("request"), load, "+".join(selector.get("middleware") or [])]
    return ", ".join(part for part in parts if part)


def compared_text(claim: Assertion) -> str:
    """What a claim sets beside what: `throughput_per_s: one stack / another`."""
    if claim.order:
        return f"{claim.measure}: " + " > ".join(map(selector_text, claim.order))
    right = "" if claim.right is None else f" / {selector_text(claim.right)}"
    return f"{claim.measure}: {selector_text(claim.left)}{right}"
