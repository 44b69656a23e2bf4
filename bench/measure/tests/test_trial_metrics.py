"""Percentiles over what was answered and what was not; gaps told apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.measure.cpu_placement import CpuPlan
from bench.measure.load.recording import Recording, in_all, merge
from bench.measure.monitor import WindowEvidence, within
from bench.measure.process_usage import Reading
from bench.measure.stalls import gap_events
from bench.measure.trial_metrics import at_least, metrics_of
from bench.model import histograms
from bench.model.trial_record import Event, Samples, Trial

TRIAL = Trial("async_asgi@uvicorn", "wait", {"ms": 100}, [], 10, 0, io_wait_s=0.1, duration_s=5.0, answered=[20] * 25)


def histogram_of(*latencies_us: int) -> Any:
    histogram = histograms.new_histogram()
    for latency_us in latencies_us:
        histogram.record_value(latency_us)
    return histogram


def books(**changes: Any) -> Recording:
    plain = Recording(5.0, 0, 500, 500, [250, 250], [20] * 25, {}, 0, 0, histogram_of(1000))
    return replace(plain, **changes)


def seen(events: list[Event] | None = None, **changes: Any) -> WindowEvidence:
    return WindowEvidence(books(**changes), [], [], [], events or [], 0.0)


def test_everything_answered_bounds_nothing() -> None:
    assert at_least(histogram_of(1000, 2000), histograms.new_histogram()) == []


def test_what_was_not_answered_makes_percentiles_lower_bounds() -> None:
    answered = histogram_of(*range(1000, 96_000, 1000))
    censored = histogram_of(*[3_000_000] * 5)
    assert at_least(answered, censored) == ["p99", "p999", "max"]


def test_a_young_unanswered_request_could_have_stood_anywhere_above_its_age() -> None:
    assert at_least(histogram_of(1000, 5000, 5000, 5000), histogram_of(2000)) == ["p50", "p90", "p99", "p999", "max"]


def test_a_silence_while_the_client_ran_is_the_servers() -> None:
    (event,) = gap_events(TRIAL, seen(silences=[(1.0, 2.5)]))
    assert (event.code, event.at_s, event.for_s) == ("server-gap", 1.0, 1.5)
    assert event.message == "The client ran, but no answer came for 1.5 s, 1.0 s into the window."


@pytest.mark.parametrize(("share", "code"), [(0.4, "server-gap"), (0.6, "server-busy")])
def test_a_server_that_works_through_its_silence_was_not_paused(share: float, code: str) -> None:
    columns = [round(0.2 * place, 1) for place in range(1, 26)]
    shares = [share if 1.0 < at_s <= 2.6 else 0.0 for at_s in columns]
    working = replace(TRIAL, samples=Samples(columns, shares, [], [], []))
    (event,) = gap_events(working, seen(silences=[(1.0, 2.4)]))
    assert event.code == code


def test_a_silence_while_the_client_stood_still_is_the_clients() -> None:
    (event,) = gap_events(TRIAL, seen(silences=[(1.0, 2.5)], stalls=[(1.02, 2.5)]))
    assert (event.code, event.for_s) == ("client-gap", 1.48)


def test_a_lab_that_did_not_look_is_told_from_server_and_client() -> None:
    (event,) = gap_events(TRIAL, replace(seen(), held_up=[(3.5, 5.0)]))
    assert (event.code, event.at_s, event.for_s) == ("lab-gap", 3.5, 1.5)
    assert event.message == "The lab itself was held up, and read nothing, for 1.5 s, 3.5 s into the window."


def reading(at_s: float, cpu_s: float) -> Reading:
    return Reading(at_s, cpu_s, machine_s=cpu_s, stolen_s=0.0, rss_bytes=1, threads=1, accept_queue=0)


def use_of(*server: Reading, all_there: bool = True, cpus: Sequence[int] = (0,)) -> Trial:
    """Numbers of a window of 5 s that began at 100 s, from these readings of the server."""
    edges = [server[0], server[-1]]
    evidence = WindowEvidence(books(), list(server), edges, edges, [], 100.0, database=edges, all_there=all_there)
    return metrics_of(replace(TRIAL, users=20), evidence, CpuPlan(list(cpus), [1]), cores=1)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (reading(100.0, 1.0), reading(105.0, 5.9)),
        (reading(100.0, 1.0), reading(113.0, 6.0)),  # stopped over the window's end: the server was asked nothing then
        (reading(101.0, 1.98), reading(105.0, 5.9)),  # and over its beginning
    ],
    ids=["on time", "last one late", "first one late"],
)
def test_the_servers_use_is_that_of_the_window_whenever_it_was_read(first: Reading, last: Reading) -> None:
    trial = use_of(first, reading(102.0, 2.96), reading(104.0, 4.92), last)
    assert trial.server
    assert trial.server.cpu_share == pytest.approx(0.98, abs=0.001)
    assert trial.server.cpu_s == pytest.approx(4.9, abs=0.01)
    assert trial.cpu_us_per_request == pytest.approx(9800, abs=20)
    assert trial.limiter == "server CPU"
    assert max(trial.samples.at_s) <= 5.0
    assert min(trial.samples.cpu_share) == pytest.approx(0.98, abs=0.001)


def test_the_limit_counts_all_cores_of_a_server_also_if_a_gil_keeps_its_python_on_one() -> None:
    one, two = (use_of(reading(100.0, 1.0), reading(105.0, 5.9), cpus=cpus) for cpus in ((0,), (0, 1)))
    assert one.limit_per_s == pytest.approx(1 / 0.0098, rel=0.01)
    assert two.limit_per_s == pytest.approx(20 / (0.1 + 0.0098), rel=0.01)
    assert one.limiter == two.limiter == "server CPU"


def test_of_a_machine_that_was_read_after_the_load_had_ended_nothing_is_said() -> None:
    readings = reading(100.0, 1.0), reading(105.0, 5.9)
    assert use_of(*readings).machine
    assert use_of(*readings, all_there=False).machine is None


def test_stretches_are_cut_at_the_windows_edges() -> None:
    held_up = [(90.0, 99.0), (99.5, 101.0), (104.0, 109.0), (106.0, 107.0)]
    assert within(held_up, 100.0, 105.0) == [(0.0, 1.0), (4.0, 5.0)]


def test_a_freeze_that_was_asked_for_is_no_gap() -> None:
    assert gap_events(TRIAL, seen([Event("frozen", 1.0, 1.5, "")], silences=[(1.0, 2.52)])) == []


@pytest.mark.parametrize("wait_s", [0.3, 10.0])
def test_a_silence_as_long_as_a_few_waits_is_nothing(wait_s: float) -> None:
    assert gap_events(replace(TRIAL, io_wait_s=wait_s), seen(silences=[(1.0, 1.8)])) == []


def test_few_answers_leave_silences_between_them() -> None:
    assert gap_events(replace(TRIAL, answered=[1] * 10), seen(silences=[(1.0, 2.2)])) == []


def test_silent_is_when_no_load_process_had_an_answer() -> None:
    assert in_all([[(0.0, 2.0), (3.0, 4.0)], [(1.0, 3.5)]]) == [(1.0, 2.0), (3.0, 3.5)]
    assert in_all([[(0.0, 2.0)], []]) == []


def test_merged_books_are_those_of_all_parts_together() -> None:
    part = {
        "duration_s": 5.0, "carried_in": 1, "issued": 10, "completed": 9, "answered_halves": [4, 5],
        "answered": [4, 5], "answered_every_s": 0.2, "errors": {"status 503": 1}, "in_flight": 1,
        "in_flight_oldest_us": 7,
        "histogram": histograms.encode_histogram(histogram_of(*range(100, 1000, 100))), "silences": [[0.0, 1.0]],
        "stalls": [], "cpu_s": 0.5,
    }  # fmt: skip
    both = merge([part, part | {"answered": [1], "cpu_s": 1.0}])
    assert (both.issued, both.completed, both.failed, both.in_flight, both.lost) == (20, 18, 2, 2, 0)
    assert (both.answered, both.cpu_s, both.silences) == ([5, 5], [0.5, 1.0], [(0.0, 1.0)])
    assert both.histogram.get_total_count() == 18
