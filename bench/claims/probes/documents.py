"""Probes whose results have a file of their own in `results/reference`: traps, calls, traces, Django's a-methods."""

from dataclasses import asdict
from typing import Any

import django
import msgspec

from bench.claims.exhibits import a_methods as methods
from bench.claims.exhibits import blocking_calls as calling
from bench.claims.exhibits import traps as trapping
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.reference_traces import FEEDS, TRACES
from bench.trace.tracer import trace_stack


def traps() -> dict[str, Any]:
    """Start a server behind each door and return what every trap does there, as in `traps.json`."""
    return {"traps": msgspec.to_builtins(trapping.try_traps())}


def calls() -> dict[str, Any]:
    """Make all calls on an event loop, in a subprocess; return what is kept in `calls.json`."""
    return calling.run_in_subprocess()


def traces() -> dict[str, Any]:
    """Trace each request of `reference_traces.TRACES`, with a process each; return {name: trace as JSON data}."""
    return {
        name: trace_stack(parse_stack(it.stack), parse_request(it.request), it.middleware).to_json()
        for name, it in {**TRACES, **FEEDS}.items()
    }


def a_methods() -> dict[str, Any]:
    """Return what is kept of published versions, with the installed version read again."""
    kept, version = methods.load(), ".".join(map(str, django.VERSION[:2]))
    found = methods.methods_in(methods.sources_of_installed())
    known = {methods.Method(entry["place"], entry["name"]): entry for entry in kept["methods"]}
    for method in found:
        known.setdefault(method, {**asdict(method), "area": method.area, "versions": []})
    for method, entry in known.items():
        versions = {*entry["versions"], version} if method in found else {*entry["versions"]} - {version}
        entry["versions"] = sorted(versions, key=methods.version_order)
    return {
        "versions": {**kept["versions"], version: django.get_version()},
        "methods": [entry for entry in known.values() if entry["versions"]],
    }
