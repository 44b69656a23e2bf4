"""Intervals that cover what they promise, and findings that are never bolder than their interval."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from bench.analyse.stats import (
    Interval,
    Outcome,
    describe_ratio,
    halves_differ,
    judge_between,
    judge_beyond,
    littles_law_error,
    littles_law_noise,
    median_interval,
    median_of,
    ratio_interval,
)

FAST = [310.0, 322.0, 305.0, 318.0, 315.0]
SLOW = [99.0, 101.0, 97.0, 103.0, 100.0]


def test_the_median_is_the_middle_value_or_the_mean_of_the_middle_two() -> None:
    assert median_of([3, 1, 2]) == 2
    assert median_of([4, 1, 2, 3]) == 2.5


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_that_are_missing_or_not_finite_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="only finite"):
        median_of(values)
    with pytest.raises(ValueError, match="only finite"):
        median_interval(values)
    with pytest.raises(ValueError, match="only finite"):
        ratio_interval(values, SLOW)


def test_a_ratio_to_nothing_is_refused_and_names_the_side() -> None:
    with pytest.raises(ValueError, match="right side has 0"):
        ratio_interval(FAST, [1.0, 0.0, 1.0])


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_confidence_is_a_share_below_one(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        ratio_interval(FAST, SLOW, confidence=confidence)


@pytest.mark.parametrize(("left", "right"), [(FAST[:2], SLOW), (FAST, SLOW[:2]), (FAST[:1], SLOW[:1])])
def test_fewer_than_three_restarts_give_no_interval(left: list[float], right: list[float]) -> None:
    assert ratio_interval(left, right) is None
    assert median_interval(min(left, right, key=len)) is None


def test_an_interval_is_the_same_for_the_same_seed() -> None:
    assert ratio_interval(FAST, SLOW, seed=7) == ratio_interval(FAST, SLOW, seed=7)
    assert median_interval(FAST, seed=7) == median_interval(FAST, seed=7)


def test_five_restarts_give_the_median_with_their_range() -> None:
    assert median_interval(FAST) == Interval(min(FAST), 315.0, max(FAST))


def test_a_ratio_interval_lies_between_the_extreme_ratios_and_holds_its_estimate() -> None:
    interval = ratio_interval(FAST, SLOW)
    assert interval is not None
    assert interval.estimate == 3.15
    assert interval.includes(interval.estimate)
    assert min(FAST) / max(SLOW) <= interval.low < interval.high <= max(FAST) / min(SLOW)


def test_more_confidence_never_narrows_the_interval() -> None:
    half, most = ratio_interval(FAST, SLOW, confidence=0.5), ratio_interval(FAST, SLOW, confidence=0.99)
    assert half is not None
    assert most is not None
    assert most.low <= half.low <= half.high <= most.high


def test_identical_values_give_an_interval_of_no_width() -> None:
    assert median_interval([5.0] * 5) == Interval(5.0, 5.0, 5.0)
    assert ratio_interval([6.0] * 5, [2.0] * 3) == Interval(3.0, 3.0, 3.0)


@pytest.mark.parametrize(("restarts", "share"), [(3, 0.85), (5, 0.93), (8, 0.93)])
def test_the_interval_covers_the_true_ratio_as_often_as_documented(restarts: int, share: float) -> None:
    generator, truth, experiments = np.random.default_rng(2), 1.5, 300
    values = np.exp(0.05 * generator.standard_normal((experiments, 2, restarts)))
    intervals = [
        ratio_interval(truth * left, right, resamples=1999, seed=seed) for seed, (left, right) in enumerate(values)
    ]
    covered = sum(interval is not None and interval.includes(truth) for interval in intervals)
    assert covered / experiments >= share


def test_an_interval_cannot_be_upside_down() -> None:
    with pytest.raises(ValueError, match="low <= high"):
        Interval(2, 1, 1)
    with pytest.raises(ValueError, match="low <= high"):
        Interval(math.nan, 1, 1)


@pytest.mark.parametrize(
    ("interval", "greater", "less"),
    [
        (Interval(1.1, 1.2, 1.3), "supported", "refuted"),
        (Interval(0.7, 0.8, 0.9), "refuted", "supported"),
        (Interval(0.9, 1.2, 1.5), "cannot tell", "cannot tell"),
        (Interval(1.0, 1.2, 1.5), "cannot tell", "cannot tell"),
        (Interval(1.0, 1.0, 1.0), "cannot tell", "cannot tell"),
        (None, "cannot tell", "cannot tell"),
    ],
)
def test_only_an_interval_clear_of_the_threshold_decides(
    interval: Interval | None, greater: Outcome, less: Outcome
) -> None:
    assert judge_beyond(interval, "greater") == greater
    assert judge_beyond(interval, "less") == less


def test_a_finding_can_have_another_threshold() -> None:
    assert judge_beyond(Interval(1.1, 1.2, 1.3), "greater", 2.0) == "refuted"
    assert judge_beyond(Interval(1.1, 1.2, 1.3), "less", 2.0) == "supported"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.95, 1.0, 1.05), "supported"),
        (Interval(1.0, 1.0, 1.0), "supported"),
        (Interval(1.2, 1.3, 1.4), "refuted"),
        (Interval(0.5, 0.6, 0.7), "refuted"),
        (Interval(0.95, 1.1, 1.2), "cannot tell"),
        (Interval(0.5, 1.0, 2.0), "cannot tell"),
        (None, "cannot tell"),
    ],
)
def test_equality_is_supported_only_when_the_whole_interval_is_inside(
    interval: Interval | None, expected: Outcome
) -> None:
    assert judge_between(interval, 1 / 1.1, 1.1) == expected


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(2.9, 3.2, 3.4), "3.2× (2.9 to 3.4)"),
        (Interval(0.96, 1.0, 1.05), "no difference detected (0.96 to 1.05)"),
        (Interval(12.3, 13.1, 14.6), "13× (12 to 15)"),
        (Interval(1.02, 1.2, 1.5), "1.20× (1.02 to 1.50)"),
        (Interval(0.5, 0.7, 0.996), "0.700× (0.500 to 0.996)"),
        (Interval(0.11, 0.125, 0.14), "0.12× (0.11 to 0.14)"),
        (Interval(0.041, 0.05, 0.06), "1/20× (1/24 to 1/17)"),
        (Interval(1 / 210, 1 / 199, 1 / 190), "1/199× (1/210 to 1/190)"),
        (Interval(0.005, 0.005, 0.005), "1/200× (1/200 to 1/200)"),
        (Interval(0.0799, 0.08, 0.0801), "1/12.50× (1/12.52 to 1/12.48)"),
        (Interval(0.0, 0.05, 0.06), "0.05× (0.00 to 0.06)"),
        (Interval(0.02, 0.05, 1.2), "no difference detected (0.020 to 1.200)"),
        (Interval(2.0, 2.0, 2.0), "2.0× (2.0 to 2.0)"),
        (Interval(1.0, 1.0, 1.0), "no difference detected (1.0 to 1.0)"),
        (None, "cannot tell: fewer than 3 restarts"),
    ],
)
def test_a_ratio_is_said_with_its_interval_or_not_at_all(interval: Interval | None, text: str) -> None:
    assert describe_ratio(interval) == text


def test_halves_differ_when_the_gap_exceeds_the_share_of_the_larger() -> None:
    assert halves_differ(100, 89, tolerance=0.1)
    assert halves_differ(89, 100, tolerance=0.1)
    assert not halves_differ(100, 91, tolerance=0.1)
    assert not halves_differ(0, 0, tolerance=0.1)
    assert halves_differ(0, 1, tolerance=0.1)


def test_littles_law_holds_for_numbers_that_agree_and_shows_those_that_do_not() -> None:
    assert littles_law_error(100, 0.1, users=10) == 0
    assert littles_law_error(20, 0.1, users=10, think_s=0.4) == 0
    assert littles_law_error(90, 0.1, users=10) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="users"):
        littles_law_error(1, 1, users=0)


@pytest.mark.parametrize(("response_s", "users", "window_s"), [(0.5, 1, 3.2), (0.1, 20, 2.04), (2.0, 200, 9.0)])
def test_littles_law_is_off_by_the_edges_of_the_window_as_far_as_chance_goes(
    response_s: float, users: int, window_s: float
) -> None:
    """Users without a queue, each at a random place of its first latency when the window begins."""
    chance = random.Random(1)

    def missed_by() -> float:
        ends_s = (chance.uniform(0, response_s) for _ in range(users))
        completed = sum(1 + int((window_s - end_s) / response_s) for end_s in ends_s)
        return littles_law_error(completed / window_s, response_s, users)

    found = sorted(missed_by() for _ in range(1000))
    noise = littles_law_noise(response_s, users, window_s)
    assert noise / 2 < found[-1]
    assert found[-3] <= noise  # three of a thousand lie beyond three standard deviations


@pytest.mark.parametrize("left", [FAST, FAST[:3], SLOW])
def test_the_bootstrap_is_scipys(left: list[float]) -> None:
    def ratio(x: Any, y: Any, axis: int = -1) -> Any:
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    ours = ratio_interval(left, SLOW, seed=3)
    how: dict[str, Any] = {"method": "percentile", "n_resamples": 9999, "vectorized": True}
    theirs = bootstrap((left, SLOW), ratio, rng=np.random.default_rng(3), **how).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_importing_stats_and_theory_does_not_load_scipy_or_numpy() -> None:
    program = "import sys, bench.analyse.stats, bench.analyse.queueing; print({'numpy', 'scipy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
