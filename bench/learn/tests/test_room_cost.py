"""What the room costs: how it is judged, how it is measured, and what is kept of it."""

import os
from dataclasses import replace

import pytest

from bench.learn.room import cost
from bench.learn.room.cost import LEAST_FRAMES, Cost
from bench.measure.tests.processes import assert_nothing_is_left

ALONE = [1000.0, 1100.0, 900.0, 1050.0, 950.0]


def found(*shares: float) -> Cost:
    watched = [share * alone for share, alone in zip(shares, ALONE, strict=True)]
    return Cost({}, "async_asgi@uvicorn", 50, watched, ALONE, 500, 60.0)


def test_a_pair_is_compared_with_itself_however_fast_the_machine_is_meanwhile() -> None:
    assert found(0.99, 0.99, 0.99, 0.99, 0.99).ratio.low == pytest.approx(0.99)


def test_a_cost_is_small_only_if_its_whole_interval_is() -> None:
    assert found(0.98, 0.99, 0.985, 1.0, 0.99).is_small
    assert not found(0.96, 0.99, 1.0, 1.0, 0.99).is_small
    assert not found(0.95, 0.95, 0.95, 0.95, 0.95).is_small


def test_the_text_has_the_ratio_with_its_interval_and_the_frames() -> None:
    assert (
        "answers 0.990 times (0.980 to 1.000) as much watched as alone: 5 pairs" in found(0.98, 0.99, 0.985, 1, 1).text
    )
    assert "500 dots 60 times a second" in found(1, 1, 1, 1, 1).text


def test_pairs_are_added_to_those_kept_of_the_same_machine_and_to_no_others() -> None:
    before, now = found(0.97, 0.98, 0.99, 1.0, 1.0), found(0.95, 0.96, 0.97, 1.0, 1.0)
    both = now.beside(replace(before, machine={"load_average_before": [9.0]}))
    assert (both.watched_per_s, both.alone_per_s) == (before.watched_per_s + now.watched_per_s, ALONE + ALONE)
    assert now.beside(replace(before, machine={"cpu": "another"})) == now
    assert now.beside(replace(before, visitors=51)) == now


def test_what_is_kept_costs_less_than_three_per_cent_and_draws_enough() -> None:
    kept = cost.load_cost()
    assert kept.is_small
    assert kept.frames_per_s >= LEAST_FRAMES


@pytest.mark.live
def test_both_servers_of_a_pair_answer_and_nothing_is_left(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SLICE_S", 0.5)
    cores = os.sched_getaffinity(0)
    rates = cost.measure_pair(1)
    assert min(rates["watched"], rates["alone"]) > 0
    assert os.sched_getaffinity(0) == cores
    assert_nothing_is_left(mark)
