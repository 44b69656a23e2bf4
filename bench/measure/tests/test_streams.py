"""Streams that are passed on, with real servers, the real upstream and the real driver: who carries them, who stops."""

import asyncio
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base.polling import eventually
from bench.measure import connection_trial
from bench.measure.load.streams import Driver, Options, Stream
from bench.measure.processes import Process
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.services import Services, serving_upstream
from bench.measure.tests.windows import run_until
from bench.model import run_json
from bench.model.histograms import decode_histogram
from bench.model.load import Streams
from bench.model.stacks import parse_stack
from bench.model.tests import runs
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import StreamsResult, Trial
from bench.model.workloads import parse_request
from bench.show.figures import catalogue
from bench.show.tables.json_rows import to_json_rows

CONNECTIONS, LEAVING, PARTS, EVERY_MS = 6, 2, 12, 100
STAYING = CONNECTIONS - LEAVING


def planned(stack: str, workload: str) -> TrialPlan:
    request = parse_request(f"{workload}?n={PARTS}&ms={EVERY_MS}")
    load = Streams(CONNECTIONS, LEAVING)
    return TrialPlan(parse_stack(stack), request, load, 0, (), warmup_s=0.1, duration_s=0.5)


def measured(
    stack: str, workload: str = "tokens", holds: Callable[[StreamsResult], bool] = lambda seen: True
) -> tuple[Trial, StreamsResult]:
    """A trial of which every stream ended as planned, made again where a stall kept one from that or from `holds`."""

    def as_planned(trial: Trial) -> bool:
        seen = trial.streams
        ends = seen and (seen.whole, seen.left, seen.late, seen.failed)
        return seen is not None and ends == (STAYING, LEAVING, 0, 0) and holds(seen)

    trial = run_until(planned(stack, workload), as_planned)
    seen = trial.streams
    assert seen, trial.reasons
    assert (seen.whole, seen.left, seen.late, seen.failed) == (STAYING, LEAVING, 0, 0)
    assert seen.first_part_us
    assert seen.cpu_us_per_part
    assert trial.offered_load == Streams(CONNECTIONS, LEAVING)
    return trial, seen


@pytest.mark.parametrize(
    ("stack", "workload"),
    [
        (f"sync_wsgi@gthread:{CONNECTIONS}", "tokens"),
        ("async_asgi@uvicorn", "tokens"),
        ("async_asgi@uvicorn", "tokens_lean"),
        ("zero_hop@uvicorn", "tokens"),
    ],
)
def test_parts_are_passed_on_as_they_come_and_who_leaves_stops_the_upstream(stack: str, workload: str) -> None:
    half_us = 1000 * EVERY_MS * (PARTS - 1) / 2
    trial, seen = measured(
        stack,
        workload,
        lambda seen: (
            (seen.stopped, seen.in_vain) == (LEAVING, 0)
            and seen.first_part_us is not None
            and seen.first_part_us.p50 < half_us
        ),
    )
    assert seen.first_part_us
    assert seen.gap_us
    assert seen.first_part_us.p50 < half_us  # it did not wait for the last part
    assert seen.gap_us.max > 1000 * EVERY_MS / 2
    assert STAYING * PARTS <= seen.parts < CONNECTIONS * PARTS
    assert decode_histogram(seen.gaps).get_total_count() >= seen.parts - CONNECTIONS
    assert (seen.stopped, seen.in_vain) == (LEAVING, 0)
    assert seen.parts_in_vain < LEAVING * PARTS / 2
    assert trial.server
    assert stack.startswith("zero_hop") or trial.server.threads_max >= CONNECTIONS  # each stream has a thread


@pytest.mark.parametrize("stack", ["sync_asgi@uvicorn", f"async_wsgi@gthread:{CONNECTIONS}"])
def test_the_wrong_iterator_is_collected_whole_and_whoever_leaves_stops_nothing(stack: str) -> None:
    _, seen = measured(stack, holds=lambda seen: (seen.stopped, seen.in_vain) == (0, LEAVING))
    assert (seen.carried, seen.parts) == (0, STAYING * PARTS)
    assert (seen.stopped, seen.in_vain, seen.parts_in_vain) == (0, LEAVING, LEAVING * PARTS)
    assert seen.first_part_us
    assert seen.first_part_us.p50 >= 1000 * EVERY_MS * (PARTS - 1) / 2  # those that left waited so long for nothing


def test_fewer_threads_than_streams_let_the_others_wait_and_a_run_keeps_it_all() -> None:
    trial, few = measured("sync_wsgi@gthread:2", "tokens_lean")
    assert few.first_part_us
    assert few.first_part_us.max > 1000 * EVERY_MS * (PARTS - 1) / 2
    run = runs.run_of([trial])
    assert run_json.from_json(run_json.to_json(run), "here").trials == run.trials
    (row,) = to_json_rows(run)
    assert (row["streams_carried"], row["streams_stopped"]) == (few.carried, few.stopped)
    (drawn,) = (drawn for drawn in catalogue.figures_for(run) if drawn.slug.startswith("streams-"))
    assert drawn.figure.finding.startswith(f"{trial.load_text} {trial.stack} carries ", len("At "))


def test_an_upstream_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = connection_trial._watch

    def without_upstream(
        server: RunningServer, driver: Process, services: Services, *more: Any
    ) -> connection_trial.ConnectionEvidence:
        upstream = services.upstream
        assert upstream
        os.kill(upstream.pid, signal.SIGKILL)
        assert eventually(lambda: upstream.exit_status is not None, 20)
        return watch(server, driver, services, *more)

    monkeypatch.setattr(connection_trial, "_watch", without_upstream)
    trial = run_until(planned("sync_wsgi@gthread:2", "tokens"))
    assert (trial.verdict, trial.reasons[0].code) == ("invalid", "server-died")
    assert trial.reasons[0].message.startswith("The upstream ended with status -9")


def test_a_view_whose_own_package_is_absent_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiohttp" else find(name))
    trial = run_until(planned("async_asgi@uvicorn", "tokens_lean"))
    assert trial.verdict == "not-run"
    assert "needs the package aiohttp, which is not installed: run `" in trial.reasons[0].message


@pytest.mark.parametrize(
    ("first_ms", "gaps_ms", "end", "is_carried"),
    [
        (900, [10] * 40, "whole", True),
        (1100, [10] * 40, "whole", False),  # its first part is late
        (5, [10] * 38 + [21] * 2, "whole", True),
        (5, [10] * 37 + [21] * 3, "whole", False),
        (5, [10] * 10, "left", True),
        (5, [10] * 10, "late", False),
    ],
)
def test_a_stream_is_carried_that_is_as_quick_as_its_upstream(
    first_ms: int, gaps_ms: list[int], end: str, is_carried: bool
) -> None:
    arrived_ms = [first_ms + sum(gaps_ms[:number]) for number in range(len(gaps_ms) + 1)]
    arrived_ns = [1_000_000 * ms for ms in arrived_ms]
    stream = Stream(0, arrived_ns, ended_ns=arrived_ns[-1], end=end)  # type: ignore[arg-type]
    assert stream.is_carried(0.010) is is_carried
    assert not replace(stream, arrived_ns=[]).is_carried(0.010)


def test_a_stream_that_stalls_until_its_client_leaves_is_not_carried() -> None:
    assert not Stream(0, [1_000_000], ended_ns=500_000_000, end="left").is_carried(0.010)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving_stack(parse_stack("zero_hop@uvicorn"), grace_s=0) as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[RunningServer]:
    with serving_upstream() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "error"),
    [("/nothing", "status 404"), ("/feed?n=3&ms=1", "wrong part"), ("/hello", "IncompleteReadError")],
)
def test_a_wrong_answer_is_counted_by_its_class(
    server: RunningServer, upstream: RunningServer, tmp_path: Path, path: str, error: str
) -> None:
    each = {"connections": 3, "parts": 4, "every": 0.01, "leaving": 0}
    options = Options(url=server.url, path=path, folder=tmp_path, upstream=upstream.url, **each)  # type: ignore[arg-type]
    seen = asyncio.run(Driver(options).run())
    assert (seen["failed"], seen["errors"], seen["carried"]) == (3, {error: 3}, 0)
