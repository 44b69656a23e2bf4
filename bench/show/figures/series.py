"""Which rows of a run make a line of a figure, and how the line is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bench.analyse.rows import Row, lab_of, rows_of
from bench.model.run_record import Run
from bench.show.figures.axes import End
from bench.show.figures.stack_style import Look, look_of
from bench.show.tables.formatting import number, whole


@dataclass(frozen=True)
class Measure:
    """A number of a trial as it is drawn: where it is, its scale, its axis label."""

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
        """The rows with numbers."""
        return [row for row in self.rows if row.measured]

    @property
    def cpu_s(self) -> float | None:
        """S at the most users that were measured, in seconds."""
        known = [row.median("cpu_us_per_request") for row in self.measured]
        return known[-1] / 1e6 if known and known[-1] is not None else None


def rows_for(run: Run, request: str) -> list[Row]:
    """The rows of closed loops without a rate: what can be drawn against users."""
    return [row for row in rows_of(run) if row.request == request and is_plainly_closed(row)]


def rows_with(run: Run, request: str, measure: Measure) -> list[Row]:
    """The rows of one request for which some restart has the measure."""
    return [row for row in rows_of(run) if row.request == request and row.values(measure.path)]


def is_plainly_closed(row: Row) -> bool:
    """True where users ask as fast as they are answered."""
    return row.trial.users is not None and row.trial.rate_per_s is None


def series_of(rows: Sequence[Row]) -> list[Series]:
    """Return one Series for each stack and its middleware, in the order of the rows."""
    groups: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.stack, row.middleware), []).append(row)
    return [Series(name_of(members[0], rows), look_of(key[0]), tuple(members)) for key, members in groups.items()]


def name_of(row: Row, among: Sequence[Row]) -> str:
    """The stack, with its workload or its middleware where the same stack is there with another one."""
    if len({other.request for other in among}) > 1:
        return f"{row.stack} {row.request.partition('?')[0]}"
    if len({other.middleware for other in among if other.stack == row.stack}) < 2:
        return row.stack
    return f"{row.stack} + {', '.join(row.middleware)}" if row.middleware else f"{row.stack}, no middleware"


def levels_of(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of users that occur, rising."""
    return sorted({row.users for row in rows})


def top_of(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """The rows with the most users that were measured: of these the ones whose number stands, if any."""
    measured = [row for row in rows if row.measured]
    level = max((row.users for row in measured), default=0)
    top = [row for row in measured if row.users == level]
    return [row for row in top if row.stands(measure.path)] or top


def extremes_of(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """The rows with the most and the least of a measure, the most first; one row where there is only one."""
    known = sorted((row for row in rows if row.values(measure.path)), key=lambda row: measure.of(row) or 0.0)
    return [known[-1], known[0]] if len(known) > 1 else known


def best_of_each_lab(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """Each lab's row with the most of a measure, the most first; of more than three labs the most and two least."""
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: measure.of(row) or 0.0, reverse=True):
        best.setdefault(lab_of(row.stack), row)
    ordered = [row for row in best.values() if row.values(measure.path)]
    return ordered if len(ordered) <= 3 else [ordered[0], *ordered[-2:]]


def at_load(rows: Sequence[Row]) -> str:
    """Return the beginning of a title: `At` and the load of the first row."""
    return f"At {rows[0].load_text}"


def subtitle_of(rows: Sequence[Row], what: str) -> str:
    """Return the subtitle: request, database, what is drawn, and of how many restarts."""
    restarts = max((len(row.measured) for row in rows), default=0)
    requests = list(dict.fromkeys(row.request for row in rows))
    request = requests[0] if len(requests) == 1 else f"{len(requests)} workloads"
    on = f" on {rows[0].vendor}" if rows[0].vendor else ""
    return f"{request}{on} · {what} · medians of {restarts} restart{'' if restarts == 1 else 's'}"


def holes_in(rows: Sequence[Row]) -> list[str]:
    """What is missing from the drawing, so that a hole does not look like a choice."""
    gone: dict[str, list[Row]] = {}
    for row in rows:
        if not row.measured:
            gone.setdefault(f"{row.stack} {row.verdict}", []).append(row)
    texts = [f"{what} at {_loads_text(members)}" for what, members in gone.items()]
    return [f"Not drawn: {'; '.join(texts)}."] if texts else []


def _loads_text(rows: Sequence[Row]) -> str:
    """The loads with their unit once: `200 and 400 users`, `90 % and 120 % of capacity`."""
    if len(rows) > 1 and all(map(is_plainly_closed, rows)):
        return _listed([f"{row.users:,}" for row in rows]) + " users"
    texts = [row.load_text for row in rows]
    for unit in (" requests/s", " of capacity"):
        if len(texts) > 1 and all(text.endswith(unit) for text in texts):
            return _listed([text.removesuffix(unit) for text in texts]) + unit
    return _listed(texts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def users_of(row: Row) -> float:
    """Return the users of a row, as a place on the x axis."""
    return row.users


def draw_curve(ax: Axes, series: Series, measure: Measure, x_of: Callable[[Row], float] = users_of) -> None:
    """Median line, broken where nothing was measured; single restarts, interval, marker."""
    look = series.look
    values = [measure.of(row) for row in series.rows]
    ax.plot(
        [x_of(row) for row in series.rows],
        [np.nan if value is None else value for value in values],
        color=look.colour,
        linestyle=look.line,
    )
    _draw_spread(ax, series, measure, x_of)
    for row, value in zip(series.rows, values, strict=True):
        if value is not None:
            draw_markers(ax, row, [x_of(row)], [value], f"{x_of(row):g}")


def _draw_spread(ax: Axes, series: Series, measure: Measure, x_of: Callable[[Row], float]) -> None:
    """Single restarts and intervals, each as one line for all rows: an artist for each would take seconds."""
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


def end_of(series: Series, measure: Measure) -> End | None:
    """Return where the series' line ends, with its name and last value; None where it has no value."""
    known = [row for row in series.measured if row.values(measure.path)]
    if not known:
        return None
    value = measure.of(known[-1]) or 0.0
    return End(known[-1].users, value, f"{series.name}  {measure.text(value)}", series.look.text_colour)
