"""The closed loop: its books balance, its parts merge exactly, only the window counts, and Locust and wrk agree."""

import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base.polling import eventually
from bench.base.tests.attempts import until_in
from bench.measure import cpu_placement
from bench.measure.calibrate import GeneratorRates, median_rates
from bench.measure.load.launcher import LoadSpec, running_load
from bench.measure.load.recording import Recording, merge
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.windows import NEEDS_WRK
from bench.model import histograms
from bench.model.histograms import latency_of
from bench.model.load import Closed
from bench.model.stacks import parse_stack
from bench.model.trial_plan import Engine, Program

SERVER = "bare_asgi@uvicorn"
WHERE = cpu_placement.plan(1)
MAX_DISAGREEMENT = 0.03
COMPARED_WINDOW_S = 3.0
PROGRAMS = pytest.mark.parametrize("program", ["locust", pytest.param("wrk", marks=NEEDS_WRK)])
RECORDER = """
import time
from bench.measure.load import closed
from bench.measure.load.closed import Recorder, error_class

class Response:
    def __init__(self, status_code, content=b"right"):
        self.status_code, self.content = status_code, content

now_ns = time.monotonic_ns()
clock = iter([now_ns - 1, now_ns + 1, now_ns + 59, now_ns + 60, now_ns + 61, now_ns + 100, now_ns + 101])
time.monotonic_ns = lambda: next(clock)
recorder = Recorder(now_ns, now_ns + 100, b"right")
assert recorder.middle_ns == now_ns + 50
for sent_ns in (now_ns - 5, now_ns - 5, now_ns + 2, now_ns + 3, now_ns + 4, now_ns + 5, now_ns + 101):
    recorder.issue(sent_ns)
    recorder.answer(sent_ns, 5.0, Response(200), None)
books = recorder.recording([now_ns + 90, now_ns + 103])
del books["histogram"]
assert books == {
    "duration_s": 1e-7, "waited_s": 2.77e-7, "carried_in": 1, "issued": 4, "completed": 4,
    "answered_halves": [1, 3], "answered": [4], "answered_every_s": 0.2,
    "errors": {}, "in_flight": 2, "in_flight_oldest_us": 0, "silences": [], "stalls": [], "cpu_s": 0.0,
    "engine": f"locust {closed.locust_version}",
}, books
assert recorder.histogram.get_total_count() == 4
assert error_class(Response(200), None, b"right") is None
assert error_class(Response(200), None, None) is None
assert error_class(Response(200, b"other"), None, b"right") == "wrong body"
assert error_class(Response(302), None, b"right") == "status 302"
assert error_class(Response(503), OSError(), b"right") == "status 503"
assert error_class(Response(0), ConnectionRefusedError(), b"right") == "ConnectionRefusedError"
"""


def recorded(
    server: RunningServer, folder: Path, path: str, body: bytes | None, engine: Engine | None = None, **load: Any
) -> tuple[Recording, list[dict[str, Any]]]:
    """What the load recorded, merged and in parts; again where it began so late that nothing ended in its window."""
    window: dict[str, Any] = {"load": Closed(10), "warmup_s": 0.3, "duration_s": 1.0} | load
    ask = LoadSpec(server.url, path, body, **window)

    def parts_in(folder: Path) -> list[dict[str, Any]]:
        with running_load(ask, folder, engine=engine or Engine(), cpus=WHERE.load) as running:
            running.go()
            assert eventually(running.is_recorded, within_s=60), running.processes[0].log_tail()
            assert running.window()
            return running.parts()

    parts = until_in(folder, lambda parts: merge(parts).completed + merge(parts).failed, parts_in)
    return merge(parts), parts


@PROGRAMS
def test_several_load_processes_merge_exactly(program: Program, tmp_path: Path) -> None:
    engine = Engine(2, program=program)
    with serving_stack(parse_stack(SERVER), cpus=WHERE.server) as server:
        whole, parts = recorded(server, tmp_path, "/hello", b'{"message": "hello"}', engine)
    counts = [histograms.decode_histogram(part["histogram"]).get_total_count() for part in parts]
    assert len(parts) == 2
    assert min(counts) > 0
    assert whole.completed == sum(counts) == sum(sum(part["answered_halves"]) for part in parts)
    assert whole.answered == [sum(column) for column in zip(*(part["answered"] for part in parts), strict=True)]
    assert sum(whole.answered) == whole.completed
    assert whole.histogram.get_total_count() == whole.completed
    assert bars(whole.histogram) == sum(
        (bars(histograms.decode_histogram(part["histogram"])) for part in parts), Counter()
    )
    for name in ("issued", "carried_in", "in_flight", "waited_s"):
        assert getattr(whole, name) == sum(part[name] for part in parts)
    assert {part["duration_s"] for part in parts} == {whole.duration_s} == {1.0}
    assert whole.cpu_s == [part["cpu_s"] for part in parts]
    assert min(whole.cpu_s) > 0
    assert whole.engine.startswith(program)
    assert (whole.failed, whole.errors, whole.lost) == (0, {}, 0)


def bars(histogram: Any) -> Counter[int]:
    """How many latencies there are of each value."""
    return Counter(
        {bar.value_iterated_to: bar.count_added_in_this_iter_step for bar in histogram.get_recorded_iterator()}
    )


@PROGRAMS
def test_what_is_handed_in_early_is_a_window_cut_short(program: Program, tmp_path: Path) -> None:
    def handed_in(folder: Path) -> Recording:
        ask = LoadSpec(server.url, "/hello", None, load=Closed(4), warmup_s=0.2, duration_s=30.0)
        with running_load(ask, folder, engine=Engine(processes, program=program), cpus=WHERE.load) as running:
            running.go()
            assert eventually(running.window, within_s=60)
            time.sleep(0.8)
            seen = running.hand_in(within_s=10.0)
        assert seen
        return seen

    for processes in (1, 2):
        with serving_stack(parse_stack(SERVER), cpus=WHERE.server) as server:
            seen = until_in(tmp_path / str(processes), lambda seen: seen.completed, handed_in)
        assert 0.2 < seen.duration_s < 15.0
        assert (seen.failed, seen.lost) == (0, 0)
        assert seen.completed > 0


def test_of_what_came_in_nothing_is_lost_that_is_accounted_for_in_any_way() -> None:
    ends: dict[str, Any] = {"completed": 4, "errors": {"status 503": 1}, "timed_out": 1, "dropped": 2, "in_flight": 3}
    rest: dict[str, Any] = {"answered_halves": [2, 2], "answered": [4], "in_flight_oldest_us": 0, "histogram": None}
    books = Recording(duration_s=1.0, carried_in=1, issued=10, **ends, **rest)
    assert books.lost == 0
    for end in ends:
        without: dict[str, Any] = {end: {} if end == "errors" else 0}
        assert replace(books, **without).lost > 0


@PROGRAMS
def test_only_the_window_is_recorded(program: Program, tmp_path: Path) -> None:
    engine = Engine(program=program)
    with serving_stack(parse_stack(SERVER), cpus=WHERE.server) as server:
        seen, _ = recorded(server, tmp_path, "/wait?ms=100", b'{"waited_ms": 100}', engine, warmup_s=0.5)
    latency_us = latency_of(seen.histogram)
    assert latency_us
    assert seen.duration_s == pytest.approx(1.0)
    # Answers to one user are at least 100 ms apart, so 11 are the most that fit into the window of 1 s.
    assert 0 < seen.completed <= 10 * 11
    assert seen.carried_in <= 10
    assert seen.in_flight <= 10
    assert latency_us.p50 >= 100_000
    assert seen.lost == 0


def test_the_recorder_counts_completions_inside_its_window_whatever_their_start() -> None:
    done = subprocess.run([sys.executable, "-c", RECORDER], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@PROGRAMS
@pytest.mark.parametrize(("path", "error"), [("/hello", "wrong body"), ("/nothing", "status 404")])
def test_an_answer_that_is_not_right_is_counted_by_class_and_has_no_latency(
    path: str, error: str, program: Program, tmp_path: Path
) -> None:
    few: dict[str, Any] = {"load": Closed(2), "duration_s": 0.3}
    with serving_stack(parse_stack(SERVER), cpus=WHERE.server) as server:
        seen, _ = recorded(server, tmp_path, path, b'{"message": "hullo"}', Engine(program=program), **few)
    assert seen.errors.keys() == {error}
    assert seen.failed > 0
    assert (seen.completed, seen.histogram.get_total_count(), seen.lost) == (0, 0, 0)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("locust", "ConnectionRefusedError ECONNREFUSED"),
        pytest.param("wrk", "connect error", marks=NEEDS_WRK),
    ],
)
def test_connections_that_are_refused_are_failures_and_not_answers(
    program: Program, error: str, tmp_path: Path
) -> None:
    with serving_stack(parse_stack(SERVER)) as server:
        pass
    one: dict[str, Any] = {"load": Closed(1), "warmup_s": 0.1, "duration_s": 0.3}
    seen, _ = recorded(server, tmp_path, "/hello", None, Engine(program=program), **one)
    assert seen.errors.keys() == {error}
    assert (seen.completed, seen.lost) == (0, 0)


def rates_of(program: Program, server: RunningServer, folder: Path) -> GeneratorRates:
    """Rate and median out of one recording."""
    load: dict[str, Any] = {"load": Closed(100), "warmup_s": 0.3, "duration_s": COMPARED_WINDOW_S, "spread_s": 0.1}
    engine = Engine(program=program)
    seen, _ = recorded(server, folder, "/wait?ms=100", b'{"waited_ms": 100}', engine, io_wait_s=0.1, **load)
    latency_us = latency_of(seen.histogram)
    assert latency_us
    assert seen.lost == 0
    return GeneratorRates(seen.completed / seen.duration_s, latency_us.p50)


def disagreement(server: RunningServer, folder: Path) -> list[float]:
    """How far apart the medians over three interleaved windows are: of the rates, and of the median latencies."""
    wrk, locust = [], []
    for turn in range(3):
        wrk.append(rates_of("wrk", server, folder / f"wrk-{turn}"))
        locust.append(rates_of("locust", server, folder / f"locust-{turn}"))
    theirs, ours = median_rates(wrk), median_rates(locust)
    return [abs(ours.throughput_per_s / theirs.throughput_per_s - 1), abs(ours.p50_us / theirs.p50_us - 1)]


@pytest.mark.slow
@pytest.mark.alone
@NEEDS_WRK
@pytest.mark.skipif(WHERE.shared, reason="server and load have to share a core here")
def test_locust_and_wrk_agree_within_3_percent(tmp_path: Path) -> None:
    seen = []
    with serving_stack(parse_stack(SERVER), cpus=WHERE.server) as server:
        for attempt in range(3):  # other programs may disturb a comparison, but not three in a row
            seen.append(disagreement(server, tmp_path / str(attempt)))
            if max(seen[-1]) <= MAX_DISAGREEMENT:
                return
            time.sleep(1)
    pytest.fail(f"rates and medians are apart by {seen}")
