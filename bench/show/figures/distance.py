"""Draws what a request takes as the database is further away: the server's CPU, and the median time of an answer."""

from collections.abc import Sequence

from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.model.stacks import split_distance
from bench.show.figures.axes import label_ends, scale_values
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    CPU,
    Measure,
    Series,
    at_load,
    draw_curve,
    end_of,
    extremes_of,
    holes_in,
    rows_for,
    subtitle_of,
    top_of,
)
from bench.show.figures.stack_style import look_of, styled
from bench.show.tables.formatting import number, whole

P50 = Measure("latency_us.p50", 1e-3, "median time of an answer, ms", number, log=False)
NOTE = (
    "Markers: medians over restarts, bars their intervals. Each answer of the database comes this much later, so the "
    "slope on the right is how many answers a request waits for."
)


def is_at_distances(rows: Sequence[Row]) -> bool:
    """Return whether some stack was measured with its database at several distances."""
    measured = {split_distance(row.stack) for row in rows if row.measured}
    return len(measured) > len({name for name, _ in measured})


@styled
def against_distance(run: Run, request: str) -> Picture:
    """Draw CPU per request and median latency at the most users against the database's distance, a line a stack."""
    rows = top_of(rows_for(run, request), CPU)
    lines = _lines(rows)
    figure, axes = new_page(
        _finding(lines),
        subtitle_of(rows, f"{rows[0].load_text}, the database further and further away"),
        panels=2,
        labels=[line.name for line in lines],
        notes=[NOTE, *holes_in(rows_for(run, request))],
        panel_in=3.1,
        left_in=0.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, (CPU, P50), strict=True):
        scale_values(ax, [value for row in rows for value in measure.restarts(row)], log=False)
        ax.set_xticks(sorted({distance_ms(row) for row in rows}))
        ax.set_xlabel("distance of the database, ms")
        ax.set_title(measure.label, color="#555555", size=9)
        for line in lines:
            draw_curve(ax, line, measure, distance_ms)
    label_ends(axes[-1], [end for line in lines for end in end_of(line, P50, distance_ms, "{name}")])
    return figure


def distance_ms(row: Row) -> int:
    """Return how many ms away the database of the row's stack is."""
    return split_distance(row.stack)[1]


def _lines(rows: Sequence[Row]) -> list[Series]:
    """Return one Series for each stack without its distance, from the nearest database to the furthest."""
    lines: dict[str, list[Row]] = {}
    for row in sorted(rows, key=distance_ms):
        lines.setdefault(split_distance(row.stack)[0], []).append(row)
    return [Series(name, look_of(name), tuple(members)) for name, members in lines.items()]


def _finding(lines: Sequence[Series]) -> str:
    """Say of the stacks with the most and the least CPU, with the database nearest, how their answers get later."""
    several = [line for line in lines if len(line.rows) > 1]
    nearest = extremes_of([line.rows[0] for line in several], CPU)[::-1]
    furthest = {line.rows[0].stack: line.rows[-1] for line in several}
    texts = [
        f"{split_distance(row.stack)[0]} takes {whole(CPU.of(row))} µs of CPU and {number(P50.of(row))} ms, "
        f"{number(P50.of(furthest[row.stack]))} ms with the database {distance_ms(furthest[row.stack])} ms away"
        for row in nearest
    ]
    return f"{at_load(nearest)} {'; '.join(texts)}" if texts else "No CPU time was measured"
