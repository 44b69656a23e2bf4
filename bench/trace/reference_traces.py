"""Load the traces of `results/reference/traces.json`, from which the README's poster and lessons are drawn.

    python -m bench.trace.reference_traces

makes them again, as `scripts/reference` does.
"""

import json
import sys
from dataclasses import replace
from typing import NamedTuple

from bench.base import files
from bench.base.console import run_program
from bench.base.errors import ExitCode
from bench.model import run_store
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.inside.model import Trace, from_json
from bench.trace.tracer import trace_stack

FILE = run_store.REFERENCE / "traces.json"


class TraceSpec(NamedTuple):
    """A stack with its middlewares, and the request that is traced."""

    stack: str
    middleware: tuple[str, ...] = ()
    request: str = "hello"


TRACES = {
    "poster": TraceSpec("async_asgi@uvicorn", ("startproject",)),
    "alone": TraceSpec("async_asgi@uvicorn"),
    "sync inside": TraceSpec("sync_asgi@uvicorn", ("startproject",)),
    "sync-only outermost": TraceSpec("async_asgi@uvicorn", ("sync_only", "startproject")),
    "folded": TraceSpec("folded@uvicorn", ("startproject", "sync_only")),
    "zero hops": TraceSpec("zero_hop@uvicorn", ("startproject",)),
}
FEED = "feed?n=4&ms=100"
FEEDS = {
    stack: TraceSpec(stack, request=FEED)
    for stack in (
        "sync_wsgi@gthread:8",
        "async_wsgi@gthread:8",
        "sync_asgi@uvicorn",
        "async_asgi@uvicorn",
        "zero_hop@uvicorn",
    )
}
"""The four cells and the one without hops, each with a request for a short feed."""


def load_trace(name: str) -> Trace:
    """Read one of the kept traces."""
    return from_json(json.loads(FILE.read_text())[name])


def main() -> int:
    """Trace every request of TRACES and FEEDS and write `traces.json`, without folders of this machine."""
    traces = {
        name: trace_stack(parse_stack(it.stack), parse_request(it.request), it.middleware)
        for name, it in {**TRACES, **FEEDS}.items()
    }
    found = {name: replace(trace, interpreter="").to_json() for name, trace in traces.items()}
    files.write_atomically(FILE, (json.dumps(found, indent=1) + "\n").encode())
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
