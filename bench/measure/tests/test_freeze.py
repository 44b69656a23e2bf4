"""The self-test of the open loop: the same freeze, the same nominal rate, and only one of two loops sees it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bench.base.tests.attempts import until
from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import events_of, longest_s
from bench.measure.trial import run_trial
from bench.model import experiment, trial_matrix
from bench.model.load import Load, Open, Paced
from bench.model.trial_plan import Freeze, TrialPlan
from bench.model.trial_record import Trial
from bench.model.workloads import parse_request

FREEZE_S, SEEN_S, HIDDEN_S = 3.0, 2.5, 0.3
WINDOW_S, AT_S, USERS, REQUEST = 9.0, 2.0, 4, parse_request("wait?ms=20")
"""A shorter window than the experiment's, and fewer users: a hundredth of its requests is still more than they have."""


def plans() -> list[TrialPlan]:
    return trial_matrix.trials_of(experiment.load_experiment("freeze"), "quick", trial_matrix.Overrides(seed=1))


def both_loops() -> tuple[Trial, Trial]:
    """The open and the closed trial of the experiment, on two servers at the same time."""
    shorter: dict[str, Any] = {"duration_s": WINDOW_S, "freeze": Freeze(AT_S, FREEZE_S), "request": REQUEST}
    made = [replace(plan, load=_of_few(plan.load), **shorter) for plan in plans()]
    with ThreadPoolExecutor() as threads:
        trials = sorted(threads.map(run_trial, made), key=lambda trial: not trial.is_open)
    opened, closed = trials
    return opened, closed


def undisturbed_loops() -> tuple[Trial, Trial]:
    """Both, made again where the machine itself held something up beside the freeze."""
    gaps = ("server-gap", "client-gap", "lab-gap")
    return until(lambda trials: not any(events_of(trial, gap) for trial in trials for gap in gaps), both_loops)


def _of_few(load: Load) -> Load:
    return replace(load, users=USERS) if isinstance(load, Paced) else load


def test_by_the_experiment_s_numbers_the_open_loop_s_p99_sees_the_freeze_and_the_closed_loop_s_cannot() -> None:
    for plan in plans():
        assert isinstance(plan.load, Open | Paced)
        assert (plan.load.rate_per_s, plan.duration_s, plan.freeze and plan.freeze.for_s) == (100, 20, FREEZE_S)
        stuck = plan.load.users if isinstance(plan.load, Paced) else (FREEZE_S - SEEN_S) * 100
        assert (stuck > 0.01 * 100 * (20 - FREEZE_S)) is isinstance(plan.load, Open)


@pytest.mark.alone
@pytest.mark.timeout(150)
def test_the_open_loop_sees_a_freeze_that_the_closed_loop_hides(mark: str) -> None:
    opened, closed = undisturbed_loops()
    assert opened.latency_us, opened.reasons
    assert closed.latency_us, closed.reasons
    for trial in (opened, closed):
        assert (trial.rate_per_s, trial.duration_s) == (100, WINDOW_S)
        (freeze,) = events_of(trial, "frozen")
        assert FREEZE_S <= freeze.for_s < FREEZE_S + 0.5
        assert longest_s(trial, "server-gap") <= FREEZE_S / 2
    assert opened.latency_us.p99 >= SEEN_S * 1e6
    assert closed.latency_us.p99 < HIDDEN_S * 1e6
    assert opened.latency_from_send_us
    assert opened.latency_from_send_us.max >= SEEN_S * 1e6
    assert opened.issued == opened.completed + opened.failed + opened.timed_out + opened.dropped + opened.in_flight
    assert_nothing_is_left(mark)
