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
from bench.model.run_record import Assertion, Run

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


class Measured(NamedTuple):
    """A line of the table under a finding."""

    label: str
    value: str


@dataclass(frozen=True)
class JudgedEvidence:
    """One piece of evidence, judged. `finding` is None if it only adds detail; `is_absent`: it cannot be had here.

    `text`: what it adds to the finding's sentence; `table`: what else was measured, as pairs of label and value.
    """

    evidence: AnyEvidence
    finding: Finding | None
    text: str
    table: tuple[Measured, ...] = ()
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
        """Return the texts of the parts that decide as one sentence, each text once."""
        return _sentence(part.text for part in self.parts if part.finding and part.text)

    @property
    def table(self) -> list[Measured]:
        """Return what else was measured, each line once."""
        return list(dict.fromkeys(line for part in self.parts for line in part.table))

    @property
    def answer(self) -> str:
        """Return the sentence and, where the finding depends on something, on what."""
        return self.sentence + (f" It turns on {self.entry.turns_on}." if self.finding == "it depends" else "")

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
        return JudgedEvidence(evidence, finding, f"cannot tell: {absence}", is_absent=absence.is_of_this_place)


def _judge_facts(evidence: AnyFacts, material: ReferenceMaterial) -> JudgedEvidence:
    found = facts.facts_for(evidence, material)
    missing = [name for name in evidence.expected if name not in found]
    if missing:
        raise LabError(f"bench/claims/claims.toml expects {missing} of evidence that has {sorted(found)}.")
    return JudgedEvidence(
        evidence, finding_from_facts(evidence, found), fill_in(evidence.shows, found), fill_table(evidence, found)
    )


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


def fill_in(shows: str, found: Mapping[str, Any]) -> str:
    """Fill what was measured into a text of `claims.toml`. Raises LabError if it names a fact that is not there."""
    try:
        return shows.format_map({name: _Fact(value) for name, value in found.items()})
    except KeyError as error:
        raise LabError(f"bench/claims/claims.toml shows {error} of evidence that has {sorted(found)}.") from None


def fill_table(evidence: Evidence, found: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Fill what was measured into the evidence's table. Raises LabError as `fill_in` does."""
    return tuple(Measured(fill_in(label, found), fill_in(value, found)) for label, value in evidence.table.items())


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
        return _judge_steps(evidence, run)
    found = findings.finding_for(assertion, run.trials)
    decided: Finding | None = found.value if evidence.decides else None
    if found.value == "cannot tell" and found.ratio is None and not found.expected:
        return JudgedEvidence(evidence, decided, f"cannot tell: {found.text}")  # nothing to compare, and why
    near = ", too near to tell" if decided == "cannot tell" else ""
    words = assertion.left | {"seen": found.measured}
    return JudgedEvidence(evidence, decided, fill_in(evidence.shows, words) + near, fill_table(evidence, words))


def _judge_steps(evidence: RunEvidence, run: Run) -> JudgedEvidence:
    """Make the comparison at each step; each is a part of the evidence by itself."""
    results, lines = list[StepResult](), list[Measured]()
    for step in evidence.steps:
        assertion = assertion_for(evidence, step)
        found = findings.finding_for(assertion, run.trials)
        results.append(StepResult(step.at, found.value, found.measured))
        lines += fill_table(evidence, assertion.left | {"at": step.at, "seen": found.measured})
    finding = combine_findings([each.finding for each in results]) if evidence.decides else None
    words = assertion_for(evidence).left | turn_words(results)
    return JudgedEvidence(evidence, finding, fill_in(evidence.shows, words), tuple(lines))


class StepResult(NamedTuple):
    """A comparison at one step of a condition."""

    at: str
    finding: Outcome
    text: str


def turn_words(results: Sequence[StepResult]) -> dict[str, str]:
    """Return `turn`, what was measured at the two neighbours between which the finding changes, else at both ends.

    `holds_at` and `fails_at` are the steps of these that support and that refute the claim; empty if there is none.
    """
    known = [each for each in results if each.finding != "cannot tell"]
    if not known:
        return {"turn": "; ".join(f"{each.at}: {each.text}" for each in results), "holds_at": "", "fails_at": ""}
    turns = [pair for pair in pairwise(known) if pair[0].finding != pair[1].finding]
    first, *others = turns[0] if turns else (known[0], *known[1:][-1:])
    at = {each.finding: each.at for each in (first, *others)}
    parts = [f"{each.text} {each.at}" for each in (first, *others)]
    turn = (", but " if turns else " and ").join(parts)
    return {"turn": turn, "holds_at": at.get("supported", ""), "fails_at": at.get("refuted", "")}


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
