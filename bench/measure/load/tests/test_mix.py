"""Several requests as one load: how often each is sent, and what counts as its answer."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from bench.measure.load.mix import MOST_TURNS, Mix, MixedRequest, read_mix


def test_each_request_comes_as_often_as_its_weight_says_and_spread_evenly() -> None:
    often, seldom = MixedRequest("/often", 3.0), MixedRequest("/seldom", 1.0)
    order = Mix([often, seldom]).round()
    assert Counter(order) == {often: 150, seldom: 50}
    assert len(order) == MOST_TURNS
    behind = [count - place / 4 for place, count in enumerate(accumulate(one == seldom for one in order), 1)]
    assert max(map(abs, behind)) <= 1


def test_a_request_that_is_nearly_never_sent_has_one_turn_in_a_round() -> None:
    assert Counter(Mix([MixedRequest("/", 1e6), MixedRequest("/rare", 1.0)]).round())[MixedRequest("/rare", 1.0)] == 1


def test_a_mix_is_read_as_it_was_written_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "mix.json"
    mix = Mix([MixedRequest("/", 0.5, "HEAD", 3, 9)], [("Cookie", "session=secret")])
    mix.write(file)
    assert read_mix(file) == mix
    assert file.stat().st_mode & 0o077 == 0
    assert "secret" not in repr(mix)


@pytest.mark.parametrize(("length", "is_right"), [(2, False), (3, True), (9, True), (10, False)])
def test_an_answer_of_another_length_is_not_right(length: int, is_right: bool) -> None:
    assert MixedRequest("/", least_bytes=3, most_bytes=9).is_right(b"x" * length) == is_right
    assert MixedRequest("/").is_right(b"x" * length)
