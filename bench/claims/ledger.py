"""Judges all claims, keeps the findings in `results/reference/claims.json`, and finds what has changed since."""

import json
import platform
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.base import files
from bench.base.errors import LabError
from bench.claims.evidence import PROBES_KEPT, Absent, LiveMaterial, ReferenceMaterial
from bench.claims.judging import Finding, JudgedClaim, JudgedEvidence, judge_claim
from bench.claims.probes import PROBES
from bench.claims.schema import (
    AnyEvidence,
    CallEvidence,
    ConformanceEvidence,
    MethodEvidence,
    ProbeEvidence,
    PublicClaim,
    RunEvidence,
    TraceEvidence,
    TrapEvidence,
    load_claims,
    source_of,
)
from bench.model import run_store
from bench.model.experiment import load_experiment
from bench.trace.reference_traces import FEEDS, TRACES

FILE = run_store.REFERENCE / PROBES_KEPT
FINDINGS: tuple[Finding, ...] = ("supported", "it depends", "refuted", "cannot tell")


def judge_all(material: ReferenceMaterial, chosen: Sequence[PublicClaim] | None = None) -> list[JudgedClaim]:
    """Judge every claim, or those chosen, by this material."""
    return [judge_claim(entry, material) for entry in (load_claims() if chosen is None else chosen)]


def save_ledger(found: Sequence[JudgedClaim], material: LiveMaterial) -> None:
    """Keep versions, each finding with its sentence, and the probes' results. Raises OSError if the disk is full."""
    document = {
        "django": material.django,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "findings": {each.entry.id: {"finding": each.finding, "sentence": each.sentence} for each in found},
        "probes": material.probe_results,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(material.folder / PROBES_KEPT, text.encode())


def load_ledger(material: ReferenceMaterial) -> dict[str, Any]:
    """Load what `save_ledger` kept. Raises LabError if there is nothing."""
    path = material.folder / PROBES_KEPT
    if not path.exists():
        raise LabError(f"{path.name} is not there: `lab claims --write` makes it.")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@dataclass(frozen=True)
class Change:
    """A claim whose finding differs from the kept one; `was` is None for a new claim."""

    now: JudgedClaim
    was: Finding | None

    @property
    def counts(self) -> bool:
        """Return False if evidence cannot be had on this machine, which says nothing about Django."""
        return not self.now.is_absent


def find_changes(found: Sequence[JudgedClaim], findings: dict[str, dict[str, Any]]) -> list[Change]:
    """Return the claims whose finding differs from the kept one."""
    pairs = [Change(each, findings.get(each.entry.id, {}).get("finding")) for each in found]
    return [change for change in pairs if change.now.finding != change.was]


def change_to_json(change: Change) -> dict[str, Any]:
    """Return a change as plain data."""
    now = change.now
    return {"id": now.entry.id, "was": change.was, "now": now.finding, "counts": change.counts}


def counts_text(found: Sequence[JudgedClaim]) -> str:
    """Count the findings: `10 supported, 12 it depends, 23 refuted, 2 cannot tell`."""
    counted = Counter(each.finding for each in found)
    return ", ".join(f"{counted[value]} {value}" for value in FINDINGS)


def to_json(each: JudgedClaim, material: ReferenceMaterial) -> dict[str, Any]:
    """Return one claim as plain data."""
    entry = each.entry
    return {
        "id": entry.id,
        "source": source_of(entry).title,
        "link": source_of(entry).link,
        "says": entry.says,
        "finding": each.finding,
        "sentence": each.sentence,
        "turns_on": entry.turns_on,
        "table": [line._asdict() for line in each.table],
        "lesson": entry.lesson,
        "again": entry.again,
        "evidence": [
            {
                "by": evidence_text(part, material),
                "place": place_of(part.evidence, material),
                "finding": part.finding,
                "text": part.text,
            }
            for part in each.parts
        ],
    }


def evidence_text(part: JudgedEvidence, material: ReferenceMaterial) -> str:
    """Name the evidence; for a run also the Django it was made with: `run io_wait, Django 5.2.19`."""
    match part.evidence:
        case RunEvidence(experiment=name):
            try:
                return f"run {name}, Django {material.run(name).environment['packages']['django']}"
            except Absent:
                return f"run {name}"
        case TraceEvidence(trace=name):
            return f"trace {name}"
        case TrapEvidence(traps=names):
            return f"traps {', '.join(names)}"
        case CallEvidence():
            return "calls on an event loop"
        case MethodEvidence():
            return "Django's a-methods"
        case ProbeEvidence(probe=name):
            return f"probe {name}"
        case ConformanceEvidence(question=name):
            return f"what servers answer to {name}"
    return "nothing"


def place_of(evidence: AnyEvidence, material: ReferenceMaterial) -> str:
    """Say where to look at the evidence: the file to open, or the command to type."""
    kept = f"results/{material.folder.name}"
    match evidence:
        case RunEvidence(experiment=name):
            is_draft = not load_experiment(name).reference
            return f"bench/model/experiments/{name}.toml" if is_draft else f"{kept}/{name}/README.md"
        case TraceEvidence(trace=name):
            stack, middleware, request = {**TRACES, **FEEDS}[name]
            return f"lab trace {stack} {shlex.quote(request)}" + (
                f" --middleware {','.join(middleware)}" if middleware else ""
            )
        case TrapEvidence(traps=names):
            return ", ".join(f"labs/traps/{name}.py" for name in names)
        case CallEvidence():
            return "labs/traps/calls.py"
        case MethodEvidence():
            return f"{kept}/a_methods.json"
        case ProbeEvidence(probe=name):
            return f"bench/claims/probes/{PROBES[name].module}.py"
        case ConformanceEvidence():
            return f"{kept}/conformance.md"
    return ""
