"""A trial is judged from its own evidence: what a good one has. What faults become is in `test_faults.py`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.analyse.gates import MAX_OVER_LIMIT
from bench.base.errors import ExitCode, SecondInterrupt
from bench.base.tests.attempts import until_in
from bench.cli.saved_runs import exit_code_of
from bench.measure import runner
from bench.measure.load.launcher import RunningLoad
from bench.measure.monitor import WindowRunner
from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import OPEN, assert_without_numbers, codes_of, planned, run_until
from bench.measure.trial import run_trial
from bench.model import histograms, run_store, trial_matrix
from bench.model.servers import SERVERS
from bench.model.trial_record import Trial
from bench.model.workloads import parse_request

# DESIGN, "A trial in run.json ... has at least".
CONTRACT = {
    *("stack", "workload", "parameters", "middleware", "users", "repeat", "verdict", "reasons"),
    *("completed", "failed", "throughput_per_s", "latency_us", "limit_per_s", "fraction_of_limit"),
    *("cpu_us_per_request", "server", "load", "duration_s"),
}


@pytest.fixture(scope="module")
def good() -> Trial:
    def is_seen_often(trial: Trial) -> bool:
        return len(trial.samples.at_s) >= 4 * trial.duration_s

    return run_until(
        planned(),
        lambda trial: trial.server is not None and trial.server.connections_max == 5 and is_seen_often(trial),
    )


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
    assert histograms.decode_histogram(good.histogram or "").get_total_count() == good.completed
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
    assert columns.keys() == {"at_s", "cpu_share", "rss_bytes", "threads", "accept_queue"}
    assert {len(column) for column in columns.values()} == {len(good.samples.at_s)}
    assert len(good.samples.at_s) >= 4 * good.duration_s
    assert good.samples.at_s == sorted(good.samples.at_s)
    assert min(good.samples.rss_bytes) > 1_000_000
    assert good.server
    assert good.server.connections_max == 5
    assert good.server.threads_max >= max(good.samples.threads)


def test_the_commands_that_were_run_are_kept(good: Trial) -> None:
    assert good.commands["server"][:3] == ["python", "-m", "uvicorn"]
    assert good.commands["load"][:3] == ["python", "-m", "locust"]
    assert not [word for word in good.commands["load"] if word.startswith("/tmp")]
    assert "http://127.0.0.1:PORT" in good.commands["load"]
    assert good.commands["server"][-3:-1] == ["--port", "PORT"]


def test_a_gathering_view_is_measured_with_its_upstream(mark: str) -> None:
    trial = run_until(planned(request="fan_out?n=3&ms=20", duration_s=1.5))
    assert trial.is_measured, trial.reasons
    assert "labs.upstream.asgi:application" in trial.commands["upstream"]
    assert trial.latency_us
    assert trial.latency_us.p50 >= 20_000
    assert_nothing_is_left(mark)


def test_a_wrong_answer_makes_the_trial_invalid_before_anything_is_timed(mark: str) -> None:
    request = parse_request("hello")
    other = replace(request, workload=replace(request.workload, body=lambda parameters: b'{"message": "hullo"}'))
    trial = run_trial(replace(planned("bare_asgi@uvicorn"), request=other))
    assert_without_numbers(trial, "contract")
    assert "body" in trial.reasons[0].message
    assert_nothing_is_left(mark)


def interrupted_in_the_window(monkeypatch: pytest.MonkeyPatch, after_s: float) -> list[float]:
    """As by Ctrl-C; not by a signal, which would hit psutil with a file open, and pytest minds.

    Returns a list that will have when the window began.
    """
    original, began_s = WindowRunner._look, list[float]()

    def look(watch: WindowRunner) -> None:
        if watch.start_s and time.monotonic() > watch.start_s + after_s:
            began_s.append(watch.start_s)
            raise KeyboardInterrupt
        original(watch)

    monkeypatch.setattr(WindowRunner, "_look", look)
    return began_s


@pytest.mark.parametrize("load", [{}, OPEN], ids=["closed", "open"])
def test_an_interrupted_trial_is_aborted_with_what_it_has_counted(
    load: dict[str, Any], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.monitor.HAND_IN_WITHIN_S", 20.0)
    began_s = interrupted_in_the_window(monkeypatch, after_s=0.6)
    plan = planned("sync_wsgi@gthread:8", duration_s=30.0, **load)
    trial = run_trial(plan)
    assert (trial.verdict, codes_of(trial)) == ("aborted", ["interrupted"])
    assert trial.throughput_per_s is trial.latency_us is trial.histogram is None
    assert 0.5 <= trial.duration_s <= time.monotonic() - began_s[0] < plan.duration_s
    sent_before = (trial.rate_per_s or 0) * plan.warmup_s  # an open loop's books are of what is due in the window
    assert 0 < sum(trial.answered) <= trial.completed + sent_before
    ended = trial.completed + trial.failed + trial.timed_out + trial.dropped + trial.in_flight
    assert trial.carried_in + trial.issued == ended
    assert_nothing_is_left(mark)


def test_an_interruption_before_the_window_has_nothing_to_count(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.measure.window_trial.check_contract", interrupted)
    trial = run_until(planned("sync_wsgi@gthread:8"))
    assert (trial.verdict, trial.issued) == ("aborted", 0)
    assert_nothing_is_left(mark)


def test_a_second_interruption_goes_through_and_leaves_nothing(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(load: RunningLoad, within_s: float) -> None:
        raise SecondInterrupt

    monkeypatch.setattr(RunningLoad, "hand_in", interrupted)
    interrupted_in_the_window(monkeypatch, after_s=0.2)
    with pytest.raises(SecondInterrupt):
        run_trial(planned("sync_wsgi@gthread:8", duration_s=10.0))
    assert_nothing_is_left(mark)


def test_a_missing_package_is_a_hole_and_the_rest_of_the_run_goes_on(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = replace(SERVERS["uvicorn"], name="absent", packages=("uvicorn", "no-such-package"))
    monkeypatch.setitem(SERVERS, "absent", without)
    wishes = trial_matrix.Overrides(
        stacks=("bare_asgi@absent", "bare_asgi@uvicorn"), requests=("hello",), users=(2,), repeats=1, duration_s=1.5
    )
    run, ordered = runner.new_run("first_look", "quick", wishes)
    plans = sorted(ordered, key=lambda plan: plan.stack.name)
    folder, finished = until_in(
        tmp_path,
        lambda made: "lab-gap" not in codes_of(made[1].trials[-1]),
        lambda folder: (folder, runner.perform(run, plans, folder)),
    )
    absent, present = finished.trials
    assert (absent.stack, absent.verdict) == ("bare_asgi@absent", "not-run")
    assert "python -m pip install no-such-package" in absent.reasons[0].message
    assert present.is_measured, present.reasons
    assert (finished.status, exit_code_of(finished)) == ("complete", ExitCode.NOT_RUN)
    assert run_store.load_run(folder).trials == finished.trials
    assert_nothing_is_left(mark)
