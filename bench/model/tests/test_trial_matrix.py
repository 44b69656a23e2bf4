"""Experiments: their files hold together, and their order is fair. What befalls a run is in `test_faults_of_lab.py`."""

import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bench.analyse.findings import claims_about
from bench.base.errors import NotRun, UsageError
from bench.measure.runner import new_run, run_one
from bench.model import environments, experiment
from bench.model.experiment import PROFILES
from bench.model.load import Closed, Open, Paced, Slow, Streams, stored_fields
from bench.model.stacks import split_environment
from bench.model.trial_matrix import Overrides, capacity_trials, in_random_order, trials_of, with_measured_rate
from bench.model.trial_plan import Engine, TrialPlan, planned_trial
from bench.model.trial_record import (
    DatabaseUse,
    FrontUse,
    HeldResult,
    Hops,
    Latency,
    LeavingResult,
    ServerUse,
    SlowResult,
    StreamsResult,
    Trial,
    WaveResult,
    WavesResult,
)

NAMES = experiment.experiment_names()
MEASURES = {
    *(field.name for field in fields(Trial)),
    *(f"latency_us.{field.name}" for field in fields(Latency)),
    *(f"server.{field.name}" for field in fields(ServerUse)),
    *(f"hops.{field.name}" for field in fields(Hops)),
    *(f"held.{field.name}" for field in fields(HeldResult)),
    *(f"gone.{field.name}" for field in fields(LeavingResult)),
    *(f"database.{field.name}" for field in fields(DatabaseUse)),
    *(f"slow.{field.name}" for field in fields(SlowResult)),
    *(f"streams.{field.name}" for field in fields(StreamsResult)),
    *(f"front.{field.name}" for field in fields(FrontUse)),
    *(f"waves.{field.name}" for field in fields(WavesResult)),
    *(f"waves.{wave}.{field.name}" for wave in ("first", "second") for field in fields(WaveResult)),
}


def cell(plan: TrialPlan) -> dict[str, Any]:
    """What tells a trial from all others of one repeat."""
    return {
        "stack": plan.stack.name,
        "request": plan.request.name,
        "load": stored_fields(plan.load),
        "middleware": list(plan.middleware),
        "server_cores": plan.server_cores,
    }


def first_of_each(ordered: list[TrialPlan]) -> list[TrialPlan]:
    return [plan for plan in ordered if plan.repeat == 0]


def test_the_experiments_of_the_spine_are_there() -> None:
    assert {"first_look", "io_wait", "no_wait", "fan_out", "latency_under_load", "freeze"} <= set(NAMES)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_plan_in_every_profile(name: str, profile: str) -> None:
    run, ordered = new_run(name, profile, Overrides(seed=1))
    assert run.title
    assert run.question.endswith("?")
    loaded = experiment.load_experiment(name)
    asked = trials_of(loaded, profile, Overrides())
    needed = {str(cell(plan)) for plan in [*asked, *capacity_trials(loaded, asked)]}
    made = Counter(str(cell(plan)) for plan in ordered)
    assert run.plan.trials == len(ordered)
    assert set(made) == needed
    assert {run.plan.repeats} <= set(made.values()) <= {run.plan.repeats, *(block.restarts for block in loaded.matrix)}
    assert run.plan.seed == 1
    assert run.status == "running"


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_can_be_read_without_the_one_before(name: str) -> None:
    says = [claim.says for claim in experiment.load_experiment(name).claims]
    assert [one for one in says if re.match(r"(and|but|it|nor|so|that|they|while)\b|.* likewise$", one)] == []


@pytest.mark.parametrize("profile", ["standard", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_about_one_cell_on_each_side(name: str, profile: str) -> None:
    _, ordered = new_run(name, profile, Overrides())
    trials = {str(cell(plan)): planned_trial(plan) for plan in first_of_each(ordered)}
    for claim in experiment.load_experiment(name).claims:
        assert claim.measure in MEASURES, claim.says
        for side in claim.order or [side for side in (claim.left, claim.right) if side is not None]:
            alone = replace(claim, left=side, right=None, order=[])
            assert len([1 for trial in trials.values() if claims_about([alone], [trial])]) == 1, (claim.says, side)


@pytest.mark.parametrize("name", experiment.experiment_names(drafts=False))
def test_a_reference_restarts_every_server_5_times_or_more(name: str) -> None:
    assert experiment.load_experiment(name).profiles["reference"].repeats >= 5


def test_the_quick_profile_of_the_demo_measures_for_at_most_90_seconds() -> None:
    _, ordered = new_run("first_look", "quick", Overrides())
    assert sum(plan.full_warmup_s + plan.duration_s for plan in ordered) <= 90


def test_each_repeat_is_one_pass_over_all_trials_in_an_order_of_its_own() -> None:
    trials = trials_of(experiment.load_experiment("io_wait"), "standard", Overrides())
    ordered = in_random_order(trials, seed=11)
    passes = [ordered[start : start + len(trials)] for start in range(0, len(ordered), len(trials))]
    keys = [[str(cell(plan)) for plan in one_pass] for one_pass in passes]
    assert [{plan.repeat for plan in one_pass} for one_pass in passes] == [{0}, {1}, {2}]
    assert [sorted(key) for key in keys] == [sorted(str(cell(plan)) for plan in trials)] * 3
    assert keys[0] != keys[1] != keys[2]


def test_a_block_asks_for_more_restarts_of_its_trials_and_all_others_have_those_of_the_profile() -> None:
    run, ordered = new_run("middleware_ladder", "reference", Overrides())
    more = {
        (stack, middleware)
        for stack in ("sync_wsgi@gthread:8", "async_asgi@uvicorn")
        for middleware in ((), ("startproject",))
    }
    made = Counter((plan.stack.name, plan.middleware) for plan in ordered)
    assert {key for key, count in made.items() if count == 15} == more
    assert set(made.values()) == {run.plan.repeats, 15} == {5, 15}
    assert len(ordered) == run.plan.trials


def test_the_restarts_of_all_trials_are_spread_over_the_same_time() -> None:
    few, many = trials_of(experiment.load_experiment("io_wait"), "quick", Overrides())[:2]
    ordered = in_random_order([replace(few, restarts=2), replace(many, restarts=6)], seed=3)
    names = [str(cell(plan)) for plan in ordered]
    for half in (names[:4], names[4:]):
        assert (half.count(str(cell(few))), half.count(str(cell(many)))) == (1, 3)
    assert sorted(plan.repeat for plan in ordered) == [0, 0, 1, 1, 2, 3, 4, 5]


def test_the_seed_gives_the_same_order_again_and_another_seed_another() -> None:
    orders = [new_run("first_look", "standard", Overrides(seed=seed))[1] for seed in (3, 3, 4)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_seed_that_was_not_given_is_drawn_and_kept() -> None:
    assert len({new_run("first_look", "quick", Overrides())[0].plan.seed for _ in range(3)}) > 1


def test_wishes_override_the_experiment() -> None:
    wishes = Overrides(
        stacks=("sync_wsgi@gthread:2", "bare_asgi@uvicorn"),
        requests=("hello",),
        users=(3,),
        middleware=("startproject",),
        repeats=2,
        duration_s=0.25,
        engine=Engine(processes=2),
        seed=9,
    )
    run, ordered = new_run("io_wait", "quick", wishes)
    assert [plan.repeat for plan in ordered] == [0, 0, 1, 1]
    assert {plan.stack.name for plan in ordered} == set(run.plan.stacks) == set(wishes.stacks)
    assert {plan.request.name for plan in ordered} == {"hello"} == set(run.plan.requests)
    assert {(plan.users, plan.middleware) for plan in ordered} == {(3, ("startproject",))}
    assert {(plan.duration_s, plan.engine.processes) for plan in ordered} == {(0.25, 2)}
    assert run.plan.load_processes == 2
    assert (run.plan.repeats, run.plan.trials, run.plan.duration_s, run.plan.seed) == (2, 4, 0.25, 9)


def test_a_trial_that_stands_in_two_blocks_is_made_once() -> None:
    trials = trials_of(
        experiment.load_experiment("first_look"), "standard", Overrides(requests=("hello",), users=(10,))
    )
    keys = [str(cell(plan)) for plan in trials]
    assert len(keys) == len(set(keys))


def test_rates_wished_make_open_loops_and_hold_wished_users_back() -> None:
    open_only = trials_of(experiment.load_experiment("first_look"), "quick", Overrides(rates_per_s=(50.0,)))
    assert {plan.load for plan in open_only} == {Open(50.0)}
    both = trials_of(experiment.load_experiment("first_look"), "quick", Overrides(rates_per_s=(50.0,), users=(5,)))
    assert {plan.load for plan in both} == {Open(50.0), Paced(5, 50.0)}


def test_a_capacity_is_measured_before_the_rates_that_are_shares_of_it() -> None:
    run, ordered = new_run("latency_under_load", "quick", Overrides(seed=1))
    first = [place for place, plan in enumerate(ordered) if isinstance(plan.load, Closed)]
    assert first == list(range(len(first)))
    assert {plan.users for plan in ordered[: len(first)]} == {
        experiment.load_experiment("latency_under_load").capacity_users
    }
    assert {plan.stack.name for plan in ordered[: len(first)]} == set(run.plan.stacks)


def test_a_share_becomes_the_rate_of_the_median_capacity() -> None:
    _, ordered = new_run("latency_under_load", "quick", Overrides(seed=1))
    relative = next(plan for plan in ordered if plan.load == Open(capacity_share=0.5))
    alike = [plan for plan in ordered if isinstance(plan.load, Closed) and plan.stack == relative.stack]
    measured = [
        replace(planned_trial(plan), verdict="ok", throughput_per_s=rate)
        for plan, rate in zip(alike, (301.0, 311.3, 999.0), strict=True)
    ]
    assert with_measured_rate(relative, measured, 200).load == Open(156.0, 0.5)  # three digits of 155.65
    with pytest.raises(NotRun, match=f"The capacity of {relative.stack.name} was not measured"):
        with_measured_rate(relative, [], 200)


def test_slow_clients_are_a_load_beside_visitors() -> None:
    plans = trials_of(experiment.load_experiment("slow_clients"), "quick", Overrides())
    assert {plan.load for plan in plans} == {Slow(16, 4, 3.0)}
    fewer = trials_of(experiment.load_experiment("slow_clients"), "quick", Overrides(connections=(1,)))
    assert {plan.load.text for plan in fewer} == {"1 slow client beside 4 visitors"}
    assert {planned_trial(plan).offered_load for plan in plans} == {Slow(16, 4, 3.0)}


def test_streams_are_a_load_of_which_a_share_is_left() -> None:
    plans = trials_of(experiment.load_experiment("token_streams"), "reference", Overrides(connections=(10, 1)))
    assert {plan.load for plan in plans} == {Streams(10, 2), Streams(1, 0)}
    assert {planned_trial(plan).offered_load for plan in plans} == {plan.load for plan in plans}
    assert {plan.load.text for plan in plans} == {"10 streams (2 left half way)", "1 stream (0 left half way)"}
    with pytest.raises(UsageError, match="Only tokens and tokens_lean are streams to be read part by part"):
        trials_of(experiment.load_experiment("token_streams"), "quick", Overrides(requests=("hello",)))


def test_only_slow_clients_send_a_body() -> None:
    with pytest.raises(UsageError, match="Only slow clients send a body: run `slow_clients` for upload"):
        trials_of(experiment.load_experiment("first_look"), "quick", Overrides(requests=("upload",)))
    with pytest.raises(UsageError, match="Slow clients ask for upload and download"):
        trials_of(experiment.load_experiment("slow_clients"), "quick", Overrides(requests=("hello",)))


def test_bare_callables_are_left_out_of_what_they_do_not_answer() -> None:
    both = Overrides(stacks=("bare_asgi@uvicorn", "async_asgi@uvicorn"), requests=("burn",))
    assert {plan.stack.name for plan in new_run("no_wait", "quick", both)[1]} == {"async_asgi@uvicorn"}
    with pytest.raises(UsageError, match="None of these stacks answers that workload"):
        new_run("no_wait", "quick", Overrides(stacks=("bare_asgi@uvicorn",), requests=("burn",)))


def test_environments_cross_the_stacks_and_are_interleaved_like_them() -> None:
    stacks = ("sync_wsgi@gthread:8", "async_asgi@uvicorn", "bare_asgi@uvicorn%other")
    wishes = Overrides(stacks=stacks, requests=("hello",), users=(5,), repeats=2, environments=("default", "py313t"))
    run, ordered = new_run("first_look", "quick", wishes)
    assert run.plan.stacks == [
        *("sync_wsgi@gthread:8", "sync_wsgi@gthread:8%py313t", "async_asgi@uvicorn", "async_asgi@uvicorn%py313t"),
        "bare_asgi@uvicorn%other",
    ]
    for restarts in (ordered[:5], ordered[5:]):
        assert sorted(plan.stack.name for plan in restarts) == sorted(run.plan.stacks)


def test_cores_of_the_server_are_in_the_plan_and_in_each_trial() -> None:
    run, ordered = new_run("first_look", "quick", Overrides(server_cores=1))
    assert run.plan.server_cores == 1
    assert {plan.server_cores for plan in ordered} == {1}
    assert new_run("first_look", "quick", Overrides())[0].plan.server_cores is None


def test_a_block_gives_its_servers_cores_and_the_command_line_others() -> None:
    run, ordered = new_run("free_threading", "quick", Overrides())
    assert run.plan.server_cores == 2
    assert {(plan.stack.server.name, plan.server_cores) for plan in ordered} == {
        *{("gthread", 1), ("gthread", 2), ("uvicorn", 2)}
    }
    assert {planned_trial(plan).server_cores for plan in ordered} == {1, 2}
    asked = new_run("free_threading", "quick", Overrides(server_cores=1))[1]
    assert {plan.server_cores for plan in asked} == {1}
    assert len(asked) < len(ordered)  # those of both blocks are the same trial then


def test_an_environment_that_an_experiment_describes_is_asked_for_with_the_commands_that_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    found = experiment.load_experiment("free_threading")
    with pytest.raises(NotRun) as refused:
        found.require_stacks("quick")
    assert "lab env add py313t --python python3.13t --django 5.2 --with uvloop" in str(refused.value)
    assert "&& lab env add py313t_gil --like py313t --variable PYTHON_GIL=1`" in str(refused.value)
    experiment.load_experiment("first_look").require_stacks("quick")


def test_a_trial_whose_environment_is_not_there_is_not_run_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    _, (plan, *_) = new_run("versions", "quick", Overrides())
    trial = run_one(plan, [], experiment.load_experiment("versions"), tmp_path / "requests", lambda _: None)
    assert trial.verdict == "not-run"
    name = plan.stack.environment
    assert f"run `lab env add {name} --python python3.13 --django {name[-2]}.{name[-1]}`" in trial.reasons[0].message


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_describes_each_environment_that_its_stacks_name(name: str) -> None:
    found = experiment.load_experiment(name)
    named = {split_environment(stack)[1] for block in found.matrix for stack in block.stacks} - {"default"}
    assert set(found.environments) == named
