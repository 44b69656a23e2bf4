"""A trace in the Chrome trace event format, which Perfetto and chrome://tracing open.

Source: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from collections.abc import Iterator
from typing import Any

from bench.trace.inside.model import Hop, Trace

PID = 1
NOTED = ("asked_by", "project_at", "kind", "outcome", "cause", "handed_off_us", "queued_us", "worked_us")
"""What is shown of a hop that is clicked on."""


def to_chrome(trace: Trace) -> dict[str, Any]:
    """One JSON document; times are microseconds since the request began."""
    events = [*_names(trace), _slice(f"{trace.method} {trace.path}", 0, 0.0, trace.took_us, {"status": trace.status})]
    for view in trace.views:
        ended_us = trace.took_us if view.ended_us is None else view.ended_us
        events.append(_slice(f"the view: {view.what}", view.lane or 0, view.began_us, ended_us, {}))
    for hop in trace.hops:
        events += _hop(hop, trace.took_us)
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"application": trace.application}}


def _names(trace: Trace) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": PID, "args": {"name": trace.application}}
    for lane, name in enumerate(trace.lanes):
        yield {"ph": "M", "name": "thread_name", "pid": PID, "tid": lane, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": PID, "tid": lane, "args": {"sort_index": lane}}


def _slice(name: str, lane: int, at_us: float, until_us: float, args: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": at_us, "dur": until_us - at_us}
    return {"ph": "X", "cat": "hops", "name": name, "pid": PID, "tid": lane, **times, "args": args}


def _hop(hop: Hop, end_us: float) -> Iterator[dict[str, Any]]:
    """The asking side's slice, the working side's, and the arrows there and back."""
    args = {name: getattr(hop, name) for name in NOTED}
    back_us = end_us if hop.back_us is None else hop.back_us
    yield _slice(f"{hop.kind} {hop.what}", hop.lane, hop.asked_us, back_us, args)
    if hop.queued_us:
        yield _slice("queued behind this request's own work", hop.lane, hop.asked_us, hop.asked_us + hop.queued_us, {})
    if hop.started_us is None or hop.to_lane is None:
        return
    yield _slice(hop.what, hop.to_lane, hop.started_us, back_us if hop.done_us is None else hop.done_us, args)
    yield from _arrow(2 * hop.number, hop.lane, hop.asked_us, hop.to_lane, hop.started_us)
    if hop.done_us is not None and hop.back_us is not None:
        yield from _arrow(2 * hop.number + 1, hop.to_lane, hop.done_us, hop.lane, hop.back_us)


def _arrow(number: int, lane: int, at_us: float, to_lane: int, to_us: float) -> Iterator[dict[str, Any]]:
    common = {"cat": "hops", "name": "hand-off", "id": number, "pid": PID}
    yield {"ph": "s", **common, "tid": lane, "ts": at_us}
    yield {"ph": "f", "bp": "e", **common, "tid": to_lane, "ts": to_us}
