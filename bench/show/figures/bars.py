"""Draws rows as bars, one panel for each measure: the figure of rows that have one load only."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from bench.analyse.rows import Row
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import THROUGHPUT, Measure, holes_in, name_of, subtitle_of
from bench.show.figures.stack_style import GREY, INK, look_of

BAR_IN = 0.34


def bars(rows: Sequence[Row], measures: Sequence[Measure], finding: str) -> Picture:
    """Draw one panel for each measure, one bar for each row; a row without numbers has its verdict instead."""
    names = [name_of(row, rows) for row in rows]
    figure, axes = new_page(
        finding,
        subtitle_of(rows, rows[0].load_text),
        panels=len(measures),
        notes=[
            "Bars: medians. Hollow: degraded. Dots: single restarts. Black: interval."
            + (" Grey tick: the limit." if THROUGHPUT in measures else ""),
            *holes_in(rows),
        ],
        panel_in=BAR_IN * len(rows) + 0.2,
        left_in=0.4 + 0.075 * max(map(len, names)),
        gap_in=0.35,
        heading_in=0.32,
        axis_in=0.1,
    )
    for ax, measure in zip(axes, measures, strict=True):
        _bar_panel(ax, rows, measure)
    axes[0].set_yticks(range(len(rows)), names)
    for tick, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        tick.set(color=look_of(row.stack).text_colour, parse_math=False)
    return figure


def _bar_panel(ax: Axes, rows: Sequence[Row], measure: Measure) -> None:
    limits = [row.median("limit_per_s") for row in rows if measure is THROUGHPUT]
    reach = max([value for row in rows for value in measure.restarts(row)], default=1.0) or 1.0
    reach = max([reach, *(limit for limit in limits if limit and limit < 2.5 * reach)])
    ax.set(xlim=(0, reach * 1.25), ylim=(len(rows) - 0.4, -0.6), yticks=[])
    ax.set_title(measure.label, color="#555555", size=9)
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xticks([])
    for place, row in enumerate(rows):
        _bar(ax, place, row, measure)
        end = max(measure.restarts(row), default=0.0)
        limit = row.median("limit_per_s") if measure is THROUGHPUT else None
        if row.measured and limit and limit <= reach:
            ax.plot([limit] * 2, [place - 0.38, place + 0.38], color=GREY, linewidth=1.2, label=f"limit-{row.stack}")
            end = max(end, limit)
        _bar_text(ax, end, place, row, measure)


def _bar(ax: Axes, place: int, row: Row, measure: Measure) -> None:
    value, colour = measure.of(row), look_of(row.stack).colour
    if value is None:
        return
    face = "white" if row.is_hollow else colour
    ax.barh(place, value, height=0.62, facecolor=face, edgecolor=colour, linewidth=1.2)
    restarts = measure.restarts(row)
    ax.plot(restarts, [place + 0.2] * len(restarts), ".", color=INK, alpha=0.35, markersize=3.5, markeredgewidth=0)
    if bounds := measure.bounds(row):
        ax.plot(bounds, [place] * 2, color=INK, linewidth=1.1, solid_capstyle="butt")


def _bar_text(ax: Axes, end: float, place: int, row: Row, measure: Measure) -> None:
    """Write the number beside the bar; the verdict if there is no number."""
    value = measure.of(row)
    how: dict[str, Any] = {"color": GREY, "style": "italic"} if value is None else {"color": INK}
    text = row.verdict if value is None and not row.measured else measure.text(value)
    ax.annotate(text, (end, place), (6, 0), textcoords="offset points", size=9, va="center", parse_math=False, **how)
