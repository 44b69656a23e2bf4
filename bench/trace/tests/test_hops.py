"""The hop tracer: counts as the facts say, by either observer, nothing mixed up, nothing left behind."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import django
import pytest
from asgiref.sync import sync_to_async

from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.trace.inside.collector import Collector
from bench.trace.inside.sink import REQUEST
from bench.trace.tests.hop_shapes import OBSERVERS as OBSERVED_BY
from bench.trace.tests.hop_shapes import SHAPES

OBSERVERS = [
    "wrap",
    pytest.param("monitor", marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12")),
]


@pytest.fixture(scope="module", params=OBSERVERS)
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """All shapes, and 200 requests at once, as one observer saw them."""
    command = [sys.executable, "-m", "bench.trace.tests.hop_shapes", request.param]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_request_makes_the_hops_that_the_facts_say(seen: dict[str, Any], name: str) -> None:
    hops = seen["shapes"][name]["hops"]
    assert (hops["sync_to_async"], hops["async_to_sync"]) == SHAPES[name].hops, django.VERSION


@pytest.mark.parametrize("name", SHAPES)
def test_the_four_times_of_a_hop_follow_each_other(seen: dict[str, Any], name: str) -> None:
    trace = seen["shapes"][name]
    for hop in trace["crossings"]:
        moments = ["asked_us", "started_us", "done_us", "back_us"]
        if hop["outcome"] == "cancelled":  # the thread goes on, the request does not wait for it
            moments.remove("done_us")
        times = [hop[moment] for moment in moments]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= trace["took_us"]


def test_a_hop_runs_on_another_thread_than_the_one_that_asks(seen: dict[str, Any]) -> None:
    for name, trace in seen["shapes"].items():
        for hop in trace["crossings"]:
            assert hop["lane"] != hop["to_lane"], name


def test_a_request_has_one_thread_beside_the_loop_however_many_hops_it_makes(seen: dict[str, Any]) -> None:
    assert seen["shapes"]["async view, the seven"]["lanes"] == ["event loop", "thread 1"]
    assert seen["shapes"]["WSGI, async view"]["lanes"] == ["request thread", "event loop"]
    assert seen["shapes"]["WSGI, sync view"]["lanes"] == ["request thread"]


def test_nested_hops_know_on_whose_far_side_they_are(seen: dict[str, Any]) -> None:
    hops = {hop["number"]: hop for hop in seen["shapes"]["nested adapters"]["crossings"]}
    (inner,) = (hop for hop in hops.values() if hop["what"] == "str")
    to_loop = hops[inner["parent"]]
    assert to_loop["kind"] == "async_to_sync"
    assert hops[to_loop["parent"]]["what"].endswith("in_thread")
    assert hops[to_loop["parent"]]["parent"] is None


def test_hops_one_after_the_other_are_not_inside_of_each_other(seen: dict[str, Any]) -> None:
    crossings = seen["shapes"]["async view, the seven"]["crossings"]
    assert [hop["parent"] for hop in crossings] == [None] * 15


def test_a_hop_names_what_runs_and_who_asked_outside_of_asgiref(seen: dict[str, Any]) -> None:
    crossings = seen["shapes"]["async view, the seven"]["crossings"]
    hooks = [hop for hop in crossings if hop["what"].endswith((".process_request", ".process_response"))]
    assert len(hooks) == 12
    assert {hop["asked_by"].split(":")[0] for hop in hooks} == {"django/utils/deprecation.py"}
    assert {hop["what"] for hop in crossings} > {"SessionMiddleware.process_request", "CsrfViewMiddleware.process_view"}
    assert not any("asgiref" in hop["asked_by"] for hop in crossings)


def test_what_raised_and_what_was_cancelled_is_told(seen: dict[str, Any]) -> None:
    shapes = seen["shapes"]
    outcomes = {hop["what"]: hop["outcome"] for hop in shapes["disconnect in a thread"]["crossings"]}
    assert outcomes.pop("eventually") == "cancelled"
    assert set(outcomes.values()) == {"returned"}
    assert not any(hop["outcome"] == "not ended" for trace in shapes.values() for hop in trace["crossings"])
    assert shapes["disconnect"]["status"] is None
    assert shapes["exception"]["status"] == 500
    assert shapes["404"]["status"] == 404


@pytest.mark.parametrize("observer", OBSERVERS)
def test_work_that_raised_is_told_while_its_caller_cannot_go_on_yet(observer: str) -> None:
    """The loop is held up, so that only the far side of the hop can have told it."""

    async def ask() -> None:
        request = Collector("asgi", "GET", "/")
        REQUEST.set(request)
        call = asyncio.create_task(sync_to_async(int, thread_sensitive=False)("no number"))
        await asyncio.sleep(0)
        assert eventually(lambda: request.trace().hops[0].outcome == "raised ValueError", within_s=10)
        with pytest.raises(ValueError, match="no number"):
            await call

    with OBSERVED_BY[observer]():
        asyncio.run(ask())


def test_of_200_requests_at_once_every_hop_is_told_of_its_own(seen: dict[str, Any]) -> None:
    traces = seen["interleaved"]
    assert len(traces) == 200
    for trace in traces:
        number = int(trace["path"].rpartition("/")[2])
        steps = [hop["what"] for hop in trace["crossings"] if hop["what"].startswith("step_")]
        assert steps == [f"step_{number}"] * (number % 5)
        assert trace["hops"] == {"sync_to_async": 2 + number % 5, "async_to_sync": 0}


def test_afterwards_asgiref_is_as_it_was(seen: dict[str, Any]) -> None:
    assert seen["is_as_it_was"]
