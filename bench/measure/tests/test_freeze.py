"""The self-test of the open loop: the same freeze, the same nominal rate, and only one of two loops sees it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import longest_s
from bench.measure.trial import run_trial
from bench.model import experiment, trial_matrix
from bench.model.trial_record import Trial

FREEZE_S, SEEN_S, HIDDEN_S = 3.0, 2.5, 0.3


def both_loops() -> tuple[Trial, Trial]:
    """The open and the closed trial of the experiment, on two servers at the same time: 20 s instead of 40."""
    plans = trial_matrix.trials_of(experiment.load_experiment("freeze"), "quick", trial_matrix.Overrides(seed=1))
    with ThreadPoolExecutor() as threads:
        trials = sorted(threads.map(run_trial, plans), key=lambda trial: not trial.is_open)
    opened, closed = trials
    return opened, closed


@pytest.mark.alone
@pytest.mark.timeout(90)
def test_the_open_loop_sees_a_freeze_that_the_closed_loop_hides(mark: str) -> None:
    opened, closed = both_loops()
    assert opened.latency_us, opened.reasons
    assert closed.latency_us, closed.reasons
    for trial in (opened, closed):
        assert (trial.rate_per_s, trial.duration_s) == (100, 20)
        (freeze,) = (event for event in trial.events if event.code == "frozen")
        assert FREEZE_S <= freeze.for_s < FREEZE_S + 0.5
        assert longest_s(trial, "server-gap") <= FREEZE_S / 2
    assert opened.latency_us.p99 >= SEEN_S * 1e6
    assert closed.latency_us.p99 < HIDDEN_S * 1e6
    assert opened.latency_from_send_us
    assert opened.latency_from_send_us.max >= SEEN_S * 1e6
    assert opened.issued == opened.completed + opened.failed + opened.timed_out + opened.dropped + opened.in_flight
    assert_nothing_is_left(mark)
