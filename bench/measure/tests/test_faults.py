"""What befalls a trial on real processes, and the verdict that it gets (bench/cli/faults.py).

What befalls `lab run` itself is in `test_faults_of_lab.py`, damaged files are in `test_run_json.py`.
"""

import math
import re
import resource
import socket
import sys
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from bench.measure import cpu_placement, monitor
from bench.measure.load.launcher import RunningLoad
from bench.measure.load.recording import Stretch
from bench.measure.tests.processes import assert_nothing_is_left, running
from bench.measure.tests.windows import (
    NEEDS_WRK,
    OPEN,
    WRK,
    assert_without_numbers,
    codes_of,
    events_of,
    in_the_window,
    load_of,
    longest_s,
    other_stack,
    pause,
    planned,
    run_until,
    server_of,
)
from bench.measure.trial import deadline_s, run_trial
from bench.model.load import Closed, Leaving, Open, Paced
from bench.model.servers import HOST
from bench.model.trial_plan import Engine
from bench.model.trial_record import Event, Trial

DRIVERS: dict[str, dict[str, Any]] = {"closed": {}, "open": OPEN, "wrk": WRK}
LOADS = pytest.mark.parametrize(
    "load", [pytest.param(load, id=name, marks=NEEDS_WRK if load is WRK else ()) for name, load in DRIVERS.items()]
)
CLASSES = {
    "sheds": {"status 503"},
    "redirects": {"status 302"},
    "error_page": {"wrong body"},
    "hangs_up": {"HTTPConnectionClosed", "ServerDisconnectedError", "ClientOSError ECONNRESET", "read error"},
}


@LOADS
def test_a_server_that_is_killed_is_seen_within_a_second_and_leaves_no_number(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = in_the_window(monkeypatch, lambda seen: server_of(seen)[0].kill())
    began_s = time.monotonic()
    trial = run_trial(planned("sync_wsgi@gthread:8", duration_s=30.0, **load))
    assert time.monotonic() - began_s < 20
    (killed_s, _) = killed[0]
    sentence = assert_without_numbers(trial, "server-died")
    died = re.match(
        r"The server ended with status -9, (\d\.\d) s into the window, after (\d+) answers in it\.", sentence
    )
    assert died, sentence
    assert killed_s - 0.1 <= float(died[1]) <= killed_s + 1.0
    assert int(died[2]) > 0
    assert_nothing_is_left(mark)


def test_a_server_that_is_killed_before_the_window_answered_nothing_in_it(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_window(monkeypatch, lambda seen: server_of(seen)[0].kill(), after_s=-7.5)
    trial = run_trial(planned("bare_asgi@uvicorn", warmup_s=8.0))
    sentence = assert_without_numbers(trial, "server-died")
    assert sentence == "The server ended with status -9, before the window."
    assert_nothing_is_left(mark)


def test_an_upstream_service_that_is_killed_is_named(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_window(monkeypatch, lambda seen: seen.upstream.popen.kill(), after_s=0.2)  # type: ignore[union-attr]
    trial = run_trial(planned(request="fan_out?n=2&ms=10", duration_s=10.0))
    sentence = assert_without_numbers(trial, "server-died")
    assert re.match(r"The upstream service ended with status -9, \d+\.\d s into the window", sentence)
    assert_nothing_is_left(mark)


@pytest.mark.parametrize("stack", ["sync_wsgi@gthread:8", "async_asgi@uvicorn:x2"])
def test_a_worker_that_is_killed_and_replaced_is_an_event_with_its_time(
    stack: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = in_the_window(monkeypatch, lambda seen: server_of(seen)[-1].kill(), after_s=0.3)

    def seen_after_s(trial: Trial) -> float:
        return min((event.at_s for event in events_of(trial, "server-restarted")), default=math.inf) - killed[-1][0]

    trial = run_until(planned(stack, duration_s=1.5), lambda trial: seen_after_s(trial) <= 0.9)
    sentence = assert_without_numbers(trial, "server-restarted")
    assert -0.01 <= seen_after_s(trial) <= 0.9
    first = events_of(trial, "server-restarted")[0]
    assert re.match(rf"Process \d+ of the server ended {first.at_s:.1f} s into the window\.", sentence)
    assert_nothing_is_left(mark)


def test_a_worker_that_is_killed_in_the_warm_up_is_a_reservation(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_window(monkeypatch, lambda seen: server_of(seen)[-1].kill(), after_s=-2.5)  # time to start again
    trial = run_until(planned("sync_wsgi@gthread:8", warmup_s=3.0))
    assert trial.verdict == "degraded"
    told = {reason.code: reason.message for reason in trial.reasons}  # a busy machine may give others as well
    assert re.match(r"Process \d+ of the server ended in the warm-up, before the window\.", told["restarted-early"])
    assert events_of(trial, "restarted-early")[0].at_s <= 0
    assert_nothing_is_left(mark)


@pytest.mark.parametrize(
    "stack",
    [
        other_stack("bench.no_such_module:application", "uvicorn", "asgi"),
        other_stack("bench.no_such_module:application", "uvicorn", "asgi", processes=2),
        other_stack("bench.no_such_module:application", "gthread", "wsgi"),
    ],
    ids=lambda stack: stack.name,
)
def test_a_server_that_cannot_import_its_application_is_known_at_once(stack: Any, mark: str) -> None:
    began_s = time.monotonic()
    trial = run_trial(replace(planned(), stack=stack))
    assert time.monotonic() - began_s < 10  # and not the 30 s that a slow one is given
    assert (trial.verdict, codes_of(trial)) == ("not-run", ["not-run"])
    sentence, _, log = trial.reasons[0].message.partition(" The end of its log:\n")
    assert sentence.startswith("The server did not boot: `python -m ")
    assert re.search(r"ended with status \d\.$|lost its process \d+ while it started\.$", sentence)
    assert "bench.no_such_module" in log
    assert_nothing_is_left(mark)


def test_bad_settings_are_a_trial_that_was_not_run(mark: str) -> None:
    trial = run_trial(planned(middleware=("nonsense",)))
    assert trial.verdict == "not-run"
    assert "LAB_MIDDLEWARE does not know 'nonsense'" in trial.reasons[0].message
    assert_nothing_is_left(mark)


def test_a_port_that_is_taken_is_a_trial_that_was_not_run(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        monkeypatch.setattr("bench.measure.trial.free_port", lambda host: port)
        trial = run_trial(planned())
    assert trial.verdict == "not-run"
    own = psutil.Process().pid
    assert trial.reasons[0].message.startswith(f"Port {port} on {HOST} is taken by pid {own} (Address already in use)")
    assert_nothing_is_left(mark)


def killed_load(which: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    in_the_window(monkeypatch, lambda seen: seen.load.processes[which].popen.kill(), after_s=0.2)
    return assert_without_numbers(run_trial(planned("bare_asgi@uvicorn", duration_s=10.0, **changes)), "load-lost")


@pytest.mark.parametrize(
    ("which", "changes", "kept"),
    [
        (0, {}, "0 of 1"),
        (0, OPEN, "0 of 1"),
        (-1, {"engine": Engine(processes=2)}, "0 of 2"),
    ],
    ids=["alone", "open", "one of two"],
)
def test_a_load_process_that_is_killed_makes_the_trial_invalid(
    which: int, changes: dict[str, Any], kept: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = killed_load(which, monkeypatch, **changes)
    assert sentence.startswith("A load process ended with status -9 before it had recorded")
    assert f"({kept} recordings are here)" in sentence
    assert_nothing_is_left(mark)


def event_of_pause(trial: Trial, code: str, paused: list[Stretch]) -> Event | None:
    """The event of the last pause that was made: it is where the pause was, and about as long."""
    for event in events_of(trial, code):
        for began_s, ended_s in paused[-1:]:
            if -0.2 <= event.at_s - began_s <= 0.4 and -0.2 <= event.for_s - (ended_s - began_s) <= 0.6:
                return event
    return None


@LOADS
def test_a_pause_of_the_server_is_told_from_one_of_the_client(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = in_the_window(monkeypatch, lambda seen: pause(server_of(seen), 1.0))
    plan = planned("bare_asgi@uvicorn", duration_s=2.2, **load)
    trial = run_until(plan, lambda trial: event_of_pause(trial, "server-gap", paused) is not None)
    gap = event_of_pause(trial, "server-gap", paused)
    assert gap, (trial.events, paused)
    assert trial.verdict == "degraded"
    assert "server-gap" in codes_of(trial)
    assert longest_s(trial, "client-gap") < 0.8
    assert gap.message == (
        f"The client ran, but no answer came for {gap.for_s:.1f} s, {gap.at_s:.1f} s into the window."
    )
    assert_nothing_is_left(mark)


@LOADS
def test_a_pause_of_the_client_is_told_from_one_of_the_server(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = in_the_window(monkeypatch, lambda seen: pause(load_of(seen), 1.0))
    plan = planned("bare_asgi@uvicorn", duration_s=2.2, **load)
    trial = run_until(plan, lambda trial: event_of_pause(trial, "client-gap", paused) is not None)
    assert event_of_pause(trial, "client-gap", paused), (trial.events, paused)
    assert trial.verdict == "degraded"
    assert "client-gap" in codes_of(trial)
    assert longest_s(trial, "server-gap") < 0.8
    assert_nothing_is_left(mark)


@LOADS
def test_a_server_that_hangs_for_good_does_not_hold_the_trial(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.load.launcher.DRAIN_S", 0.5)
    in_the_window(monkeypatch, lambda seen: pause(server_of(seen), None), after_s=0.4)
    plan = planned("sync_wsgi@gthread:8", duration_s=2.2, **load)
    began_s = time.monotonic()
    trial = run_trial(plan)
    assert time.monotonic() - began_s < plan.duration_s + monitor.RECORDED_WITHIN_S < deadline_s(plan)
    assert trial.verdict == "degraded"
    assert max(gap.at_s + gap.for_s for gap in events_of(trial, "server-gap")) >= plan.duration_s - 0.1
    assert trial.in_flight > 0
    assert_nothing_is_left(mark)


def test_a_load_that_hangs_for_good_is_lost_at_its_deadline(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "RECORDED_WITHIN_S", 1.0)
    in_the_window(monkeypatch, lambda seen: pause(load_of(seen), None), after_s=0.1)
    plan = planned("bare_asgi@uvicorn", duration_s=1.5)
    began_s = time.monotonic()
    sentence = assert_without_numbers(run_until(plan, lambda trial: "load-lost" in codes_of(trial)), "load-lost")
    assert time.monotonic() - began_s < deadline_s(plan)
    assert sentence == "0 of 1 load processes handed in a recording."
    assert_nothing_is_left(mark)


def test_a_load_that_never_gets_going_was_not_run(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "LOAD_WITHIN_S", 1.0)
    monkeypatch.setattr(RunningLoad, "go", lambda load: None)
    trial = run_trial(planned("bare_asgi@uvicorn"))
    assert (trial.verdict, trial.throughput_per_s) == ("not-run", None)
    assert trial.reasons[0].message == "The load did not have all its users within 1 s."
    assert_nothing_is_left(mark)


def test_overload_that_never_drains_is_bounded_in_time_and_told(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.load.launcher.DRAIN_S", 0.5)
    plan = planned("sync_wsgi@gthread:1", "wait?ms=100", duration_s=2.0, **OPEN)
    began_s = time.monotonic()
    trial = run_trial(plan)
    assert time.monotonic() - began_s < plan.duration_s + monitor.RECORDED_WITHIN_S + 5
    assert (trial.verdict, trial.is_measured) == ("degraded", True)
    assert trial.issued == trial.completed + trial.failed + trial.timed_out + trial.dropped + trial.in_flight
    assert trial.in_flight > 100  # of about 200, at most 10 are answered in a second
    assert {"p90", "p99", "p999", "max"} <= set(trial.latency_at_least)
    overload = next(reason for reason in trial.reasons if reason.code == "overload")
    assert overload.message.startswith(f"{trial.in_flight} of {trial.issued} requests were not answered until the end")
    assert_nothing_is_left(mark)


@LOADS
@pytest.mark.parametrize("fault", CLASSES)
def test_answers_that_go_wrong_under_load_are_counted_by_class_and_have_no_latency(
    fault: str, load: dict[str, Any]
) -> None:
    stack = other_stack(f"bench.measure.tests.faulty:{fault}")  # answers every second request wrongly
    trial = run_until(replace(planned(request="hello", duration_s=1.5, **load), stack=stack))
    assert trial.errors.keys() <= CLASSES[fault], trial.reasons
    assert trial.failed == sum(trial.errors.values()) > 0
    assert 0.3 < trial.failed / (trial.failed + trial.completed) < 0.7
    assert trial.latency_us is trial.histogram is None
    if fault == "error_page":  # with status 200, hence told by its body alone
        told = f"{trial.failed} of {trial.failed + trial.completed} answers had another body than the contract's."
        assert assert_without_numbers(trial, "wrong-answers") == told
        return
    assert (trial.verdict, codes_of(trial)[0]) == ("degraded", "errors")
    assert all(name in trial.reasons[0].message for name in trial.errors)
    assert "unsteady" not in codes_of(trial)
    assert trial.throughput_per_s


def few_files(seen: monitor.WindowRunner) -> None:
    """For a while leave the load process no room for another connection; it needs a file for its recording."""
    process = load_of(seen)[0]
    soft, hard = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (8, hard))
    time.sleep(0.3)
    process.rlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("load", [{}, OPEN], ids=["closed", "open"])
def test_connections_that_find_no_file_descriptor_are_counted_by_class(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_window(monkeypatch, few_files, after_s=0.3)
    # A connection for each request, and some while there is no room for one.
    trial = run_until(planned("bare_wsgi@sync", "wait?ms=1", **load), lambda trial: trial.failed > 0)
    assert trial.errors.keys() <= {"OSError EMFILE", "ClientConnectorError EMFILE", "gaierror EMFILE"}, trial.errors
    assert trial.failed > 0
    assert (trial.verdict, codes_of(trial)[0]) == ("degraded", "errors")
    assert "EMFILE" in trial.reasons[0].message
    assert_nothing_is_left(mark)


@pytest.mark.parametrize(
    ("load", "allowed", "sentence"),
    [
        ({"load": Open(50.0)}, 100, "A rate of 50/s, with 1 in flight at once, needs 101 file"),
        ({"load": Open(5000.0)}, 150, "A rate of 5,000/s, with 100 in flight at once, needs 200 file"),
        ({"load": Closed(1)}, 100, "1 user needs 101 file"),
        ({"load": Paced(60, 50.0)}, 150, "60 users need 160 file"),
        ({"load": Leaving(51, leave_after_s=0.1)}, 150, "51 connections need 151 file"),
    ],
)
def test_too_few_descriptors_are_told_of_what_was_asked_for(
    load: dict[str, Any], allowed: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.preflight.descriptors", lambda: allowed)
    trial = run_trial(planned(**load))
    assert trial.verdict == "not-run"
    assert trial.reasons[0].message.startswith(f"{sentence} descriptors in a process, {allowed} are allowed: ")


BUSY = "import os; os.sched_setaffinity(0, {%d})\nwhile True: pass"


@pytest.mark.skipif(not cpu_placement.available(), reason="cores cannot be chosen here")
def test_another_busy_program_is_a_reservation(mark: str) -> None:
    with running(sys.executable, "-c", BUSY % cpu_placement.plan(1).server[0]):
        # Of a machine that was read too late nothing is said.
        trial = run_until(planned("bare_asgi@uvicorn", load=Closed(1)), lambda trial: trial.machine is not None)
    assert trial.verdict == "degraded"
    other = next(reason for reason in trial.reasons if reason.code == "other-load")
    busy = re.match(r"Other programs kept (\d\.\d) cores busy during the window", other.message)
    assert busy
    assert float(busy[1]) >= 0.3
    assert_nothing_is_left(mark)


def test_a_trial_has_a_deadline_that_knows_all_its_phases() -> None:
    plan = planned()
    assert deadline_s(plan) > plan.full_warmup_s + plan.duration_s + monitor.LOAD_WITHIN_S + monitor.RECORDED_WITHIN_S
    assert deadline_s(planned(request="fan_out?n=2")) > deadline_s(plan)  # one more server to boot
    assert deadline_s(planned(duration_s=11.0)) == pytest.approx(deadline_s(plan) + 10)
