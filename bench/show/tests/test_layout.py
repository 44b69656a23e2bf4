"""The page: pictures that can be read by anyone, labels that do not touch."""

import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Annotation, Text

from bench.model.tests import runs
from bench.show.figures import throughput
from bench.show.figures.axes import apart, scale_values, spread
from bench.show.figures.layout import new_page

WAIT = "wait?ms=100"


def test_svg_is_named_for_those_who_cannot_see_it_and_its_ids_can_be_kept_apart() -> None:
    figure = throughput.throughput_vs_users(runs.sweep(), WAIT)
    assert 'role="img"' in figure.svg()
    assert f'aria-label="{figure.finding}"' in figure.svg()
    ids = set(re.findall(r'id="([^"]+)"', figure.svg("a-")))
    assert ids
    assert all(name.startswith("a-") for name in ids)
    assert {link[1:] for link in re.findall(r'href="([^"]+)"', figure.svg("a-"))} <= ids


@pytest.mark.parametrize("positions", [[5.0, 5.0, 5.0], [0.0, 1.0, 100.0], [99.0, 98.0, 97.0, 3.0], [50.0], []])
def test_spread_labels_do_not_touch_and_stay_inside(positions: list[float]) -> None:
    moved = spread(positions, 10, 0, 100)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(sorted(moved)))
    assert all(-1e-9 <= position <= 100 + 1e-9 for position in moved)
    assert np.argsort(moved, kind="stable").tolist() == np.argsort(positions, kind="stable").tolist()


def test_spread_leaves_alone_what_has_room_and_shrinks_the_gap_where_there_is_none() -> None:
    assert spread([10, 30, 50], 10) == [10, 30, 50]
    assert spread([5, 5, 5], 10, 0, 10) == [0, 5, 10]


def test_of_labels_that_would_touch_the_last_stays_and_those_with_room() -> None:
    assert apart([0.0, 1.0, 2.0, 9.0, 10.0], 2.0) == {0, 2, 4}
    assert apart([0.0, 5.0], 5.0) == {0, 1}


@pytest.mark.parametrize(("most", "scale"), [(19.0, "linear"), (20.0, "log")])
def test_values_are_drawn_on_a_log_axis_from_a_factor_of_20_on(most: float, scale: str) -> None:
    _, (ax,) = new_page("a finding", "of what")
    scale_values(ax, [0.0, 1.0, most])
    assert ax.get_yscale() == scale


def test_labels_at_line_ends_do_not_overlap() -> None:
    stacks = [f"sync_wsgi@gthread:{threads}" for threads in (400, 401, 402, 403, 404, 405, 406, 407)]
    figure = throughput.throughput_vs_users(runs.sweep(stacks), WAIT)
    found = [text for text in figure.findobj(Annotation) if "gthread" in text.get_text()]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in found]  # without its leader
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert len(boxes) == len(stacks)
    assert all(below[1] <= above[0] for below, above in pairwise(tops))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
