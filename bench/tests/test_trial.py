"""A trial is judged from its own evidence: what a good one has, and what faults become."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from bench import experiment, record
from bench.cli import exit_code_of
from bench.errors import ExitCode
from bench.record import Trial
from bench.stacks import SERVERS, parse_stack
from bench.tests.processes import assert_nothing_is_left
from bench.trial import TrialPlan, Watch, run_trial
from bench.verdict import MAX_OVER_LIMIT
from bench.workloads import parse_request

# DESIGN, "A trial in run.json ... has at least".
CONTRACT = {
    *("stack", "workload", "parameters", "middleware", "users", "repeat", "verdict", "reasons"),
    *("completed", "failed", "throughput_per_s", "latency_us", "limit_per_s", "fraction_of_limit"),
    *("cpu_us_per_request", "server", "load", "duration_s"),
}


def planned(stack: str = "async_asgi@uvicorn", request: str = "wait?ms=20", **changes: Any) -> TrialPlan:
    plan = TrialPlan(
        parse_stack(stack), parse_request(request), users=5, repeat=0, middleware=(), warmup_s=0.3, duration_s=1.0
    )
    return replace(plan, **changes)


@pytest.fixture(scope="module")
def good() -> Trial:
    return run_trial(planned())


def test_a_good_trial_has_every_field_of_the_contract(good: Trial) -> None:
    data = msgspec.json.decode(msgspec.json.encode(good))
    assert good.is_measured, good.reasons
    assert data.keys() >= CONTRACT
    assert not [name for name in CONTRACT if data[name] is None]
    assert data["latency_us"].keys() >= {"p50", "p90", "p99", "p999", "max"}
    assert data["server"].keys() >= {"threads_max", "rss_bytes_max", "cpu_share"}
    assert data["load"].keys() >= {"cpu_share"}
    assert (data["stack"], data["workload"], data["parameters"]) == ("async_asgi@uvicorn", "wait", {"ms": 20})


def test_a_good_trial_counts_what_it_says(good: Trial) -> None:
    assert good.completed > 0
    assert (good.failed, good.errors) == (0, {})
    assert record.decode_histogram(good.histogram or "").get_total_count() == good.completed
    assert good.throughput_per_s == pytest.approx(good.completed / good.duration_s)
    assert sum(good.halves_per_s or []) / 2 == pytest.approx(good.throughput_per_s)
    assert good.duration_s == pytest.approx(1.0)


def test_a_good_trial_is_below_its_limit_with_a_measured_cpu_time(good: Trial) -> None:
    assert good.cpu_us_per_request
    assert good.limit_per_s
    assert good.throughput_per_s
    assert good.cpu_us_per_request > 0
    assert good.throughput_per_s <= good.limit_per_s * MAX_OVER_LIMIT
    assert good.limit_per_s < 5 / 0.020
    assert good.latency_us
    assert 20_000 <= good.latency_us.p50 <= good.latency_us.p99 <= good.latency_us.max


def test_the_server_is_sampled_at_4_hz_or_more(good: Trial) -> None:
    columns = msgspec.to_builtins(good.samples)
    assert columns.keys() == {"at_s", "cpu_share", "rss_bytes", "threads", "connections"}
    assert {len(column) for column in columns.values()} == {len(good.samples.at_s)}
    assert len(good.samples.at_s) >= 4 * good.duration_s
    assert good.samples.at_s == sorted(good.samples.at_s)
    assert min(good.samples.rss_bytes) > 1_000_000
    assert max(good.samples.connections) == 5
    assert good.server
    assert good.server.threads_max >= max(good.samples.threads)


def test_the_commands_that_were_run_are_kept(good: Trial) -> None:
    assert good.commands["server"][:3] == ["python", "-m", "uvicorn"]
    assert good.commands["load"][:3] == ["python", "-m", "locust"]
    assert not [word for word in good.commands["load"] if word.startswith("/tmp")]


def test_a_gathering_view_is_measured_with_its_upstream(mark: str) -> None:
    trial = run_trial(planned(request="fan_out?n=3&ms=20", duration_s=0.6))
    assert trial.is_measured, trial.reasons
    assert "labs.upstream.asgi:application" in trial.commands["upstream"]
    assert trial.latency_us
    assert trial.latency_us.p50 >= 20_000
    assert_nothing_is_left(mark)


def in_the_window(monkeypatch: pytest.MonkeyPatch, act: Callable[[Watch], None], after_s: float = 0.5) -> None:
    """Have something happen to the next trial so long after its window has begun."""
    original = Watch._wait_for_window

    def wait_for_window(watch: Watch) -> tuple[float, float]:
        window = original(watch)
        threading.Timer(window[0] + after_s - time.monotonic(), act, [watch]).start()
        return window

    monkeypatch.setattr(Watch, "_wait_for_window", wait_for_window)


def assert_without_numbers(trial: Trial, code: str) -> None:
    assert (trial.verdict, [reason.code for reason in trial.reasons]) == ("invalid", [code])
    assert trial.throughput_per_s is trial.latency_us is trial.limit_per_s is trial.histogram is None


def test_a_server_that_dies_in_the_window_makes_the_trial_invalid_within_a_second(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_window(monkeypatch, lambda watch: watch.server.popen.kill())
    trial = run_trial(planned("sync_wsgi@gthread:8", duration_s=10.0))
    assert_without_numbers(trial, "server-died")
    died = re.search(r"ended with status -9, (\d+\.\d) s into the window", trial.reasons[0].message)
    assert died, trial.reasons
    assert 0.4 <= float(died[1]) <= 1.5
    assert_nothing_is_left(mark)


def test_a_server_worker_that_dies_and_is_replaced_makes_the_trial_invalid(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_window(monkeypatch, lambda watch: psutil.Process(watch.server.pid).children()[0].kill(), after_s=0.2)
    trial = run_trial(planned("sync_wsgi@gthread:8", duration_s=1.2))
    assert (trial.verdict, trial.reasons[0].code) == ("invalid", "server-restarted")
    assert trial.throughput_per_s is trial.latency_us is None
    assert_nothing_is_left(mark)


def test_one_of_several_load_processes_that_is_killed_makes_the_trial_invalid(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_window(monkeypatch, lambda watch: watch.load.processes[-1].popen.kill(), after_s=0.2)
    trial = run_trial(planned("bare_asgi@uvicorn", duration_s=10.0, load_processes=2))
    assert_without_numbers(trial, "load-lost")
    assert "status -9" in trial.reasons[0].message
    assert_nothing_is_left(mark)


def test_a_wrong_answer_makes_the_trial_invalid_before_anything_is_timed(mark: str) -> None:
    request = parse_request("hello")
    other = replace(request, workload=replace(request.workload, answer=lambda parameters: {"message": "hullo"}))
    trial = run_trial(replace(planned("bare_asgi@uvicorn"), request=other))
    assert_without_numbers(trial, "contract")
    assert "body" in trial.reasons[0].message
    assert_nothing_is_left(mark)


def test_an_interruption_goes_through_and_leaves_nothing(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(watch: Watch) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "through_the_window", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_trial(planned("sync_wsgi@gthread:8"))
    assert_nothing_is_left(mark)


def test_a_missing_package_is_a_hole_and_the_rest_of_the_run_goes_on(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(SERVERS["uvicorn"], name="absent", modules=("uvicorn", "no_such_package"))
    monkeypatch.setitem(SERVERS, "absent", without)
    wishes = experiment.Wishes(
        stacks=("bare_asgi@absent", "bare_asgi@uvicorn"), requests=("hello",), users=(2,), repeats=1, duration_s=0.5
    )
    run, ordered = experiment.new_run("first_look", "quick", wishes)
    finished = experiment.perform(run, sorted(ordered, key=lambda plan: plan.stack.name), tmp_path)
    absent, present = finished.trials
    assert (absent.stack, absent.verdict) == ("bare_asgi@absent", "not-run")
    assert "python -m pip install no-such-package" in absent.reasons[0].message
    assert present.is_measured, present.reasons
    assert (finished.status, exit_code_of(finished)) == ("complete", ExitCode.NOT_RUN)
    assert record.load(tmp_path).trials == finished.trials
    assert_nothing_is_left(mark)


def test_a_server_that_does_not_boot_is_a_trial_that_was_not_run(mark: str) -> None:
    stack = parse_stack("async_asgi@uvicorn")
    broken = replace(stack, lab=replace(stack.lab, folder="no_such_lab"))
    trial = run_trial(replace(planned(), stack=broken))
    assert trial.verdict == "not-run"
    assert "No module named 'labs.no_such_lab'" in trial.reasons[0].message
    assert trial.throughput_per_s is None
    assert_nothing_is_left(mark)
