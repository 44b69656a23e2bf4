"""Draws what a request takes as the database is further away: the server's CPU, and the median time of an answer."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.model.stacks import split_distance, split_name
from bench.show.figures.axes import label_ends, scale_values
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    CPU,
    Measure,
    Series,
    at_load,
    draw_curve,
    end_of,
    holes_in,
    levels_of,
    rows_for,
    subtitle_of,
)
from bench.show.figures.stack_style import look_of, styled
from bench.show.tables.formatting import number

P50 = Measure("latency_us.p50", 1e-3, "median time of an answer, ms", number, log=False)
NOTE = (
    "Markers: medians over restarts, bars their intervals. Hollow: degraded. Each answer of the database comes this "
    "much later; on the right, what is added for each ms is how many answers a request waits for in a row."
)


def is_at_distances(rows: Sequence[Row]) -> bool:
    """Return whether some stack was measured with its database at several distances."""
    measured = {split_distance(row.stack) for row in rows if row.measured}
    return len(measured) > len({name for name, _ in measured})


@styled
def against_distance(run: Run, request: str) -> Picture:
    """Draw CPU per request at the most users and median latency at the fewest against the distance of the database."""
    rows = rows_for(run, request)
    busy, idle = _lines(rows, max(levels_of(rows))), _lines(rows, min(levels_of(rows)))
    figure, axes = new_page(
        _finding(idle),
        subtitle_of(rows, "the database further and further away"),
        panels=2,
        labels=[line.name for line in idle],
        notes=[NOTE, *holes_in(rows)],
        panel_in=3.1,
        left_in=0.6,
        width_in=11.5,
    )
    _panel(axes[0], busy, CPU)
    _panel(axes[1], idle, P50)
    label_ends(axes[1], [end for line in idle for end in end_of(line, P50, distance_ms, "{name}")])
    return figure


def _panel(ax: Axes, lines: Sequence[Series], measure: Measure) -> None:
    """Draw one measure of all lines against the distance."""
    rows = [row for line in lines for row in line.rows]
    scale_values(ax, [value for row in rows for value in measure.restarts(row)], log=False)
    ax.set_xticks(sorted({distance_ms(row) for row in rows}))
    ax.set_xlabel("distance of the database, ms")
    ax.set_title(f"{measure.label}, {rows[0].load_text}", color="#555555", size=9)
    for line in lines:
        draw_curve(ax, line, measure, distance_ms)


def distance_ms(row: Row) -> int:
    """Return how many ms away the database of the row's stack is."""
    return split_distance(row.stack)[1]


def _lines(rows: Sequence[Row], users: int) -> list[Series]:
    """Return one Series for each stack without its distance, the nearest database first."""
    lines: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if row.users == users), key=distance_ms):
        lines.setdefault(split_distance(row.stack)[0], []).append(row)
    return [Series(name, look_of(members[-1].stack), tuple(members)) for name, members in lines.items()]


def _finding(lines: Sequence[Series]) -> str:
    """Say of each lab how much later it answers with the database as far away as it was, the soonest first."""
    several = [line.measured for line in lines if len(line.measured) > 1]
    ends = [(rows[0], rows[-1]) for rows in several if P50.of(rows[0]) and P50.of(rows[-1])]
    ends.sort(key=lambda pair: P50.of(pair[1]) or 0.0)
    texts = [
        f"{split_name(near.stack).lab} in {number(P50.of(near))} and {number(P50.of(far))} ms" for near, far in ends
    ]
    return (
        f"{at_load(ends[-1])} with the database {distance_ms(ends[-1][0])} and {distance_ms(ends[-1][1])} ms away: "
        f"{', '.join(texts)}"
        if ends
        else "No time of an answer was measured"
    )
