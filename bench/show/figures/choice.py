"""Draws a choice of stack: predicted requests/s against users in flight, with measured points over the lines."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose

import numpy as np
from matplotlib.axes import Axes

from bench.analyse.rows import Row, rows_of
from bench.analyse.stack_choice import MOST_USERS, SEVEN, Case, Option, Price, option_of, options_of
from bench.model.run_record import Run
from bench.show.choice_text import describe_case, headline
from bench.show.figures.axes import End, label_ends, scale_users, scale_values
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import THROUGHPUT, draw_markers, is_plainly_closed
from bench.show.figures.stack_style import GREY, look_of, styled

POINTS = 120
WIDTHS = (100, 200, 500, 1_000, 2_000, 5_000, MOST_USERS)
"""Where the axis of users may end."""
KEY = (
    "Lines: predicted from the wait, the CPU a request takes and the pool (mean value analysis); a line ends where the "
    "memory does. Dashed upright: the users of this case."
)
POINTS_KEY = (
    "Points: measured where as many were let in at once. No line is fitted to them: lines take prices from runs, no "
    "throughput. Hollow: degraded."
)


@styled
def curves(case: Case, prices: Sequence[Price], runs: Sequence[Run] = ()) -> Picture:
    """Draw one line for each stack to choose from; points where a run measured this case at some number of users."""
    options, rows = options_of(case, prices), measured_of(case, prices, runs)
    levels = _levels(case)
    lines = {option.stack: _fitting(case, price, levels) for option, price in zip(options, prices, strict=True)}
    figure, (ax,) = new_page(
        headline(options),
        describe_case(case),
        labels=list(lines),
        notes=[KEY, *([POINTS_KEY] if rows else []), *_too_large(lines)],
    )
    _scale(ax, case, levels)
    values = [option.throughput_per_s for line in lines.values() for option in line.values()]
    scale_values(ax, values + [value for row in rows for value in row.values(THROUGHPUT.path)], log=False)
    # The stack that asks least comes last and lies on top: where lines coincide, it is the one to take.
    label_ends(ax, [_draw_line(ax, stack, line) for stack, line in reversed(lines.items()) if line])
    for row in rows:
        draw_markers(ax, row, [row.users], [row.median(THROUGHPUT.path) or 0.0])
    return figure


def _fitting(case: Case, price: Price, levels: Sequence[int]) -> dict[int, Option]:
    """Return {users: option} for each number of users that fits into the memory."""
    options = {users: option_of(replace(case, users=users), price) for users in levels}
    return {users: option for users, option in options.items() if option.fits}


def _too_large(lines: Mapping[str, Mapping[int, Option]]) -> list[str]:
    stacks = [stack for stack, line in lines.items() if not line]
    return [f"Not drawn, too large for the memory even with one user: {', '.join(stacks)}."] if stacks else []


def measured_of(case: Case, prices: Sequence[Price], runs: Sequence[Run]) -> list[Row]:
    """Return the rows of the runs that differ from the case in nothing but the number of users."""
    middleware = SEVEN if case.with_seven else ()
    stacks = {option.stack for option in options_of(case, prices) if not option.slots}
    return [
        row
        for run in runs
        for row in rows_of(run)
        if row.measured
        and is_plainly_closed(row)
        and (row.stack in stacks or _lets_in_as_many(case, row))
        and row.middleware == middleware
        and isclose(row.io_wait_s, case.wait_s)
        and not case.own_cpu_s
    ]


def _lets_in_as_many(case: Case, row: Row) -> bool:
    """Return whether the row is a thread pool that lets in as many users at once as the case's largest one would."""
    is_pool = row.slots is not None and row.stack == f"sync_wsgi@gthread:{row.slots}"
    return is_pool and min(row.slots or 0, row.users) == min(case.threads, row.users)


def _levels(case: Case) -> list[int]:
    """Return users from 1 to at least twice the case's, evenly on a logarithmic axis; the case's own among them."""
    most = next((width for width in WIDTHS if width >= 2 * case.users), max(MOST_USERS, case.users))
    return sorted({*(round(float(level)) for level in np.geomspace(1, most, POINTS)), case.users})


def _scale(ax: Axes, case: Case, levels: Sequence[int]) -> None:
    decades = [level for level in (1, 10, 100, 1_000, 10_000) if level <= levels[-1]]
    scale_users(ax, sorted({*decades, case.users, levels[-1]}))
    ax.set_xlabel("users in flight")
    ax.set_ylabel(THROUGHPUT.label)
    ax.axvline(case.users, color=GREY, linestyle="--", linewidth=0.9, zorder=1)


def _draw_line(ax: Axes, stack: str, line: Mapping[int, Option]) -> End:
    look = look_of(stack)
    drawn = [(users, option.throughput_per_s) for users, option in line.items()]
    ax.plot(*zip(*drawn, strict=True), color=look.colour, linestyle=look.line, label=f"predicted-{stack}")
    return End(*drawn[-1], stack, look.text_colour)
