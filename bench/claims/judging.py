"""From evidence to a finding: each piece is judged by itself, and the claim by all that decide. Starts nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from bench.analyse import findings, stats
from bench.analyse.stats import Interval, Outcome
from bench.base.errors import LabError
from bench.claims import facts
from bench.claims.evidence import Absent, ReferenceMaterial
from bench.claims.schema import AnyEvidence, AnyFacts, Evidence, Nothing, OfFacts, OfRun, PublicClaim, Step
from bench.model import experiment
from bench.model.run_record import Assertion, Run

ASKED = ", asked: "
ORDER: tuple[Outcome, ...] = ("refuted", "cannot tell", "supported")
"""The first of these that a piece of evidence comes to is what the claim comes to."""


@dataclass(frozen=True)
class Part:
    """One piece of evidence, judged; `finding` is None for one that only tells, `is_absent` where it is not here."""

    evidence: AnyEvidence
    finding: Outcome | None
    text: str
    is_absent: bool = False


@dataclass(frozen=True)
class Judged:
    """A claim with its finding, the parts that it comes from, and one sentence of what was measured."""

    entry: PublicClaim
    parts: tuple[Part, ...]

    @property
    def finding(self) -> Outcome:
        """Return the first finding in ORDER that a part came to. Raises ValueError if no part decides."""
        return min((part.finding for part in self.parts if part.finding), key=ORDER.index)

    @property
    def sentence(self) -> str:
        """Return the texts of all parts as one sentence, each text once."""
        text = "; ".join(dict.fromkeys(part.text for part in self.parts)).rstrip(".")
        return f"{text[:1].upper()}{text[1:]}."

    @property
    def because(self) -> str:
        """What the first piece says that comes to the same as the claim."""
        return next(part.text for part in self.parts if part.finding == self.finding)

    @property
    def is_absent(self) -> bool:
        """True where something that decides could not be had in this place, so that nothing follows for Django."""
        return any(part.is_absent and part.finding for part in self.parts)


def judge_claim(entry: PublicClaim, material: ReferenceMaterial) -> Judged:
    """The claim, by this material."""
    return Judged(entry, tuple(judge_evidence(evidence, material) for evidence in entry.evidence))


def judge_evidence(evidence: AnyEvidence, material: ReferenceMaterial) -> Part:
    """Judge one piece of evidence. It comes to `cannot tell` where the material is absent.

    Raises LabError if `claims.toml` expects a fact that the evidence does not have."""
    if isinstance(evidence, Nothing):
        return Part(evidence, "cannot tell", f"cannot tell: {evidence.why} (needed: {evidence.needs})")
    try:
        return _of_run(evidence, material) if isinstance(evidence, OfRun) else _of_facts(evidence, material)
    except Absent as absence:
        finding: Outcome | None = "cannot tell" if evidence.decides else None
        return Part(evidence, finding, f"cannot tell: {absence}", absence.is_of_this_place)


def _of_facts(evidence: AnyFacts, material: ReferenceMaterial) -> Part:
    found = facts.of(evidence, material)
    missing = [name for name in evidence.expected if name not in found]
    if missing:
        raise LabError(f"bench/claims/claims.toml expects {missing} of evidence that has {sorted(found)}.")
    return Part(evidence, finding_of(evidence, found), told(evidence, found))


def finding_of(evidence: OfFacts, found: Mapping[str, Any]) -> Outcome | None:
    """What the facts say to what the evidence expects of them; None where it expects nothing."""
    if not evidence.decides:
        return None
    values: list[Outcome] = [
        *(_side(found[name] == value) for name, value in evidence.is_.items()),
        *(_side(found[name] >= value) for name, value in evidence.least.items()),
        *(_side(found[name] <= value) for name, value in evidence.most.items()),
        *(stats.finding_between(interval_of(found[name]), *bounds) for name, bounds in evidence.within.items()),
    ]
    return min(values, key=ORDER.index)


def _side(holds: bool) -> Outcome:
    return "supported" if holds else "refuted"


def interval_of(fact: Mapping[str, float]) -> Interval:
    """Return the Interval of a fact that has `low`, `estimate` and `high`."""
    return Interval(fact["low"], fact["estimate"], fact["high"])


def told(evidence: Evidence, found: Mapping[str, Any]) -> str:
    """The evidence's words with what was measured. LabError where they name what the evidence has not."""
    try:
        return evidence.shows.format_map({name: Fact(value) for name, value in found.items()})
    except KeyError as error:
        raise LabError(f"bench/claims/claims.toml shows {error} of evidence that has {sorted(found)}.") from None


@dataclass(frozen=True)
class Fact:
    """What was measured, as `shows` has it: `{name}` says it, `{name:this|that}` chooses by it."""

    value: Any

    def __format__(self, words: str) -> str:
        one, _, other = words.partition("|")
        return (one if self.value == 1 else other) if words else shown(self.value)


def shown(value: Any) -> str:
    """A fact in a sentence."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None | "" | []:
            return "none"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.3g}"
        case {"low": low, "estimate": estimate, "high": high}:
            return f"{estimate:,.3g} ({low:,.3g} to {high:,.3g})"
        case [*parts, last] if parts:
            return f"{', '.join(map(shown, parts))} and {shown(last)}"
        case [only]:
            return shown(only)
    return str(value)


def _of_run(evidence: OfRun, material: ReferenceMaterial) -> Part:
    run = material.run(evidence.experiment)
    claim = claim_of(evidence)
    if not evidence.steps:
        found = findings.finding_for(claim, run.trials)
        finding = found.value if evidence.decides else None
        if is_hindered(found):
            return Part(evidence, finding, f"cannot tell: {found.text}")
        near = ", too near to tell" if finding == "cannot tell" else ""
        return Part(evidence, finding, told(evidence, {**claim.left, "seen": measured(found)}) + near)
    seen = [_at(evidence, step, run) for step in evidence.steps]
    finding = min((each.finding for each in seen), key=ORDER.index) if evidence.decides else None
    return Part(evidence, finding, told(evidence, {**claim.left, "turn": turn(seen, ends=not evidence.decides)}))


def is_hindered(found: findings.ClaimFinding) -> bool:
    """True where the run has nothing to compare, and the text says why."""
    return found.value == "cannot tell" and found.ratio is None and ASKED not in found.text


@dataclass(frozen=True)
class Seen:
    """A comparison at one step of a condition."""

    at: str
    finding: Outcome
    text: str


def _at(evidence: OfRun, step: Step, run: Run) -> Seen:
    found = findings.finding_for(claim_of(evidence, step), run.trials)
    return Seen(step.at, found.value, measured(found))


def turn(seen: Sequence[Seen], *, ends: bool = False) -> str:
    """The two neighbours between which the finding changes, or else, and where `ends` is asked for, the two ends."""
    if ends:
        return " and ".join(f"{each.text} {each.at}" for each in (seen[0], seen[-1]))
    known = [each for each in seen if each.finding != "cannot tell"]
    if not known:
        return "; ".join(f"{each.at}: {each.text}" for each in seen)
    for before, after in pairwise(known):
        if before.finding != after.finding:
            return f"{before.text} {before.at}, but {after.text} {after.at}"
    return " and ".join(f"{each.text} {each.at}" for each in ([known[0], known[-1]] if len(known) > 1 else known))


def measured(found: findings.ClaimFinding) -> str:
    """The number or ratio that a run has for a comparison, without what was asked of it."""
    return found.text.partition(ASKED)[0]


def claim_of(evidence: OfRun, step: Step | None = None) -> Assertion:
    """What is compared, and what people expect of it."""
    base = claim_in(evidence.experiment, evidence.claim) if evidence.claim else Assertion(evidence.shows)
    names = ("measure", "left", "right", "expect", "than", "within")
    given = {name: value for name in names if (value := getattr(evidence, name)) is not None}
    claim = replace(base, **given)
    if step is None:
        return claim
    right = None if claim.right is None and not step.right else {**(claim.right or {}), **step.right}
    return replace(claim, left={**claim.left, **step.left}, right=right)


def claim_in(name: str, says: str) -> Assertion:
    """The claim of an experiment by its text. LabError where it has none such."""
    for claim in experiment.load_experiment(name).claims:
        if claim.says == says:
            return claim
    raise LabError(f"bench/claims/claims.toml asks {name} for a claim that it has not: {says!r}.")
