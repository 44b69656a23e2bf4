"""A stack looks the same everywhere and unlike every other."""

from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

from bench.model.stacks import STACKS
from bench.show.figures.stack_style import Look, look_of


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


ENVIRONMENTS = ("py312", "py313", "py313t", "py313t_gil", "py314t", "django52", "django61", "branch", "pypy")


def test_environments_of_one_stack_differ_in_grey_too() -> None:
    for stack in ("sync_wsgi@gthread:8", "async_asgi@uvicorn"):
        looks = [look_of(stack), *(look_of(f"{stack}%{name}") for name in ENVIRONMENTS)]
        assert all((look.marker, look.line) != (looks[0].marker, looks[0].line) for look in looks[1:])
        for left, right in combinations(looks, 2):
            assert (left.marker, left.line) != (right.marker, right.line) or _apart_in_grey(left, right)


def _apart_in_grey(left: Look, right: Look) -> bool:
    bright, dark = (np.dot((0.299, 0.587, 0.114), to_rgb(look.colour)) for look in (left, right))
    return bool(abs(bright - dark) > 0.03)


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
