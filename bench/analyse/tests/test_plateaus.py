"""Plateaus are found in the numbers and named from the samples."""

from collections.abc import Sequence
from dataclasses import replace

from bench.analyse import plateaus
from bench.model.tests import runs
from bench.model.trial_record import Trial

EVENT_LOOP, THREADS = "async_asgi@uvicorn", "sync_wsgi@gthread:8"


def line(rates: Sequence[float], limiter: str | None = "server CPU", used: float = 0.9) -> list[Trial]:
    """A closed loop with these throughputs at rising users, three restarts each."""
    return [
        runs.trial_of(
            EVENT_LOOP, users=10 * 2**place, repeat=repeat, throughput_per_s=rate, limiter=limiter,
            utilisation={"server CPU": used, "client": 0.3},
        )
        for repeat in range(3)
        for place, rate in enumerate(rates)
    ]  # fmt: skip


def found(trials: Sequence[Trial]) -> list[tuple[str, str]]:
    return [(it.users_text, it.limiter_text) for it in plateaus.plateaus_of(runs.run_of(trials))]


def test_topmost_levels_within_a_tenth_of_the_most_are_a_plateau() -> None:
    assert found(line([100, 200, 395, 400, 380])) == [("40 to 160", "server CPU, 90 % used")]


def test_a_line_that_still_rises_has_none_and_so_has_one_with_two_levels() -> None:
    assert found(line([100, 200, 300])) == []
    assert found(line([400, 400])) == []


def test_a_plateau_that_breaks_down_ends_before() -> None:
    assert found(line([100, 400, 395, 200])) == [("20 to 40", "server CPU, 90 % used")]


def test_nothing_full_is_said_with_what_was_used_most() -> None:
    assert found(line([400, 400, 400], limiter=None, used=0.6)) == [
        ("10 to 40", "nothing sampled was full (most of all server CPU, 60 % used)")
    ]


def test_limiter_is_that_of_most_trials_and_users_are_asked_last() -> None:
    trials = line([400, 400, 400])
    trials[0] = replace(trials[0], limiter="client")
    assert found(trials)[0][1].startswith("server CPU")
    users = [replace(trial, limiter="users" if trial.users != 40 else trial.limiter) for trial in trials]
    assert found(users)[0][1].startswith("server CPU")


def test_each_stack_has_its_own_and_open_or_held_loops_have_none() -> None:
    run = runs.sweep()
    limiters = {it.stack: it.limiter for it in plateaus.plateaus_of(run)}
    assert limiters[THREADS] == "threads"
    assert limiters["sync_asgi@uvicorn"] == "server CPU"
    held = [replace(trial, rate_per_s=50.0) for trial in run.trials]
    assert plateaus.plateaus_of(runs.run_of(held)) == plateaus.plateaus_of(runs.open_sweep()) == []


def test_invalid_trials_are_not_part_of_it() -> None:
    trials = [replace(trial, verdict="invalid") if trial.users == 40 else trial for trial in line([400, 400, 400])]
    assert found(trials) == []
