"""The figure of a decision: what each stack would answer against users in flight, with measured points over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isclose

import numpy as np
from matplotlib.axes import Axes

from bench.choosing import MOST_USERS, SEVEN, Case, Option, Price, option_of, options_of
from bench.choosing_words import described, headline
from bench.looks import GREY, look_of, styled
from bench.page import (
    THROUGHPUT,
    End,
    Picture,
    draw_markers,
    is_plainly_closed,
    label_ends,
    new_page,
    scale_users,
    scale_values,
)
from bench.record import Run
from bench.summary import Row, rows_of

POINTS = 120
WIDTHS = (100, 200, 500, 1_000, 2_000, 5_000, MOST_USERS)
"""Users to which the axis may reach."""
KEY = (
    "Lines: predicted from the wait, the CPU a request takes and the pool (mean value analysis); a line ends where the "
    "memory does. Dashed: the users of this case."
)
POINTS_KEY = "Points: measured. The lines are not fitted to them: of runs they take CPU times alone. Hollow: degraded."


@styled
def curves(case: Case, prices: Sequence[Price], runs: Sequence[Run] = ()) -> Picture:
    """One line for each stack to choose from; points where a run measured just this case at some number of users."""
    options, rows = options_of(case, prices), measured_of(case, prices, runs)
    figure, (ax,) = new_page(
        headline(options),
        described(case),
        labels=[option.stack for option in options],
        notes=[KEY, *([POINTS_KEY] if rows else [])],
    )
    levels = _levels(case)
    _scale(ax, case, levels)
    drawn = [[option_of(replace(case, users=users), price) for users in levels] for price in prices]
    values = [option.throughput_per_s for line in drawn for option in line]
    scale_values(ax, values + [value for row in rows for value in row.values(THROUGHPUT.path)], log=False)
    label_ends(ax, [_draw_line(ax, levels, line, option) for line, option in zip(drawn, options, strict=True)])
    for row in rows:
        draw_markers(ax, row, [row.users], [row.median(THROUGHPUT.path) or 0.0])
    return figure


def measured_of(case: Case, prices: Sequence[Price], runs: Sequence[Run]) -> list[Row]:
    """Rows of the runs that differ from the case in nothing but the number of users."""
    middleware = SEVEN if case.with_seven else ()
    crowd = replace(case, users=max(case.users, case.threads))
    stacks = {option.stack for option in options_of(crowd, prices)}
    return [
        row
        for run in runs
        for row in rows_of(run)
        if row.measured
        and is_plainly_closed(row)
        and row.stack in stacks
        and row.middleware == middleware
        and isclose(row.io_wait_s, case.wait_s)
        and not case.own_cpu_s
    ]


def _levels(case: Case) -> list[int]:
    """Users from 1 to at least twice those of the case, evenly on a logarithmic axis; the case's own among them."""
    most = next((width for width in WIDTHS if width >= 2 * case.users), max(MOST_USERS, case.users))
    return sorted({*(round(float(level)) for level in np.geomspace(1, most, POINTS)), case.users})


def _scale(ax: Axes, case: Case, levels: Sequence[int]) -> None:
    decades = [level for level in (1, 10, 100, 1_000, 10_000) if level <= levels[-1]]
    scale_users(ax, sorted({*decades, case.users, levels[-1]}))
    ax.set_xlabel("users in flight")
    ax.set_ylabel(THROUGHPUT.label)
    ax.axvline(case.users, color=GREY, linestyle="--", linewidth=0.9, zorder=1)


def _draw_line(ax: Axes, levels: Sequence[int], line: Sequence[Option], option: Option) -> End:
    look = look_of(option.stack)
    fitting = [(users, it.throughput_per_s) for users, it in zip(levels, line, strict=True) if it.fits] or [(1, 0.0)]
    ax.plot(*zip(*fitting, strict=True), color=look.colour, linestyle=look.line, label=f"predicted-{option.stack}")
    return End(*fitting[-1], option.stack, look.text_colour)
