"""Takes named facts out of kept evidence: traces, traps, calls, a-methods, probes, answers of servers. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.claims.evidence import Absent, ReferenceMaterial
from bench.claims.exhibits.a_methods import version_order
from bench.claims.schema import (
    AnyFacts,
    CallEvidence,
    ConformanceEvidence,
    MethodEvidence,
    ProbeEvidence,
    TraceEvidence,
    TrapEvidence,
)
from bench.trace.inside import model as traces

Facts = dict[str, Any]
DOORS = ("wsgi", "asgi")
CONFORMANCE = "lab conformance --keep"
A_METHODS, CALLS, TRAPS = (
    f"python -m bench.claims.exhibits.{name}" for name in ("a_methods", "blocking_calls", "traps")
)


def facts_for(evidence: AnyFacts, material: ReferenceMaterial) -> Facts:
    """Return the facts of this evidence by name. Raises Absent if they are not kept."""
    match evidence:
        case TraceEvidence():
            return _trace_facts(material.document("traces"), evidence)
        case TrapEvidence():
            return _trap_facts(material.document("traps"), evidence)
        case CallEvidence():
            return _call_facts(material.document("calls"), evidence)
        case MethodEvidence():
            return _method_facts(material.document("a_methods"), evidence, material.django)
        case ProbeEvidence():
            return dict(material.document(evidence.probe))
        case ConformanceEvidence():
            return _conformance_facts(material.document("conformance").get("rows", []), evidence)


def _require(kept: Mapping[str, Any], name: str, what: str, command: str) -> Any:
    """Return `kept[name]`. Raises Absent, with the command that makes it, if it is not there."""
    if name not in kept:
        raise Absent(f"{what} {name} is not kept: `{command}` makes it")
    return kept[name]


def _trace_facts(kept: Mapping[str, Any], evidence: TraceEvidence) -> Facts:
    """Count hops by kind, threads, middlewares, and middlewares that hop."""
    trace = traces.from_json(_require(kept, evidence.trace, "the trace", "python -m bench.trace.reference_traces"))
    return {
        **{str(kind): count for kind, count in trace.hop_counts.items()},
        "threads": trace.threads,
        "status": trace.status,
        "middlewares": len(trace.middleware),
        "hopping": sum(bool(layer.hops) for layer in trace.middleware),
    }


def _trap_facts(kept: Mapping[str, Any], evidence: TrapEvidence) -> Facts:
    """Count the traps that do harm behind each interface, and name them; of a single trap also its values."""
    traps = {name: _require(kept.get("traps", {}), name, "the trap", TRAPS) for name in evidence.traps}
    harmed = {door: [name for name in traps if traps[name][door]["trap"]["harmed"]] for door in DOORS}
    worse = [name for name in harmed["asgi"] if name not in harmed["wsgi"]]
    facts: Facts = {"traps": len(traps), "worse_behind_asgi": len(worse), "worse": [f"`{name}`" for name in worse]}
    for door, names in harmed.items():
        facts |= {f"{door}_harmed": len(names), f"{door}_harm": names}
    for door, views in traps[evidence.traps[0]].items() if len(traps) == 1 else ():
        for view, outcome in views.items():
            facts[f"{door}_{view}"] = outcome["sentence"]
            facts |= {f"{door}_{view}_{name}": value for name, value in outcome["values"].items()}
    return facts


def _call_facts(kept: Mapping[str, Any], evidence: CallEvidence) -> Facts:
    """Count the calls by outcome, those that blocked unnoticed, and what Django refuses and has no async twin for."""
    calls = {call["name"]: call for call in kept.get("calls", [])}
    if not calls:
        raise Absent(f"no call is kept: `{CALLS}` makes them")
    chosen = [_require(calls, name, "the call", CALLS) for name in evidence.calls or calls]
    outcomes = Counter(call["outcome"].replace(" ", "_") for call in chosen)
    refused = kept.get("refused_without_twin", {})
    twinless = [method for thing in evidence.things for method in _require(refused, thing, "the list of", CALLS)]
    return {
        "calls": len(chosen),
        **{name: outcomes[name] for name in ("caught", "other_error", "swallowed", "blocks", "waits", "short")},
        "unnoticed": sum(call["blocked"] and not call["caught"] for call in chosen),
        "not_caught": sum(not call["caught"] for call in chosen),
        "without_twin": len(twinless),
        "twinless": [f"`{name}`" for name in twinless],
    }


def _method_facts(kept: Mapping[str, Any], evidence: MethodEvidence, django: str) -> Facts:
    """Find the first version that has each a-method; count those in each place that version `django` has."""
    version = ".".join(django.split(".")[:2])
    _require(dict.fromkeys(kept.get("versions", ())), version, "Django", A_METHODS)
    methods = {f"{method['place']}.{method['name']}": method["versions"] for method in kept["methods"]}
    first = {name: _require(methods, name, "the a-method", A_METHODS)[0] for name in evidence.methods}
    here = [name for name, versions in methods.items() if version in versions]
    counts = {
        place: len({name.rpartition(".")[2] for name in here if name.startswith(f"{prefix}.")})
        for place, prefix in evidence.places.items()
    }
    return {
        "version": version,
        "methods": len(here),
        "first": [f"`{'.'.join(name.rsplit('.', 2)[-2:])}` in {since}" for name, since in first.items()],
        "since": max(first.values(), key=version_order, default=""),
        "places": len(counts),
        "counts": [f"{place} {count}" for place, count in counts.items()],
        "without": [place for place, count in counts.items() if not count],
        "places_with": sum(map(bool, counts.values())),
        "places_without": sum(not count for count in counts.values()),
    }


def _conformance_facts(rows: Sequence[Mapping[str, str]], evidence: ConformanceEvidence) -> Facts:
    """Count the servers by their answer, a server behind two interfaces twice, and name them."""
    theirs = [
        row
        for row in rows
        if row["question"] == evidence.question
        and (not evidence.servers or row["server"] in evidence.servers)
        and evidence.interface in ("", row["interface"])
    ]
    if not theirs:
        raise Absent(f"no answer to {evidence.question} is kept: `{CONFORMANCE}` makes it")
    named = {word: [row["server"] for row in theirs if row["answer"] == word] for word in ("yes", "no")}
    return {
        "asked": sum(map(len, named.values())),
        **{word: len(names) for word, names in named.items()},
        **{f"any_{word}": bool(names) for word, names in named.items()},
        **{f"{word}_servers": list(dict.fromkeys(names)) for word, names in named.items()},
    }
