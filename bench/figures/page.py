"""What every figure is made of: the page with its finding, labels that do not touch, scales, lines of measured rows.

Full markers are medians over restarts, hollow ones are degraded, faint dots are single restarts. No pyplot: a figure
is a value, made anywhere and shown by a notebook.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import inf, log10
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.analyse.rows import Row, lab_of, rows_of
from bench.figures.looks import GREY, INK, Look, look_of, styled
from bench.model.run_record import Run
from bench.tables.texts import number, whole

WIDTH_IN, PANEL_IN = 9.0, 3.9
DPI = 110


class Picture(Figure):
    """A figure that knows its finding, shows itself in a notebook, and is equal bytes for equal data."""

    finding: str = ""

    def _repr_png_(self) -> bytes:
        return self.png()

    @styled
    def png(self) -> bytes:
        """Return the drawing as a PNG, at one and a half times DPI."""
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=DPI * 1.5, metadata={"Software": None})
        return content.getvalue()

    @styled
    def svg(self, prefix: str = "") -> str:
        """The drawing as an `<svg>` element; `prefix` keeps its ids apart from those of others on a page."""
        content = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.savefig(content, format="svg", metadata=nothing)
        element = _compact(content.getvalue()[content.getvalue().index("<svg") :])
        element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", element) if prefix else element
        return element.replace("<svg", f'<svg role="img" aria-label="{escape(self.finding)}"', 1)


def _compact(svg: str) -> str:
    """The same drawing without indentation and with coordinates in hundredths of a point, to keep files small."""
    shorter = re.sub(r"scale\([^)]*\)|(\d\.\d\d)\d+", lambda found: found[1] or found[0], svg)
    return re.sub(r">\s+<", ">\n<", re.sub(r"\s*\n\s*", " ", shorter))


def new_page(
    finding: str,
    subtitle: str,
    *,
    panels: int = 1,
    labels: Iterable[str] = (),
    notes: Sequence[str] = (),
    panel_in: float = PANEL_IN,
    rows: int = 1,
    ratios: Sequence[float] | None = None,
    row_gap_in: float = 0.45,
    left_in: float = 0.75,
    gap_in: float = 0.65,
    width_in: float = WIDTH_IN,
    heading_in: float = 0.25,
    axis_in: float = 0.5,
) -> tuple[Picture, list[Axes]]:
    """Return a figure with its finding above, notes below, and margins as wide as the labels need, up to half of it.
    `panel_in` is the height of a row of panels, of the mean one where `ratios` makes them differ.
    """
    title = _wrapped(finding, width_in * 9.6)
    foot = [line for note in notes for line in _wrapped(note, width_in * 15.5)]
    top_in, bottom_in = 0.45 + 0.22 * len(title) + heading_in, 0.18 + axis_in + 0.17 * len(foot)
    height_in = top_in + bottom_in + rows * panel_in + (rows - 1) * row_gap_in
    figure = Picture(figsize=(width_in, height_in))
    figure.finding = finding
    FigureCanvasAgg(figure)
    _write_around(figure, title, subtitle, foot)
    wanted_in = 0.2 + max((text_width_in(figure, label) + 0.25 for label in labels), default=0.0)
    left_in, right_in = min(left_in, 0.4 * width_in), min(wanted_in, 0.5 * width_in)
    figure.subplots_adjust(
        left=left_in / width_in,
        right=1 - right_in / width_in,
        bottom=bottom_in / height_in,
        top=1 - top_in / height_in,
        wspace=gap_in * panels / max(0.1, width_in - left_in - right_in - gap_in * (panels - 1)),
        hspace=row_gap_in / panel_in,
    )
    axes = figure.subplots(rows, panels, squeeze=False, height_ratios=ratios)
    return figure, list(axes.flat)


def _wrapped(text: str, characters: float) -> list[str]:
    """Lines of the text; a number stays with its unit."""
    return textwrap.wrap(re.sub(r"(?<=\d) (?=%|MB|ms|µs)", "\N{NO-BREAK SPACE}", text), int(characters))


def _write_around(figure: Picture, title: Sequence[str], subtitle: str, foot: Sequence[str]) -> None:
    """Title and subtitle above the axes, notes below them."""
    height_in = float(figure.get_size_inches()[1])
    for place, line in enumerate(title):
        _write(figure, 0.12, height_in - 0.30 - 0.22 * place, line, size=11.5, weight="bold", color=INK)
    _write(figure, 0.12, height_in - 0.38 - 0.22 * len(title), subtitle, size=9, color=GREY)
    for place, line in enumerate(reversed(foot)):
        _write(figure, 0.12, 0.10 + 0.17 * place, line, size=8, color=GREY)


def _write(figure: Picture, x_in: float, y_in: float, text: str, **how: Any) -> None:
    width_in, height_in = figure.get_size_inches()
    figure.text(x_in / width_in, y_in / height_in, text, va="bottom", ha="left", parse_math=False, **how)


def text_width_in(figure: Picture, text: str, size: float = 8.5) -> float:
    """Return how wide a text would be drawn, in inches."""
    probe = figure.text(0, 0, text, size=size, parse_math=False)
    width_px = probe.get_window_extent(figure.canvas.get_renderer()).width  # type: ignore[attr-defined]
    probe.remove()
    return float(width_px / figure.dpi)


def spread(positions: Sequence[float], gap: float, low: float = -inf, high: float = inf) -> list[float]:
    """Move positions as little as need be so that neighbours are `gap` apart and all lie within low and high.

    Positions that crowd form a block around the mean of where its members wanted to be. The order is kept.
    Where there is no room for all, `gap` shrinks.
    """
    if len(positions) > 1 and gap * (len(positions) - 1) > high - low:
        gap = (high - low) / (len(positions) - 1)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    blocks: list[list[float]] = []  # the wish of each member for the block's first position
    starts: list[float] = []
    for place, index in enumerate(order):
        blocks.append([positions[index] - place * gap])
        starts.append(blocks[-1][0])
        while len(blocks) > 1 and starts[-2] > starts[-1]:
            blocks[-2:] = [blocks[-2] + blocks[-1]]
            starts[-2:] = [sum(blocks[-1]) / len(blocks[-1])]
    wanted = [start for block, start in zip(blocks, starts, strict=True) for _ in block]
    last = high - gap * (len(positions) - 1)
    found = {
        index: min(max(start, low), last) + place * gap
        for place, (index, start) in enumerate(zip(order, wanted, strict=True))
    }
    return [found[index] for index in range(len(positions))]


class End(NamedTuple):
    """Where a line ends, and what is written there."""

    x: float
    y: float
    text: str
    colour: str


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Write each label beside its line's end, right of the axes; a thin leader where it had to move."""
    box = ax.get_window_extent()
    at_px = [float(ax.transData.transform((end.x, end.y))[1]) for end in ends]
    gap_px = 11.5 * ax.figure.dpi / 72
    for end, y_px in zip(ends, spread(at_px, gap_px, box.y0, box.y1), strict=True):
        ax.annotate(
            end.text,
            xy=(end.x, end.y),
            xytext=(1 + 16 / box.width, (y_px - box.y0) / box.height),
            textcoords="axes fraction",
            size=8.5, color=end.colour, va="center", ha="left", parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "alpha": 0.6,
                        "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5)},
        )  # fmt: skip


def _plain(value: float, _: object = None) -> str:
    return f"{value:,.10g}"


def scale_users(ax: Axes, levels: Sequence[int]) -> None:
    """Ticks exactly where users were measured; logarithmic from a factor of ten on."""
    is_log = levels[-1] >= 10 * levels[0]
    ax.set_xscale("log" if is_log else "linear")
    at = [log10(level) if is_log else float(level) for level in levels]
    pad = 0.03 * (at[-1] - at[0]) or 0.5
    ends = (at[0] - pad, at[-1] + pad)
    ax.set_xlim(*((10**end for end in ends) if is_log else ends))
    room = (at[-1] - at[0]) * 38 / (ax.get_window_extent().width * 100 / ax.figure.dpi)
    kept = apart(at, room)
    ax.xaxis.set_major_locator(FixedLocator(levels))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: _plain(round(value)) if place in kept else ""))
    ax.set_xlabel("users (each waits for its answer)")


def apart(at: Sequence[float], room: float) -> set[int]:
    """Which of the positions to label so that labels do not touch: the last, then leftwards what has room."""
    kept = [len(at) - 1]
    for place in reversed(range(len(at) - 1)):
        if at[kept[-1]] - at[place] >= room:
            kept.append(place)
    return set(kept)


def scale_values(ax: Axes, values: Sequence[float], *, log: bool | None = None) -> None:
    """Logarithmic where the values span a factor of 20, else from zero."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if log if log is not None else high >= 20 * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * 1.6)
        ax.yaxis.set_major_locator(LogLocator(subs=_steps(low, high)))
    else:
        ax.set_ylim(0, high * 1.12)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(_plain))


def _steps(low: float, high: float) -> tuple[float, ...]:
    """Ticks within a decade: the narrower the span the more, so that there are some to read off."""
    if high > 300 * low:
        return (1.0,)
    return (1.0, 2.0, 5.0) if high > 3 * low or low < 10 else (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


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
    return row.load.users is not None and row.load.rate_per_s is None


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
