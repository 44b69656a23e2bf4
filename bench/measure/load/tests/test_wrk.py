"""The closed loop on wrk, where it differs from Locust: its shares, its histogram, users who are given up."""

from typing import Any

import pytest

from bench.base.errors import UsageError
from bench.measure.load.wrk import NOTHING, Window, recording_of, shares_of
from bench.measure.tests.windows import NEEDS_WRK, WRK, codes_of, planned, run_until
from bench.model.experiment import load_experiment
from bench.model.load import Closed
from bench.model.trial_matrix import Overrides, trials_of
from bench.model.trial_plan import Engine

WINDOW = Window(1_000_000_000, 2_000_000_000)
TALLY: dict[str, Any] = NOTHING | {"start_us": 1e6, "end_us": 2e6, "issued": 7, "errors": {"read error": 1}}


def test_each_wrk_has_its_share_of_the_users_and_none_has_no_user() -> None:
    assert shares_of(10, 3) == [4, 3, 3]
    assert shares_of(2, 4) == [1, 1]


def test_a_tally_becomes_a_recording_with_every_latency() -> None:
    tally = TALLY | {"latencies": [[0, 2], [1500, 3]], "answered_halves": [2, 3], "silences_us": [1.2e6, 1.5e6]}
    recording = recording_of(tally | {"answered": [2, 0, 0, 0, 3, 0, 0]}, WINDOW)
    assert (recording["completed"], recording["issued"], recording["duration_s"]) == (5, 7, 1.0)
    assert (recording["silences"], recording["answered"]) == ([(0.2, 0.5)], [2, 0, 0, 0, 3])


@pytest.mark.parametrize("wrong", [{"answered_halves": [2, 4]}, {"is_known": False}])
def test_a_histogram_that_is_not_that_of_the_right_answers_is_refused(wrong: dict[str, Any]) -> None:
    tally = TALLY | {"latencies": [[900, 5]], "answered_halves": [2, 3]} | wrong
    with pytest.raises(SystemExit, match="run with --engine locust"):
        recording_of(tally, WINDOW)


@NEEDS_WRK
@pytest.mark.parametrize(("stack", "request_name"), [("bare_wsgi@sync", "hello"), ("sync_wsgi@gthread:2", "wait?ms=5")])
def test_servers_that_close_and_servers_that_queue_are_accounted_for(stack: str, request_name: str) -> None:
    plan = planned(stack, request_name, load=Closed(6), **WRK)
    trial = run_until(plan, lambda trial: (trial.in_flight or 0) >= 4)
    assert trial.carried_in + trial.issued == trial.completed + trial.failed + trial.in_flight
    assert (trial.failed, trial.in_flight) == (0, pytest.approx(6, abs=2))
    assert trial.load
    assert trial.load.engine.startswith("wrk ")
    assert not {"accounting", "errors", "load-lost"} & set(codes_of(trial))


def test_without_wrk_a_trial_is_not_run_and_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.base.programs.find_program", lambda name: None)
    trial = run_until(planned(**WRK))
    assert trial.verdict == "not-run"
    assert trial.reasons[0].message == "wrk is not installed: ./scripts/system-packages gets it."


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("io_wait", {"rates_per_s": (20.0,)}),
        ("io_wait", {"rates_per_s": (20.0,), "users": (5,)}),
        ("latency_under_load", {}),
        ("held", {}),
    ],
    ids=["open", "held back", "of capacity", "connections"],
)
def test_wrk_is_refused_for_loads_that_it_cannot_make(name: str, changes: dict[str, Any]) -> None:
    asked = Overrides(engine=Engine(program="wrk"), **changes)
    with pytest.raises(UsageError, match="wrk drives only closed loops that are not held to a rate: leave out"):
        trials_of(load_experiment(name), "quick", asked)
