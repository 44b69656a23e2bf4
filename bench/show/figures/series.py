"""Chooses the rows of a run that make a line of a figure, and draws lines, markers and panels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.analyse.rows import Row, cores_text, rows_of
from bench.model.run_record import Run
from bench.model.stacks import split_name
from bench.show.figures.axes import End, scale_users, scale_values
from bench.show.figures.stack_style import Look, look_of
from bench.show.tables.formatting import number, whole


@dataclass(frozen=True)
class Measure:
    """A number of a trial as it is drawn: its path in Trial, its scale, its axis label, how it is written."""

    path: str
    factor: float
    label: str
    text: Callable[[float | None], str]
    log: bool | None = None

    def of(self, row: Row) -> float | None:
        """Return the median over restarts, on the drawing's scale; None where nothing was measured."""
        value = row.median(self.path)
        return None if value is None else value * self.factor + 0.0  # never -0

    def restarts(self, row: Row) -> list[float]:
        """Return the value of each measured restart, on the drawing's scale."""
        return [value * self.factor for value in row.values(self.path)]

    def bounds(self, row: Row) -> tuple[float, float] | None:
        """Return low and high of the median's interval, on the drawing's scale; None for fewer than three restarts."""
        interval = row.interval(self.path)
        return None if interval is None else (interval.low * self.factor, interval.high * self.factor)


THROUGHPUT = Measure("throughput_per_s", 1, "requests/s", number)
THREADS = Measure("server.threads_max", 1, "threads of the server", whole, log=True)
MEMORY = Measure("server.rss_bytes_max", 1e-6, "resident memory, MB", whole, log=False)
CPU = Measure("cpu_us_per_request", 1, "server CPU per request, µs", whole)


@dataclass(frozen=True)
class Series:
    """One line: a stack, under one middleware, over users."""

    name: str
    look: Look
    rows: tuple[Row, ...]

    @property
    def measured(self) -> list[Row]:
        """Return the rows with numbers."""
        return [row for row in self.rows if row.measured]

    @property
    def cpu_s(self) -> float | None:
        """Return the CPU seconds that a request takes of the server's cores, at the most users that were measured."""
        known = [row.cores_us_per_request for row in self.measured]
        return known[-1] / 1e6 if known and known[-1] is not None else None


def rows_for(run: Run, request: str) -> list[Row]:
    """Return the rows of closed loops without a rate: those that can be drawn against users."""
    return [row for row in rows_of(run) if row.request == request and is_plainly_closed(row)]


def rows_with(run: Run, request: str, measure: Measure) -> list[Row]:
    """Return the rows of one request for which some restart has the measure."""
    return [row for row in rows_of(run) if row.request == request and row.values(measure.path)]


def is_plainly_closed(row: Row) -> bool:
    """Return whether users ask as fast as they are answered: a closed loop without a rate."""
    return row.trial.users is not None and row.trial.rate_per_s is None


def series_of(rows: Sequence[Row]) -> list[Series]:
    """Return one Series for each stack, its middleware and its cores, in the order of the rows."""
    groups: dict[tuple[str, tuple[str, ...], int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.stack, row.middleware, row.given_cores), []).append(row)
    return [Series(name_of(members[0], rows), look_of(key[0]), tuple(members)) for key, members in groups.items()]


def name_of(row: Row, among: Sequence[Row]) -> str:
    """Name a row by its stack, with workload, middleware or cores where `among` has the stack with another one."""
    if len({other.request for other in among}) > 1:
        return f"{row.stack} {row.request.partition('?')[0]}"
    same = [other for other in among if other.stack == row.stack]
    cores = f", {cores_text(row.given_cores)}" if len({other.given_cores for other in same}) > 1 else ""
    if len({other.middleware for other in same}) < 2:
        return row.stack + cores
    middleware = f" + {', '.join(row.middleware)}" if row.middleware else ", no middleware"
    return row.stack + middleware + cores


def levels_of(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of users that occur, rising."""
    return sorted({row.users for row in rows})


def top_of(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Return the rows with the most users that were measured; of these the ones whose number stands, if any."""
    level = max((row.users for row in rows if row.measured), default=0)
    top = [row for row in rows if row.measured and row.users == level]
    return [row for row in top if row.stands(measure.path)] or top


def extremes_of(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Return the rows with the most and the least of a measure, the most first; one row if there is only one."""
    known = sorted((row for row in rows if row.values(measure.path)), key=lambda row: measure.of(row) or 0.0)
    return [known[-1], known[0]] if len(known) > 1 else known


def best_of_each_lab(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Return each lab's best row by a measure, the most first; of more than three labs the first and the last two."""
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: measure.of(row) or 0.0, reverse=True):
        best.setdefault(split_name(row.stack).lab, row)
    ordered = [row for row in best.values() if row.values(measure.path)]
    return ordered if len(ordered) <= 3 else [ordered[0], *ordered[-2:]]


def at_load(rows: Sequence[Row]) -> str:
    """Begin a title with `At` and the load of the first row."""
    return f"At {rows[0].load_text}"


def subtitle_of(rows: Sequence[Row], what: str) -> str:
    """Return the subtitle: request, database, what is drawn, and of how many restarts."""
    counts = sorted({len(row.measured) for row in rows} - {0}) or [0]
    restarts = " to ".join(dict.fromkeys(map(str, (counts[0], counts[-1]))))
    requests = {row.request for row in rows}
    request = rows[0].request if len(requests) == 1 else f"{len(requests)} workloads"
    on = f" on {rows[0].vendor}" if rows[0].vendor else ""
    return f"{request}{on} · {what} · medians of {restarts} restart{'' if restarts == '1' else 's'}"


def holes_in(rows: Sequence[Row]) -> list[str]:
    """Return a note that names the rows without numbers, so that a gap in a figure does not look like a choice."""
    gone: dict[str, list[Row]] = {}
    for row in rows:
        if not row.measured:
            gone.setdefault(f"{row.stack} {row.verdict}", []).append(row)
    texts = [f"{what} at {_loads_text(members)}" for what, members in gone.items()]
    return [f"Not drawn: {'; '.join(texts)}."] if texts else []


def _loads_text(rows: Sequence[Row]) -> str:
    """Join the loads, with their unit once: `200 and 400 users`, `90 % and 120 % of capacity`."""
    several = len(rows) > 1
    texts = [f"{row.users:,} users" if several and is_plainly_closed(row) else row.load_text for row in rows]
    common = [unit for unit in (" users", " requests/s", " of capacity") if all(text.endswith(unit) for text in texts)]
    unit = common[0] if common else ""
    *others, last = (text.removesuffix(unit) for text in texts)
    return (f"{', '.join(others)} and {last}" if others else last) + unit


def users_of(row: Row) -> float:
    """Return the users of a row, as a place on the x axis."""
    return row.users


def draw_medians(
    ax: Axes, series: Series, measure: Measure, x_of: Callable[[Row], float] = users_of, **how: Any
) -> None:
    """Draw a line of medians alone, broken where nothing was measured; `how` goes to matplotlib."""
    values = [measure.of(row) for row in series.rows]
    heights = [np.nan if value is None else value for value in values]
    ax.plot([x_of(row) for row in series.rows], heights, color=series.look.colour, **how)


def draw_curve(ax: Axes, series: Series, measure: Measure, x_of: Callable[[Row], float] = users_of) -> None:
    """Draw a line of medians, broken where nothing was measured, with single restarts, intervals and markers."""
    values = [measure.of(row) for row in series.rows]
    draw_medians(ax, series, measure, x_of, linestyle=series.look.line)
    _draw_spread(ax, series, measure, x_of)
    for row, value in zip(series.rows, values, strict=True):
        if value is not None:
            draw_markers(ax, row, [x_of(row)], [value], f"{x_of(row):g}")


def _draw_spread(ax: Axes, series: Series, measure: Measure, x_of: Callable[[Row], float]) -> None:
    """Draw single restarts and intervals, each as one line for all rows: an artist for each would take seconds."""
    colour = series.look.colour
    dots = [(x_of(row), value) for row in series.rows for value in measure.restarts(row)]
    bounds = [(x_of(row), found) for row in series.rows if (found := measure.bounds(row))]
    bars = [point for x, (low, high) in bounds for point in ((x, low), (x, high), (np.nan, np.nan))]
    for points, how in ((dots, {"marker": ".", "ls": "", "alpha": 0.35, "ms": 4}), (bars, {"lw": 1.1})):
        if points:
            ax.plot(*zip(*points, strict=True), color=colour, **how)


def draw_markers(ax: Axes, row: Row, xs: Sequence[float], ys: Sequence[float], load: str | None = None) -> None:
    """Draw a row's markers in its stack's look; hollow where some restart was not plainly `ok`."""
    look = look_of(row.stack)
    face, edge = ("white", look.colour) if row.is_hollow else (look.colour, "white")
    ax.plot(
        *(xs, ys, look.marker),
        color=look.colour,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=1.3 if row.is_hollow else 0.6,
        zorder=4,
        label=f"{'hollow' if row.is_hollow else 'full'}-{row.stack}-{load or row.users}",
    )


def end_of(
    series: Series,
    measure: Measure,
    x_of: Callable[[Row], float] = users_of,
    text: str = "{name}  {value}",
) -> list[End]:
    """Return where the series' line ends, with its label; an empty list where it has no value."""
    known = [(row, value) for row in series.measured if (value := measure.of(row)) is not None][-1:]
    return [
        End(x_of(row), value, text.format(name=series.name, value=measure.text(value)), series.look.text_colour)
        for row, value in known
    ]


def draw_panel(
    ax: Axes,
    lines: Sequence[Series],
    measure: Measure,
    levels: Sequence[int],
    x_of: Callable[[Row], float] = users_of,
) -> None:
    """Draw one measure of all lines against users, or against what `x_of` gives; `levels` has the ticks."""
    scale_users(ax, levels)
    scale_values(ax, [value for line in lines for row in line.rows for value in measure.restarts(row)], log=measure.log)
    ax.set_title(measure.label, color="#555555", size=9)
    for line in lines:
        draw_curve(ax, line, measure, x_of)


def extremes_title(rows: Sequence[Row], measure: Measure, say: Callable[[Row], str], otherwise: str) -> str:
    """Return a title from what `say` says of the rows with the most and the least of a measure, the most first."""
    extremes = extremes_of(rows, measure)
    return f"{at_load(extremes)} {'; '.join(map(say, extremes))}" if extremes else otherwise
