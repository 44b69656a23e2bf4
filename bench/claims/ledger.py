"""All claims judged, what is kept of that in `results/reference/claims.json`, and what has changed since."""

import json
import platform
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.analyse.stats import Outcome
from bench.base import files
from bench.base.errors import LabError
from bench.claims.evidence import PROBES_KEPT, Absent, LiveMaterial, ReferenceMaterial
from bench.claims.judging import Judged, Part, judge_claim
from bench.claims.probes import PROBES
from bench.claims.schema import (
    AnyEvidence,
    OfCalls,
    OfMethods,
    OfProbe,
    OfRun,
    OfTrace,
    OfTraps,
    PublicClaim,
    load_claims,
    load_sources,
)
from bench.model import run_store
from bench.trace.reference_traces import FEEDS, TRACES

FILE = run_store.REFERENCE / PROBES_KEPT
FINDINGS: tuple[Outcome, ...] = ("supported", "refuted", "cannot tell")


def judge_all(material: ReferenceMaterial, chosen: Sequence[PublicClaim] | None = None) -> list[Judged]:
    """Every entry, or those chosen, by this material."""
    return [judge_claim(entry, material) for entry in (load_claims() if chosen is None else chosen)]


def document(found: Sequence[Judged], material: LiveMaterial) -> dict[str, Any]:
    """What is kept: versions, each finding with its sentence, and what the probes saw."""
    return {
        "django": material.django,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "findings": {each.entry.id: {"finding": each.finding, "sentence": each.sentence} for each in found},
        "probes": material.seen,
    }


def write(found: Sequence[Judged], material: LiveMaterial) -> None:
    """Keep them. OSError where the disk does not take it."""
    text = json.dumps(document(found, material), indent=1, ensure_ascii=False) + "\n"
    files.write_atomically(material.folder / PROBES_KEPT, text.encode())


def kept(material: ReferenceMaterial) -> dict[str, Any]:
    """What `write` kept. LabError where there is nothing."""
    path = material.folder / PROBES_KEPT
    if not path.exists():
        raise LabError(f"{path.name} is not there: `lab claims --write` makes it.")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@dataclass(frozen=True)
class Change:
    """A claim whose finding is another one than is kept; `was` is None for one that is new."""

    now: Judged
    was: Outcome | None

    @property
    def counts(self) -> bool:
        """False where evidence could not be had in this place, which says nothing of Django."""
        return not self.now.is_absent


def changes(found: Sequence[Judged], findings: dict[str, dict[str, Any]]) -> list[Change]:
    """Those whose finding differs from the kept one."""
    told = [Change(each, findings.get(each.entry.id, {}).get("finding")) for each in found]
    return [change for change in told if change.now.finding != change.was]


def change_to_json(change: Change) -> dict[str, Any]:
    """A change as plain data."""
    now = change.now
    return {"id": now.entry.id, "was": change.was, "now": now.finding, "counts": change.counts}


def counts_text(found: Sequence[Judged]) -> str:
    """`10 supported, 35 refuted, 2 cannot tell`, without what none comes to."""
    counted = Counter(each.finding for each in found)
    return ", ".join(f"{counted[value]} {value}" for value in FINDINGS if counted[value])


def to_json(each: Judged, material: ReferenceMaterial) -> dict[str, Any]:
    """One claim as plain data."""
    entry = each.entry
    return {
        "id": entry.id,
        "source": load_sources()[entry.source],
        "says": entry.says,
        "finding": each.finding,
        "sentence": each.sentence,
        "turns_on": entry.turns_on,
        "lesson": entry.lesson,
        "again": entry.again,
        "evidence": [
            {
                "by": by_text(part, material),
                "place": place_of(part.evidence, material),
                "finding": part.finding,
                "text": part.text,
            }
            for part in each.parts
        ],
    }


def by_text(part: Part, material: ReferenceMaterial) -> str:
    """What the evidence is, and of a run what it was made with: `run io_wait, Django 5.2.19`."""
    match part.evidence:
        case OfRun(experiment=name):
            return f"run {name}{_made_with(name, material)}"
        case OfTrace(trace=name):
            return f"trace {name}"
        case OfTraps(traps=names):
            return f"traps {', '.join(names)}"
        case OfCalls():
            return "calls on an event loop"
        case OfMethods():
            return "Django's a-methods"
        case OfProbe(probe=name):
            return f"probe {name}"
    return "nothing"


def place_of(evidence: AnyEvidence, material: ReferenceMaterial) -> str:
    """Where to look at it: what to open, or what to type."""
    kept = f"results/{material.folder.name}"
    match evidence:
        case OfRun(experiment=name):
            return f"{kept}/{name}/README.md"
        case OfTrace(trace=name):
            stack, middleware, request = {**TRACES, **FEEDS}[name]
            return f"lab trace {stack} {shlex.quote(request)}" + (
                f" --middleware {','.join(middleware)}" if middleware else ""
            )
        case OfTraps(traps=names):
            return ", ".join(f"labs/traps/{name}.py" for name in names)
        case OfCalls():
            return "labs/traps/calls.py"
        case OfMethods():
            return f"{kept}/a_methods.json"
        case OfProbe(probe=name):
            return f"bench/claims/probes/{PROBES[name].module}.py"
    return ""


def _made_with(name: str, material: ReferenceMaterial) -> str:
    try:
        return f", Django {material.run(name).environment['packages']['django']}"
    except Absent:
        return ""
