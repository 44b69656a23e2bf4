"""A stack looks the same everywhere and unlike every other."""

from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

from bench.model.stacks import STACKS
from bench.show.figures.stack_style import look_of


def test_looks_of_all_stacks_differ_and_do_not_move() -> None:
    looks = {stack.name: look_of(stack.name) for stack in STACKS}
    assert len({look.colour for look in looks.values()}) == len(looks)
    assert looks == {stack.name: look_of(stack.name) for stack in reversed(STACKS)}
    for (_, left), (_, right) in combinations(looks.items(), 2):
        assert np.abs(np.subtract(to_rgb(left.colour), to_rgb(right.colour))).max() > 0.03


def test_stacks_of_one_lab_differ_in_marker_too() -> None:
    budgets = ("sync", "gthread:1", "gthread:8", "gthread:64", "gthread:400", "gthread:1000", "gthread:8x2")
    markers = [look_of(f"sync_wsgi@{budget}").marker for budget in budgets]
    assert len(set(markers)) == len(budgets)


def test_label_colours_can_be_read_on_white() -> None:
    for stack in STACKS:
        red, green, blue = (
            (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
            for c in to_rgb(look_of(stack.name).text_colour)
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 1.05 / (luminance + 0.05) >= 3, stack.name


def test_unknown_lab_still_has_a_look() -> None:
    assert look_of("gone@nowhere:9x9").colour.startswith("#")
