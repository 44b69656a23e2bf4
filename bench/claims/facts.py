"""Named facts out of what is kept: of a trace, of traps, of calls, of Django's a-methods, of a probe. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.claims.evidence import Absent, ReferenceMaterial
from bench.claims.schema import AnyFacts, OfCalls, OfMethods, OfProbe, OfTrace, OfTraps
from bench.trace.inside import model as traces

Found = dict[str, Any]
DOORS = ("wsgi", "asgi")


def of(evidence: AnyFacts, material: ReferenceMaterial) -> Found:
    """The facts that the evidence names. Absent where they are not there."""
    match evidence:
        case OfTrace():
            return of_trace(material.document("traces"), evidence)
        case OfTraps():
            return of_traps(material.document("traps"), evidence)
        case OfCalls():
            return of_calls(material.document("calls"), evidence)
        case OfMethods():
            return of_methods(material.document("a_methods"), evidence, material.series)
        case OfProbe():
            return dict(material.document(evidence.probe))


def _there(kept: Mapping[str, Any], name: str, what: str, command: str) -> Any:
    if name not in kept:
        raise Absent(f"{what} {name} is not kept: `{command}` makes it")
    return kept[name]


def of_trace(kept: Mapping[str, Any], evidence: OfTrace) -> Found:
    """Hops by kind, threads, middlewares and how many of them hop."""
    trace = traces.from_json(_there(kept, evidence.trace, "the trace", "python -m bench.trace.reference_traces"))
    hopping = [layer for layer in trace.middleware if layer.hops]
    return {
        **{str(kind): count for kind, count in trace.hops.items()},
        "threads": trace.threads,
        "status": trace.status,
        "middlewares": len(trace.middleware),
        "hopping": len(hopping),
    }


def of_traps(kept: Mapping[str, Any], evidence: OfTraps) -> Found:
    """How many do harm behind each door, and which; of a single one its values behind each door too."""
    traps = kept.get("traps", {})
    doors = {name: _there(traps, name, "the trap", "python -m bench.claims.exhibits.traps") for name in evidence.traps}
    harmed = {door: [name for name in doors if doors[name][door]["trap"]["harmed"]] for door in DOORS}
    worse = [name for name in harmed["asgi"] if name not in harmed["wsgi"]]
    found: Found = {"traps": len(doors), "worse_behind_asgi": len(worse), "worse": [f"`{name}`" for name in worse]}
    for door, names in harmed.items():
        found |= {f"{door}_harmed": len(names), f"{door}_harm": names}
    if len(doors) == 1:
        (only,) = doors.values()
        found |= dict(_values_of(only))
    return found


def _values_of(doors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for door, views in doors.items():
        for view, seen in views.items():
            yield f"{door}_{view}", seen["sentence"]
            yield from ((f"{door}_{view}_{name}", value) for name, value in seen["values"].items())


def of_calls(kept: Mapping[str, Any], evidence: OfCalls) -> Found:
    """How many of the calls came to what, how many blocked and were noticed, and what has no async twin."""
    calls = kept.get("calls", [])
    known = {call["name"] for call in calls}
    for name in evidence.calls:
        if name not in known:
            raise Absent(f"the call {name} is not kept: `python -m bench.claims.exhibits.blocking_calls` makes it")
    if not calls:
        raise Absent("no call is kept: `python -m bench.claims.exhibits.blocking_calls` makes them")
    chosen = [call for call in calls if not evidence.calls or call["name"] in evidence.calls]
    outcomes = Counter(call["outcome"].replace(" ", "_") for call in chosen)
    blocking = [call for call in chosen if call["blocked"]]
    return {
        "calls": len(chosen),
        **{name: outcomes[name] for name in ("caught", "other_error", "swallowed", "blocks", "waits", "short")},
        "unnoticed": sum(not call["caught"] for call in blocking),
        "not_caught": sum(not call["caught"] for call in chosen),
        **_without_twin(kept.get("refused_without_twin", {}), evidence.things),
    }


def _without_twin(kept: Mapping[str, Sequence[str]], things: Sequence[str]) -> Found:
    names = [
        method
        for thing in things
        for method in _there(kept, thing, "the list of", "python -m bench.claims.exhibits.blocking_calls")
    ]
    return {"without_twin": len(names), "twinless": [f"`{name}`" for name in names]}


def of_methods(kept: Mapping[str, Any], evidence: OfMethods, version: str) -> Found:
    """Of each a-method the first version that has it; in each place how many the installed version has."""
    _there(dict.fromkeys(kept.get("versions", ())), version, "Django", "python -m bench.claims.exhibits.a_methods")
    methods = {f"{method['place']}.{method['name']}": method["versions"] for method in kept["methods"]}
    first = {
        name: _there(methods, name, "the a-method", "python -m bench.claims.exhibits.a_methods")[0]
        for name in evidence.methods
    }
    here = [name for name, versions in methods.items() if version in versions]
    counts = {place: _count(here, prefix) for place, prefix in evidence.places.items()}
    return {
        "version": version,
        "methods": len(here),
        "first": [f"`{_of_class(name)}` in {since}" for name, since in first.items()],
        "since": max(first.values(), key=_order, default=""),
        "places": len(counts),
        "counts": [f"{place} {count}" for place, count in counts.items()],
        "without": [place for place, count in counts.items() if not count],
        "places_without": sum(not count for count in counts.values()),
    }


def _of_class(method: str) -> str:
    """`QuerySet.aget` of `db.models.query.QuerySet.aget`."""
    return ".".join(method.rsplit(".", 2)[-2:])


def _count(methods: Sequence[str], prefix: str) -> int:
    return len({name.rpartition(".")[2] for name in methods if name.startswith(f"{prefix}.")})


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
