"""Judges claims by their evidence: each piece by itself, the claim by all pieces that decide. Starts nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from bench.analyse import findings, stats
from bench.analyse.stats import Interval, Outcome
from bench.base.errors import LabError
from bench.claims import facts
from bench.claims.evidence import Absent, ReferenceMaterial
from bench.claims.schema import (
    AnyEvidence,
    AnyFacts,
    Evidence,
    FactEvidence,
    NoEvidence,
    PublicClaim,
    RunEvidence,
    Step,
)
from bench.model import experiment
from bench.model.run_record import Assertion

ASKED = ", asked: "
Finding = Outcome | Literal["it depends"]
"""Of a claim: it depends where a part of the evidence supports it and another part refutes it."""


def combine_findings(parts: Sequence[Finding]) -> Finding:
    """Return what all parts say; `it depends` where some support and some refute, else `cannot tell`.

    A claim is refuted only if every part that decides refutes it. Raises IndexError without any part.
    """
    kinds = set(parts)
    if "it depends" in kinds or {"supported", "refuted"} <= kinds:
        return "it depends"
    return parts[0] if len(kinds) == 1 else "cannot tell"


@dataclass(frozen=True)
class JudgedEvidence:
    """One piece of evidence, judged. `finding` is None if it only adds detail; `is_absent`: it cannot be had here."""

    evidence: AnyEvidence
    finding: Finding | None
    text: str
    is_absent: bool = False


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its finding, the judged evidence it follows from, and one sentence of what was measured."""

    entry: PublicClaim
    parts: tuple[JudgedEvidence, ...]

    @property
    def finding(self) -> Finding:
        """Return what the parts that decide say together. Raises IndexError if no part decides."""
        return combine_findings([part.finding for part in self.parts if part.finding])

    @property
    def sentence(self) -> str:
        """Return the texts of all parts as one sentence, each text once."""
        return _sentence(part.text for part in self.parts)

    @property
    def answer(self) -> str:
        """Return the sentence and, where the finding depends on something, on what."""
        return self.sentence + (f" What it turns on: {self.entry.turns_on}." if self.finding == "it depends" else "")

    @property
    def because(self) -> str:
        """Return the text of the first piece of evidence that has the claim's finding.

        Where no single piece has it, the first of each finding."""
        first = {part.finding: part.text for part in reversed(self.parts) if part.finding}
        return first.get(self.finding) or "; ".join(first[finding] for finding in ("supported", "refuted"))

    @property
    def is_absent(self) -> bool:
        """Return whether deciding evidence cannot be had on this machine, so that nothing follows for Django."""
        return any(part.is_absent and part.finding for part in self.parts)


def _sentence(texts: Iterable[str]) -> str:
    text = "; ".join(dict.fromkeys(texts)).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def judge_claim(entry: PublicClaim, material: ReferenceMaterial) -> JudgedClaim:
    """Judge a claim by this material."""
    return JudgedClaim(entry, tuple(judge_evidence(evidence, material) for evidence in entry.evidence))


def judge_evidence(evidence: AnyEvidence, material: ReferenceMaterial) -> JudgedEvidence:
    """Judge one piece of evidence; the finding is `cannot tell` where the material is absent.

    Raises LabError if `claims.toml` expects a fact that the evidence does not have."""
    if isinstance(evidence, NoEvidence):
        return JudgedEvidence(evidence, "cannot tell", f"cannot tell: {evidence.why} (needed: {evidence.needs})")
    try:
        return _judge_run(evidence, material) if isinstance(evidence, RunEvidence) else _judge_facts(evidence, material)
    except Absent as absence:
        finding: Finding | None = "cannot tell" if evidence.decides else None
        return JudgedEvidence(evidence, finding, f"cannot tell: {absence}", absence.is_of_this_place)


def _judge_facts(evidence: AnyFacts, material: ReferenceMaterial) -> JudgedEvidence:
    found = facts.facts_for(evidence, material)
    missing = [name for name in evidence.expected if name not in found]
    if missing:
        raise LabError(f"bench/claims/claims.toml expects {missing} of evidence that has {sorted(found)}.")
    return JudgedEvidence(evidence, finding_from_facts(evidence, found), fill_in(evidence, found))


def finding_from_facts(evidence: FactEvidence, found: Mapping[str, Any]) -> Finding | None:
    """Compare facts with what the evidence expects of them; None where it expects nothing.

    All that it expects has to hold, unless each expectation is a part of its own (`apart`)."""
    if not evidence.decides:
        return None
    holds = [
        *(found[name] == value for name, value in evidence.is_.items()),
        *(found[name] >= value for name, value in evidence.least.items()),
        *(found[name] <= value for name, value in evidence.most.items()),
    ]
    values: list[Outcome] = ["supported" if each else "refuted" for each in holds]
    for name, bounds in evidence.within.items():
        values.append(stats.judge_between(Interval(**found[name]), *bounds))
    return combine_findings(values) if evidence.apart else min(values, key=stats.WORST_FIRST.index)


def fill_in(evidence: Evidence, found: Mapping[str, Any]) -> str:
    """Fill what was measured into the evidence's sentence. Raises LabError if it names a fact that is not there."""
    try:
        return evidence.shows.format_map({name: _Fact(value) for name, value in found.items()})
    except KeyError as error:
        raise LabError(f"bench/claims/claims.toml shows {error} of evidence that has {sorted(found)}.") from None


@dataclass(frozen=True)
class _Fact:
    """A fact in a format string: `{name}` writes it, `{name:this|that}` writes `this` where it is true or 1."""

    value: Any

    def __format__(self, words: str) -> str:
        one, _, other = words.partition("|")
        return (one if self.value == 1 else other) if words else fact_text(self.value)


def fact_text(value: Any) -> str:
    """Write a fact as it stands in a sentence."""
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
            return f"{', '.join(map(fact_text, parts))} and {fact_text(last)}"
        case [only]:
            return fact_text(only)
    return str(value)


def _judge_run(evidence: RunEvidence, material: ReferenceMaterial) -> JudgedEvidence:
    run, assertion = material.run(evidence.experiment), assertion_for(evidence)
    if evidence.steps:
        judged = [(step.at, findings.finding_for(assertion_for(evidence, step), run.trials)) for step in evidence.steps]
        results = [StepResult(at, found.value, _number_text(found)) for at, found in judged]
        finding = combine_findings([each.finding for each in results]) if evidence.decides else None
        words = {"turn": turn_text(results, ends=not evidence.decides)}
        return JudgedEvidence(evidence, finding, fill_in(evidence, assertion.left | words))
    found = findings.finding_for(assertion, run.trials)
    decided: Finding | None = found.value if evidence.decides else None
    if found.value == "cannot tell" and found.ratio is None and ASKED not in found.text:
        return JudgedEvidence(evidence, decided, f"cannot tell: {found.text}")  # nothing to compare, and why
    near = ", too near to tell" if decided == "cannot tell" else ""
    return JudgedEvidence(evidence, decided, fill_in(evidence, assertion.left | {"seen": _number_text(found)}) + near)


class StepResult(NamedTuple):
    """A comparison at one step of a condition."""

    at: str
    finding: Outcome
    text: str


def turn_text(results: Sequence[StepResult], *, ends: bool = False) -> str:
    """Name the two neighbours between which the finding changes; else, or where `ends` asks for it, both ends."""
    known = [each for each in results if each.finding != "cannot tell"]
    if not known and not ends:
        return "; ".join(f"{each.at}: {each.text}" for each in results)
    for before, after in () if ends else pairwise(known):
        if before.finding != after.finding:
            return f"{before.text} {before.at}, but {after.text} {after.at}"
    first, *others = results if ends else known
    return " and ".join(f"{each.text} {each.at}" for each in (first, *others[-1:]))


def _number_text(found: findings.ClaimFinding) -> str:
    """Return the number or ratio of a comparison, without what the claim expects."""
    return found.text.partition(ASKED)[0]


def assertion_for(evidence: RunEvidence, step: Step | None = None) -> Assertion:
    """Return what is compared, and what people expect of it. Raises LabError if the experiment lacks the claim."""
    base = Assertion(evidence.shows)
    if evidence.claim:
        known = {claim.says: claim for claim in experiment.load_experiment(evidence.experiment).claims}
        if evidence.claim not in known:
            raise LabError(f"bench/claims/claims.toml: {evidence.experiment} has no claim {evidence.claim!r}.")
        base = known[evidence.claim]
    names = ("measure", "left", "right", "expect", "than", "within")
    given = {name: value for name in names if (value := getattr(evidence, name)) is not None}
    claim = replace(base, **given)
    if step is None:
        return claim
    right = None if claim.right is None and not step.right else {**(claim.right or {}), **step.right}
    return replace(claim, left={**claim.left, **step.left}, right=right)
