"""One request of each lane, traced: its hops for the page to play slowly."""

from typing import TYPE_CHECKING, Any

from bench.base.errors import LabError
from bench.learn.room.settings import Settings
from bench.model.workloads import Request, parse_request
from bench.trace.inside.model import Trace
from bench.trace.tracer import trace_stack

if TYPE_CHECKING:
    from bench.learn.room.lane import Lane

DRAWN = ("what", "lane", "to_lane", "asked_us", "started_us", "done_us", "back_us")
SHORT_MS = 5
"""A request's wait in slow motion: with a longer one its hops could not be told apart."""


def trace_lane(lane: "Lane", settings: Settings) -> dict[str, Any]:
    """Trace the request that the lane's visitors send, with a short wait; `error` says why there is no `trace`."""
    found = {"stack": lane.stack.name, "colour": lane.stack.lab.colour}
    middleware = ["startproject"] if settings.middleware else []
    try:
        return {**found, "trace": _drawn(trace_stack(lane.stack, _short_request(settings), middleware))}
    except LabError as error:
        return {**found, "error": str(error)}


def _drawn(trace: Trace) -> dict[str, Any]:
    """What the page draws of a trace: no path of this machine is in it."""
    hops = [{name: getattr(hop, name) for name in DRAWN} for hop in trace.hops]
    return {"lanes": trace.lanes, "took_us": trace.took_us, "threads": trace.threads, "crossings": hops}


def _short_request(settings: Settings) -> Request:
    if settings.behind == "stream":
        return parse_request("hello")
    request = parse_request(settings.path.removeprefix("/"))
    return Request(request.workload, {**request.parameters, "ms": min(SHORT_MS, settings.wait_ms)})
