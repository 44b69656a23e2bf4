"""Experiments: their files hold together, their order is fair, and an interruption keeps what was measured."""

import os
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bench import experiment, record
from bench.errors import DamagedRun, UsageError
from bench.experiment import PROFILES, Wishes, in_random_order, new_run, trials_of
from bench.record import Latency, ServerUse, Trial
from bench.tests.processes import assert_nothing_is_left, end, eventually, running
from bench.trial import TrialPlan

NAMES = experiment.names()
MEASURES = {
    *(field.name for field in fields(Trial)),
    *(f"latency_us.{field.name}" for field in fields(Latency)),
    *(f"server.{field.name}" for field in fields(ServerUse)),
}


def cell(plan: TrialPlan) -> dict[str, Any]:
    """What a claim can pick a trial by."""
    return {
        "stack": plan.stack.name,
        "request": plan.request.name,
        "users": plan.users,
        "middleware": list(plan.middleware),
    }


def test_the_four_experiments_of_the_spine_are_there() -> None:
    assert {"first_look", "io_wait", "no_wait", "fan_out"} <= set(NAMES)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_plan_in_every_profile(name: str, profile: str) -> None:
    run, ordered = new_run(name, profile, Wishes(seed=1))
    assert run.title
    assert run.question.endswith("?")
    assert (
        run.plan.trials == len(ordered) == run.plan.repeats * len(trials_of(experiment.load(name), profile, Wishes()))
    )
    assert run.plan.seed == 1
    assert run.status == "running"


@pytest.mark.parametrize("profile", ["standard", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_about_one_cell_on_each_side(name: str, profile: str) -> None:
    loaded = experiment.load(name)
    cells = [cell(plan) for plan in trials_of(loaded, profile, Wishes())]
    for claim in loaded.claims:
        assert claim.measure in MEASURES, claim.says
        for side in (claim.left, claim.right):
            assert len([1 for known in cells if side.items() <= known.items()]) == 1, (claim.says, side)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_restarts_every_server_5_times_or_more(name: str) -> None:
    assert experiment.load(name).profiles["reference"].repeats >= 5


def test_the_quick_profile_of_the_demo_measures_for_at_most_90_seconds() -> None:
    _, ordered = new_run("first_look", "quick", Wishes())
    assert sum(plan.full_warmup_s + plan.duration_s for plan in ordered) <= 90


def test_each_repeat_is_one_pass_over_all_trials_in_an_order_of_its_own() -> None:
    trials = trials_of(experiment.load("io_wait"), "standard", Wishes())
    ordered = in_random_order(trials, repeats=3, seed=11)
    passes = [ordered[start : start + len(trials)] for start in range(0, len(ordered), len(trials))]
    keys = [[str(cell(plan)) for plan in one_pass] for one_pass in passes]
    assert [{plan.repeat for plan in one_pass} for one_pass in passes] == [{0}, {1}, {2}]
    assert [sorted(key) for key in keys] == [sorted(str(cell(plan)) for plan in trials)] * 3
    assert keys[0] != keys[1] != keys[2]


def test_the_seed_gives_the_same_order_again_and_another_seed_another() -> None:
    orders = [new_run("first_look", "standard", Wishes(seed=seed))[1] for seed in (3, 3, 4)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_seed_that_was_not_given_is_drawn_and_kept() -> None:
    assert len({new_run("first_look", "quick", Wishes())[0].plan.seed for _ in range(3)}) > 1


def test_wishes_override_the_experiment() -> None:
    wishes = Wishes(
        stacks=("sync_wsgi@gthread:2", "bare_asgi@uvicorn"),
        requests=("hello",),
        users=(3,),
        middleware=("startproject",),
        repeats=2,
        duration_s=0.25,
        load_processes=2,
        seed=9,
    )
    run, ordered = new_run("io_wait", "quick", wishes)
    assert [plan.repeat for plan in ordered] == [0, 0, 1, 1]
    assert {plan.stack.name for plan in ordered} == set(run.plan.stacks) == set(wishes.stacks)
    assert {plan.request.name for plan in ordered} == {"hello"} == set(run.plan.requests)
    assert {(plan.users, plan.middleware) for plan in ordered} == {(3, ("startproject",))}
    assert {(plan.duration_s, plan.load_processes) for plan in ordered} == {(0.25, 2)}
    assert (run.plan.repeats, run.plan.trials, run.plan.duration_s, run.plan.seed) == (2, 4, 0.25, 9)


def test_a_trial_that_stands_in_two_blocks_is_made_once() -> None:
    trials = trials_of(experiment.load("first_look"), "standard", Wishes(requests=("hello",), users=(10,)))
    keys = [str(cell(plan)) for plan in trials]
    assert len(keys) == len(set(keys))


def test_bare_callables_are_left_out_of_what_they_do_not_answer() -> None:
    both = Wishes(stacks=("bare_asgi@uvicorn", "async_asgi@uvicorn"), requests=("burn",))
    assert {plan.stack.name for plan in new_run("no_wait", "quick", both)[1]} == {"async_asgi@uvicorn"}
    with pytest.raises(UsageError, match="None of these stacks answers that workload"):
        new_run("no_wait", "quick", Wishes(stacks=("bare_asgi@uvicorn",), requests=("burn",)))


def has_a_trial(folder: Path) -> bool:
    try:
        return bool(record.load(folder).trials)
    except (UsageError, DamagedRun):
        return False


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of what is started go, so that one sees whether any stays."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def run_first_look(folder: Path) -> tuple[str, ...]:
    stacks = ("--stack", "bare_asgi@uvicorn,async_asgi@uvicorn,sync_wsgi@gthread:8")
    wishes = (*stacks, "--users", "10", "--duration", "0.5", "--seed", "1", "--out", str(folder))
    return (sys.executable, "-m", "bench", "run", "first_look", *wishes)


@pytest.mark.parametrize(
    ("how", "after_s"),
    [(signal.SIGINT, 0.0), (signal.SIGTERM, 1.2)],
    ids=["Ctrl-C between trials", "SIGTERM in a trial"],
)
def test_an_interrupted_run_keeps_what_was_measured(
    how: signal.Signals, after_s: float, mark: str, tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "run"
    with running(*run_first_look(folder)) as lab:
        assert eventually(lambda: has_a_trial(folder), within_s=30)
        time.sleep(after_s)
        status, out, err = end(lab, how)
    run = record.load(folder)
    assert status == 130, err
    assert "Traceback" not in err
    assert (run.status, run.trials[-1].verdict) == ("aborted", "aborted")
    assert 2 <= len(run.trials) < run.plan.trials
    assert all(trial.is_measured for trial in run.trials[:-1]), run.trials
    assert (folder / "report.html").stat().st_size > 0
    assert run.trials[0].stack in out
    assert_nothing_is_left(mark)
    assert os.listdir(temporary) == []


def test_when_lab_is_killed_its_processes_end_and_the_trials_are_kept(
    mark: str, tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "run"
    with running(*run_first_look(folder)) as lab:
        assert eventually(lambda: has_a_trial(folder), within_s=30)
        time.sleep(1.0)
        status, _, _ = end(lab, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert_nothing_is_left(mark, within_s=5)
    run = record.load(folder)
    assert run.status == "running"
    assert run.trials[0].is_measured
