"""Draws throughput against users, with the limits that theory allows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.analyse import queueing
from bench.analyse.plateaus import plateaus_of
from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.show.figures.axes import label_ends, scale_users, scale_values
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    THROUGHPUT,
    Series,
    at_load,
    best_of_each_lab,
    draw_curve,
    end_of,
    holes_in,
    levels_of,
    rows_for,
    series_of,
    subtitle_of,
    top_of,
)
from bench.show.figures.stack_style import GREY, PALE, styled
from bench.show.tables.formatting import number, percent

KEY = "Hollow: degraded. Faint dots: single restarts. Vertical bars: interval of the median."
PLATEAU_KEY = "Beside the last number: what the plateau is limited by, from samples."
WAIT_KEY = "Grey: N/L, what N users can ask for when a request only waits. "
LIMITS_KEY = (
    "Dotted: the stack's ceiling "
    "min(W/(L+S), 1/S) with W threads and measured CPU time S. Thin line: predicted from L, S and W alone "
    "(mean value analysis)."
)


@styled
def throughput_vs_users(run: Run, request: str) -> Picture:
    """Draw requests/s against users for every stack, with the limits and the prediction; bars for one level."""
    rows = rows_for(run, request)
    if len(levels_of(rows)) < 2:
        return bars(rows, [THROUGHPUT], throughput_title(rows))
    lines = series_of(rows)
    limiters = {(it.stack, it.middleware): it.limiter for it in plateaus_of(run) if it.request == request}
    ends = [end for series in lines for end in end_of(series, THROUGHPUT, text=_label(series, limiters))]
    figure, (ax,) = new_page(
        throughput_title(rows),
        subtitle_of(rows, "closed loop, requests/s against users"),
        labels=[end.text for end in ends],
        notes=[
            KEY,
            (WAIT_KEY if waits_s(rows) else "") + LIMITS_KEY,
            *([PLATEAU_KEY] if any(limiters.values()) else []),
            *holes_in(rows),
        ],
        heading_in=0.12,
    )
    scale_users(ax, levels_of(rows))
    # In proportion is a straight line where both axes are of one kind.
    is_log = ax.get_xscale() == "log" or None
    scale_values(ax, [value for row in rows for value in row.values(THROUGHPUT.path)], log=is_log)
    for series in lines:
        _theory(ax, series, levels_of(rows))
        draw_curve(ax, series, THROUGHPUT)
    _ideals(ax, rows)
    ax.set_ylabel(THROUGHPUT.label)
    label_ends(ax, ends)
    return figure


def _label(series: Series, limiters: Mapping[tuple[str, tuple[str, ...]], str | None]) -> str:
    """Return the label of a line's end, with the resource that limits its plateau."""
    limiter = limiters.get((series.rows[0].stack, series.rows[0].middleware))
    return f"{{name}}  {{value}}, {limiter}" if limiter else "{name}  {value}"


def throughput_title(rows: Sequence[Row]) -> str:
    """Name the most requests/s that each lab reaches at the most users, and what the stack is limited by."""
    best = best_of_each_lab(top_of(rows, THROUGHPUT), THROUGHPUT)
    if not best:
        return "No throughput was measured"
    most, *others = best
    texts = [
        f"{most.stack} answers {number(THROUGHPUT.of(most))} requests/s ({_of_limit(most)})",
        *(f"{row.stack} {number(THROUGHPUT.of(row))} ({_of_limit(row)})" for row in others),
    ]
    return f"{at_load(best)} {'; '.join(texts)}"


def _of_limit(row: Row) -> str:
    """Return the share of its limit that the row reaches, and what it is limited by, as its table says it."""
    limited = f"limited by {row.limiter}" if row.limiter else "nothing was full"
    return f"{percent(row.median('fraction_of_limit'))} of its limit, {limited}"


def waits_s(rows: Sequence[Row]) -> list[float]:
    """Return the waits of these rows that are not 0, each once, in seconds."""
    return sorted({row.io_wait_s for row in rows if row.io_wait_s > 0})


def _ideals(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw N/L for each L, named above the line where no measured point can be; the axis makes room for it."""
    waits, (first, last), (low, high) = waits_s(rows), ax.get_xlim(), ax.get_ylim()
    ideals = [levels_of(rows)[-1] / wait_s for wait_s in waits]
    high = max([high, *(min(1.15 * ideal, 2.5 * high) for ideal in ideals)])
    ax.set_ylim(low, high)
    users = np.geomspace(first, last, 200) if ax.get_xscale() == "log" else np.linspace(first, last, 200)
    for wait_s in waits:
        ax.plot(users, users / wait_s, color=PALE, linewidth=1.0, zorder=1, label="limit")
        at = min(levels_of(rows)[-1], high * wait_s) * 0.93
        ax.annotate(
            f"N/L, L = {1000 * wait_s:g} ms", (at, at / wait_s), (-9, 4), textcoords="offset points",
            size=8, color=GREY, ha="right", va="center",
        )  # fmt: skip


def _theory(ax: Axes, series: Series, levels: Sequence[int]) -> None:
    """Draw the stack's ceiling from the knee on, and its predicted curve."""
    cpu_s, row = series.cpu_s, series.rows[0]
    if not cpu_s:
        return
    known: dict[str, Any] = {"io_wait_s": row.io_wait_s, "cpu_s": cpu_s, "cores": row.cores}
    ceiling = queueing.limit_per_s(users=10**9, threads=row.slots, **known)
    knee = ceiling * (row.io_wait_s + cpu_s)
    if knee < levels[-1]:
        how: dict[str, Any] = {"color": series.look.colour, "linewidth": 1.4, "zorder": 1.5}
        ax.plot([max(knee, levels[0]), levels[-1]], [ceiling] * 2, ":", label=f"ceiling-{series.name}", **how)
    users = sorted({*levels, *(round(level) for level in np.geomspace(levels[0], levels[-1], 60))})
    points = queueing.thread_pool_curve(users, threads=row.slots, **known)
    ax.plot(
        users, [point.throughput_per_s for point in points], "-", color=series.look.colour,
        linewidth=0.9, alpha=0.55, zorder=1.5, label=f"predicted-{series.name}",
    )  # fmt: skip
