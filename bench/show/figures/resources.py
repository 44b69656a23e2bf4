"""Draws what a server takes: threads, memory, CPU per request."""

from collections.abc import Sequence

from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.show.figures.axes import label_ends
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    CPU,
    MEMORY,
    THREADS,
    THROUGHPUT,
    at_load,
    draw_panel,
    end_of,
    extremes_of,
    holes_in,
    levels_of,
    name_of,
    rows_for,
    series_of,
    subtitle_of,
    top_of,
)
from bench.show.figures.stack_style import styled
from bench.show.figures.throughput import KEY
from bench.show.tables.formatting import number, whole


@styled
def threads_and_memory(run: Run, request: str) -> Picture:
    """Draw throughput, threads and resident memory of the server against users, side by side."""
    rows = rows_for(run, request)
    measures = [THROUGHPUT, THREADS, MEMORY]
    if len(levels_of(rows)) < 2:
        return bars(rows, measures, _threads_title(rows))
    lines = series_of(rows)
    figure, axes = new_page(
        _threads_title(rows),
        subtitle_of(rows, "throughput, and what it takes, against users"),
        panels=3,
        labels=[series.name for series in lines],
        notes=[KEY, *holes_in(rows)],
        panel_in=3.1,
        left_in=0.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, measures, strict=True):
        draw_panel(ax, lines, measure, levels_of(rows))
        ax.set_xlabel("users")
    label_ends(axes[-1], [end for series in lines for end in end_of(series, MEMORY, text="{name}")])
    return figure


def _threads_title(rows: Sequence[Row]) -> str:
    """Compare the stack with the most and the one with the fewest threads."""
    extremes = extremes_of(top_of(rows, THREADS), THREADS)
    texts = [
        f"{name_of(row, rows)} {whole(THREADS.of(row))} threads and {whole(MEMORY.of(row))} MB" for row in extremes
    ]
    return f"{at_load(extremes)} the server takes: {'; '.join(texts)}" if texts else "No threads were counted"


@styled
def cpu_per_request(run: Run, request: str, users: int | None = None) -> Picture:
    """Draw throughput beside CPU time per request (S) for every stack, at the most users or at those given."""
    rows = rows_for(run, request)
    level = users or max((row.users for row in rows if row.measured), default=max(levels_of(rows)))
    rows = [row for row in rows if row.users == level]
    return bars(rows, [THROUGHPUT, CPU], _cpu_title(rows))


def _cpu_title(rows: Sequence[Row]) -> str:
    """Compare the least and the most CPU per request, and the throughput that goes with each."""
    extremes = extremes_of(top_of(rows, CPU), CPU)[::-1]
    texts = [
        f"{name_of(row, rows)} spends {whole(CPU.of(row))} µs of CPU a request, answers {number(THROUGHPUT.of(row))}/s"
        for row in extremes
    ]
    return f"{at_load(extremes)} {'; '.join(texts)}" if texts else "No CPU time was measured"
