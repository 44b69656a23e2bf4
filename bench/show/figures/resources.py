"""The figures of what a server takes: threads, memory, CPU per request."""

from collections.abc import Sequence

from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.show.figures.axes import label_ends, scale_users, scale_values
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    CPU,
    MEMORY,
    THREADS,
    THROUGHPUT,
    at_load,
    draw_curve,
    end_of,
    extremes_of,
    holes_in,
    levels_of,
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
    """Throughput, threads and resident memory of the server against users, side by side."""
    rows = rows_for(run, request)
    measures = [THROUGHPUT, THREADS, MEMORY]
    if len(levels_of(rows)) < 2:
        return bars(rows, measures, threads_title(rows))
    lines = series_of(rows)
    figure, axes = new_page(
        threads_title(rows),
        subtitle_of(rows, "throughput, and what it takes, against users"),
        panels=3,
        labels=[series.name for series in lines],
        notes=[KEY, *holes_in(rows)],
        panel_in=3.1,
        left_in=0.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, measures, strict=True):
        scale_users(ax, levels_of(rows))
        scale_values(ax, [value for row in rows for value in measure.restarts(row)], log=measure.log)
        ax.set_title(measure.label, color="#555555", size=9)
        for series in lines:
            draw_curve(ax, series, measure)
        ax.set_xlabel("users")
    ends = [(series, end) for series in lines if (end := end_of(series, MEMORY))]
    label_ends(axes[-1], [end._replace(text=series.name) for series, end in ends])
    return figure


def threads_title(rows: Sequence[Row]) -> str:
    """Threads and memory of the stack with the most and of the one with the fewest threads."""
    extremes = extremes_of(top_of(rows, THREADS), THREADS)
    if not extremes:
        return "No threads were counted"
    texts = [f"{whole(THREADS.of(row))} threads and {whole(MEMORY.of(row))} MB" for row in extremes]
    pairs = [f"{row.stack} {text}" for row, text in zip(extremes, texts, strict=True)]
    return f"{at_load(extremes)} the server takes: {'; '.join(pairs)}"


@styled
def cpu_per_request(run: Run, request: str, users: int | None = None) -> Picture:
    """Throughput beside CPU time per request (S) for every stack, at the most users or at those given."""
    rows = rows_for(run, request)
    level = users or max((row.users for row in rows if row.measured), default=max(levels_of(rows)))
    rows = [row for row in rows if row.users == level]
    return bars(rows, [THROUGHPUT, CPU], cpu_title(rows))


def cpu_title(rows: Sequence[Row]) -> str:
    """The least and the most CPU per request, and the throughput that goes with each."""
    extremes = list(reversed(extremes_of(top_of(rows, CPU), CPU)))
    if not extremes:
        return "No CPU time was measured"
    texts = [
        f"{row.stack} spends {whole(CPU.of(row))} µs of CPU a request, answers {number(THROUGHPUT.of(row))}/s"
        for row in extremes
    ]
    return f"{at_load(extremes)} {'; '.join(texts)}"
