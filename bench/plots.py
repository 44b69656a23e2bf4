"""The figures of a run, one function each, titled with what their data say; `figures_for` picks what fits.

A stack has one look everywhere (`look_of`). Full markers are medians over restarts, hollow ones are degraded,
faint dots are single restarts. No pyplot: a figure is a value, made anywhere and shown by a notebook.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from html import escape
from itertools import pairwise
from math import inf, log2, log10
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench import summary, theory
from bench.record import ROOT, Run
from bench.summary import Row, number, percent, whole

STYLE = ROOT / "notebooks" / "lab.mplstyle"
WIDTH_IN, PANEL_IN, BAR_IN = 9.0, 3.9, 0.34
DPI = 110
INK, GREY, PALE = "#222222", "#777777", "#b5b5b5"
FAILED = "#b00020"

P = ParamSpec("P")
T = TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Run with the lab's style sheet, and leave the caller's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


class Picture(Figure):
    """A figure that knows its finding, shows itself in a notebook, and is equal bytes for equal data."""

    finding: str = ""

    def _repr_png_(self) -> bytes:
        return self.png()

    @styled
    def png(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=DPI * 1.5, metadata={"Software": None})
        return content.getvalue()

    @styled
    def svg(self, prefix: str = "") -> str:
        """The drawing as an `<svg>` element; `prefix` keeps its ids apart from those of others on a page."""
        content = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        self.savefig(content, format="svg", metadata=nothing)
        element = content.getvalue()[content.getvalue().index("<svg") :]
        element = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", element) if prefix else element
        return element.replace("<svg", f'<svg role="img" aria-label="{escape(self.finding)}"', 1)


# After Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision, by markers in grey. A
# budget or another server changes the shade, the marker and the line, never the hue.
HUES = {
    "sync_wsgi": "#0072b2",
    "sync_asgi": "#d55e00",
    "async_asgi": "#009e73",
    "async_wsgi": "#b5539a",
    "mixed_middleware": "#8a6d00",
    "bare_wsgi": "#5f7f95",
    "bare_asgi": "#4d4d4d",
}
# Only filled markers: a hollow one means degraded.
MARKERS = {
    "sync_wsgi": "<v^sDp>",
    "sync_asgi": "XP",
    "async_asgi": "oh8",
    "async_wsgi": "d*",
    "mixed_middleware": "H",
    "bare_asgi": "p*s",
}
SHADES = {"uvicorn": 0.0, "uvicorn_worker": 0.35, "gunicorn_asgi": -0.45, "sync": 0.65}
SOLID, DASHED, DASH_DOT = "-", (0, (7, 1.5)), (0, (7, 1.5, 1.5, 1.5))
LINES: dict[str, Any] = {"uvicorn_worker": DASHED, "gunicorn_asgi": DASH_DOT, "sync": DASHED}


@dataclass(frozen=True)
class Look:
    """How a stack is drawn."""

    colour: str
    marker: str
    line: Any

    @property
    def text_colour(self) -> str:
        """Darker, so that light shades can be read on white."""
        return _shaded(self.colour, -0.3)


def look_of(stack: str) -> Look:
    """The look of `lab@server[:budget]`; grey for a lab that is not known."""
    lab, _, rest = stack.partition("@")
    server, _, budget = rest.partition(":")
    threads = int(match[0]) if (match := re.match(r"[0-9]+", budget)) else 0
    processes = summary.processes_of(stack)
    shade = 0.5 - log2(threads) / 10 if threads else SHADES.get(server, 0.0)
    colour = _shaded(HUES.get(lab, "#888888"), max(-0.7, shade - 0.16 * log2(processes)))
    markers = MARKERS.get(lab, "ophdsX")
    place = _marker_place(server, threads, processes)
    return Look(colour, markers[place % len(markers)], LINES.get(server, SOLID if processes == 1 else DASHED))


def colour_of(stack: str) -> str:
    """The stack's colour in every figure, as `#rrggbb`."""
    return look_of(stack).colour


def _marker_place(server: str, threads: int, processes: int) -> int:
    """Which of its lab's markers: thread budgets by size, servers by kind, several processes on their own."""
    if threads:
        return 6 if processes > 1 else 1 + sum(threads > most for most in (1, 8, 64, 512))
    return (
        ["sync", "uvicorn_worker", "gunicorn_asgi"].index(server) if server in SHADES and server != "uvicorn" else 0
    ) + (2 if processes > 1 else 0)


def _shaded(colour: str, amount: float) -> str:
    """Mixed with white for a positive amount, with black for a negative one."""
    towards = 1.0 if amount > 0 else 0.0
    share = abs(amount)
    red, green, blue = ((1 - share) * channel + share * towards for channel in to_rgb(colour))
    return to_hex((red, green, blue))


def _page(
    finding: str,
    subtitle: str,
    *,
    panels: int = 1,
    labels: Iterable[str] = (),
    notes: Sequence[str] = (),
    panel_in: float = PANEL_IN,
    rows: int = 1,
    left_in: float = 0.75,
    gap_in: float = 0.65,
    width_in: float = WIDTH_IN,
    heading_in: float = 0.25,
    axis_in: float = 0.5,
) -> tuple[Picture, list[Axes]]:
    """A figure with its finding above and notes below; the margins are as wide as the labels need."""
    title = textwrap.wrap(finding, int(width_in * 9.6))
    foot = [line for note in notes for line in textwrap.wrap(note, int(width_in * 15.5))]
    top_in, bottom_in = 0.45 + 0.22 * len(title) + heading_in, 0.18 + axis_in + 0.17 * len(foot)
    height_in = top_in + bottom_in + rows * panel_in + (rows - 1) * 0.45
    figure = Picture(figsize=(width_in, height_in))
    figure.finding = finding
    FigureCanvasAgg(figure)
    for place, line in enumerate(title):
        _write(figure, 0.12, height_in - 0.30 - 0.22 * place, line, size=11.5, weight="bold", color=INK)
    _write(figure, 0.12, height_in - 0.38 - 0.22 * len(title), subtitle, size=9, color=GREY)
    for place, line in enumerate(reversed(foot)):
        _write(figure, 0.12, 0.10 + 0.17 * place, line, size=8, color=GREY)
    right_in = 0.2 + max((_text_width_in(figure, label) + 0.25 for label in labels), default=0.0)
    figure.subplots_adjust(
        left=left_in / width_in,
        right=1 - right_in / width_in,
        bottom=bottom_in / height_in,
        top=1 - top_in / height_in,
        wspace=gap_in * panels / max(0.1, width_in - left_in - right_in - gap_in * (panels - 1)),
        hspace=0.45 / panel_in,
    )
    axes = figure.subplots(rows, panels, squeeze=False)
    return figure, list(axes.flat)


def _write(figure: Picture, x_in: float, y_in: float, text: str, **how: Any) -> None:
    width_in, height_in = figure.get_size_inches()
    figure.text(x_in / width_in, y_in / height_in, text, va="bottom", ha="left", parse_math=False, **how)


def _text_width_in(figure: Picture, text: str, size: float = 8.5) -> float:
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


def _label_ends(ax: Axes, ends: Sequence[End]) -> None:
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


def _scale_users(ax: Axes, levels: Sequence[int]) -> None:
    """Ticks exactly where users were measured; logarithmic from a factor of ten on."""
    is_log = levels[-1] >= 10 * levels[0]
    ax.set_xscale("log" if is_log else "linear")
    at = [log10(level) if is_log else float(level) for level in levels]
    pad = 0.03 * (at[-1] - at[0]) or 0.5
    ends = (at[0] - pad, at[-1] + pad)
    ax.set_xlim(*((10**end for end in ends) if is_log else ends))
    room = (at[-1] - at[0]) * 38 / (ax.get_window_extent().width * 100 / ax.figure.dpi)
    kept = _apart(at, room)
    ax.xaxis.set_major_locator(FixedLocator(levels))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: _plain(round(value)) if place in kept else ""))
    ax.set_xlabel("users (each waits for its answer)")


def _apart(at: Sequence[float], room: float) -> set[int]:
    """Which of the positions to label so that labels do not touch: the last, then leftwards what has room."""
    kept = [len(at) - 1]
    for place in reversed(range(len(at) - 1)):
        if at[kept[-1]] - at[place] >= room:
            kept.append(place)
    return set(kept)


def _scale_values(ax: Axes, values: Sequence[float], *, log: bool | None = None) -> None:
    """Logarithmic where the values span a factor of 20, else from zero."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if log if log is not None else high >= 20 * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * 1.6)
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
    else:
        ax.set_ylim(0, high * 1.12)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(_plain))


@dataclass(frozen=True)
class Measure:
    """A number of a trial as it is drawn: where it is, its scale, its axis label."""

    path: str
    factor: float
    label: str
    text: Callable[[float | None], str]
    log: bool | None = None

    def of(self, row: Row) -> float | None:
        value = row.median(self.path)
        return None if value is None else value * self.factor

    def restarts(self, row: Row) -> list[float]:
        return [value * self.factor for value in row.values(self.path)]

    def bounds(self, row: Row) -> tuple[float, float] | None:
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
        return [row for row in self.rows if row.measured]

    @property
    def cpu_s(self) -> float | None:
        """S at the most users that were measured, in seconds."""
        known = [row.median("cpu_us_per_request") for row in self.measured]
        return known[-1] / 1e6 if known and known[-1] is not None else None


def _rows(run: Run, request: str) -> list[Row]:
    return [row for row in summary.rows_of(run) if row.request == request]


def _series(rows: Sequence[Row]) -> list[Series]:
    groups: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.stack, row.middleware), []).append(row)
    return [Series(_name(members[0], rows), look_of(key[0]), tuple(members)) for key, members in groups.items()]


def _name(row: Row, among: Sequence[Row]) -> str:
    """The stack, with its middleware where the same stack is there under another one."""
    if len({other.middleware for other in among if other.stack == row.stack}) < 2:
        return row.stack
    return f"{row.stack} + {', '.join(row.middleware)}" if row.middleware else f"{row.stack}, no middleware"


def _levels(rows: Sequence[Row]) -> list[int]:
    return sorted({row.users for row in rows})


def _top(rows: Sequence[Row]) -> list[Row]:
    """The rows with the most users that were measured: of these the plainly ok ones, if any."""
    measured = [row for row in rows if row.measured]
    level = max((row.users for row in measured), default=0)
    top = [row for row in measured if row.users == level]
    return [row for row in top if row.verdict == "ok"] or top


def _extremes(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """The rows with the most and the least of a measure, the most first; one row where there is only one."""
    known = sorted((row for row in rows if row.values(measure.path)), key=lambda row: measure.of(row) or 0.0)
    return [known[-1], known[0]] if len(known) > 1 else known


def _at_users(rows: Sequence[Row]) -> str:
    return f"At {rows[0].users:,} user{'' if rows[0].users == 1 else 's'}"


def _subtitle(rows: Sequence[Row], what: str) -> str:
    restarts = max((len(row.measured) for row in rows), default=0)
    return f"{rows[0].request} · {what} · medians of {restarts} restart{'' if restarts == 1 else 's'}"


def _holes(rows: Sequence[Row]) -> list[str]:
    """What is missing from the drawing, so that a hole does not look like a choice."""
    gone: dict[str, list[str]] = {}
    for row in rows:
        if not row.measured:
            gone.setdefault(f"{row.stack} {row.verdict}", []).append(f"{row.users:,}")
    return (
        [f"Not drawn: {'; '.join(f'{what} at {_listed(users)} users' for what, users in gone.items())}."]
        if gone
        else []
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _curve(ax: Axes, series: Series, measure: Measure) -> None:
    """Median line, broken where nothing was measured; single restarts, interval, marker."""
    look = series.look
    values = [measure.of(row) for row in series.rows]
    users = [row.users for row in series.rows]
    ax.plot(
        users,
        [np.nan if value is None else value for value in values],
        color=look.colour,
        linestyle=look.line,
    )
    for row, value in zip(series.rows, values, strict=True):
        if value is None:
            continue
        restarts = measure.restarts(row)
        ax.plot([row.users] * len(restarts), restarts, ".", color=look.colour, alpha=0.35, markersize=4)
        if bounds := measure.bounds(row):
            ax.plot([row.users] * 2, bounds, color=look.colour, linewidth=1.1)
        _markers(ax, row, [row.users], [value])


def _markers(ax: Axes, row: Row, xs: Sequence[float], ys: Sequence[float]) -> None:
    look = look_of(row.stack)
    face, edge = ("white", look.colour) if row.is_hollow else (look.colour, "white")
    ax.plot(
        *(xs, ys, look.marker),
        color=look.colour,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=1.3 if row.is_hollow else 0.6,
        zorder=4,
        label=f"{'hollow' if row.is_hollow else 'full'}-{row.stack}-{row.users}",
    )


def _end(series: Series, measure: Measure) -> End | None:
    known = [row for row in series.measured if row.values(measure.path)]
    if not known:
        return None
    value = measure.of(known[-1]) or 0.0
    return End(known[-1].users, value, f"{series.name}  {measure.text(value)}", series.look.text_colour)


LIMITED_BY = {
    "users": "what so many users can ask for",
    "threads": "what its threads allow",
    "server CPU": "what its CPU allows",
}
KEY = "Hollow: degraded. Faint dots: single restarts. Vertical bars: interval of the median."
LIMITS_KEY = (
    "Grey: N/L, what N users can ask for when a request only waits. Dotted: the stack's ceiling "
    "min(W/(L+S), 1/S) with W threads and measured CPU time S. Thin line: predicted from L, S and W alone "
    "(mean value analysis)."
)


@styled
def throughput_vs_users(run: Run, request: str) -> Picture:
    """Requests/s against users for every stack, with what theory allows and predicts; bars for one level."""
    rows = _rows(run, request)
    if len(_levels(rows)) < 2:
        return _bars(rows, [THROUGHPUT], throughput_title(rows))
    lines = _series(rows)
    ends = [end for series in lines if (end := _end(series, THROUGHPUT))]
    figure, (ax,) = _page(
        throughput_title(rows),
        _subtitle(rows, "requests/s against users"),
        labels=[end.text for end in ends],
        notes=[KEY, LIMITS_KEY, *_holes(rows)],
        heading_in=0.12,
    )
    _scale_users(ax, _levels(rows))
    _scale_values(ax, [value for row in rows for value in row.values(THROUGHPUT.path)])
    for series in lines:
        _theory(ax, series, _levels(rows))
        _curve(ax, series, THROUGHPUT)
    _ideals(ax, rows)
    ax.set_ylabel(THROUGHPUT.label)
    _label_ends(ax, ends)
    return figure


def throughput_title(rows: Sequence[Row]) -> str:
    """The most and the least requests/s at the most users, and how near each is to its own limit."""
    extremes = _extremes(_top(rows), THROUGHPUT)
    if not extremes:
        return "No throughput was measured"
    most, *least = extremes
    first = f"{most.stack} answers {number(THROUGHPUT.of(most))} requests/s{_of_limit(most)}"
    others = [f"{row.stack} {number(THROUGHPUT.of(row))}{_of_limit(row)}" for row in least]
    return f"{_at_users(extremes)} {'; '.join([first, *others])}"


def _of_limit(row: Row) -> str:
    share, limiter = row.median("fraction_of_limit"), row.limiter
    return "" if share is None or limiter is None else f", {percent(share)} of {LIMITED_BY[limiter]}"


def _waits_s(rows: Sequence[Row]) -> list[float]:
    return sorted({row.io_wait_s for row in rows if row.io_wait_s > 0})


def _ideals(ax: Axes, rows: Sequence[Row]) -> None:
    """N/L for each L, named above the line where no measured point can be; the axis makes room for it."""
    waits_s, (first, last), (low, high) = _waits_s(rows), ax.get_xlim(), ax.get_ylim()
    ideals = [_levels(rows)[-1] / wait_s for wait_s in waits_s]
    high = max([high, *(min(1.15 * ideal, 2.5 * high) for ideal in ideals)])
    ax.set_ylim(low, high)
    users = np.geomspace(first, last, 200) if ax.get_xscale() == "log" else np.linspace(first, last, 200)
    for wait_s in waits_s:
        ax.plot(users, users / wait_s, color=PALE, linewidth=1.0, zorder=1, label="limit")
        at = min(_levels(rows)[-1], high * wait_s) * 0.93
        ax.annotate(
            f"N/L, L = {1000 * wait_s:g} ms", (at, at / wait_s), (-9, 4), textcoords="offset points",
            size=8, color=GREY, ha="right", va="center",
        )  # fmt: skip


def _theory(ax: Axes, series: Series, levels: Sequence[int]) -> None:
    """The stack's ceiling from the knee on, and its predicted curve."""
    cpu_s, row = series.cpu_s, series.rows[0]
    if not cpu_s:
        return
    known: dict[str, Any] = {
        "io_wait_s": row.io_wait_s,
        "cpu_s": cpu_s,
        "cores": summary.processes_of(row.stack),
    }
    ceiling = theory.limit_per_s(users=10**9, threads=row.slots, **known)
    knee = ceiling * (row.io_wait_s + cpu_s)
    if knee < levels[-1]:
        ends = [max(knee, levels[0]), levels[-1]]
        ax.plot(
            ends,
            [ceiling] * 2,
            ":",
            color=series.look.colour,
            linewidth=1.4,
            zorder=1.5,
            label=f"ceiling-{series.name}",
        )
    users = sorted({*levels, *(round(level) for level in np.geomspace(levels[0], levels[-1], 60))})
    points = theory.thread_pool_curve(users, threads=row.slots, **known)
    ax.plot(
        users, [point.throughput_per_s for point in points], "-", color=series.look.colour,
        linewidth=0.9, alpha=0.55, zorder=1.5, label=f"predicted-{series.name}",
    )  # fmt: skip


PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
BEYOND = 5  # answers that must lie beyond the last percentile drawn; fewer say nothing about it
LATENCY_KEY = (
    "All restarts merged without loss, drawn as far as at least five answers lie beyond. Hollow: degraded. "
    "Closed loop: users wait for a slow server and ask it less, so tails read as lower bounds."
)


@styled
def latency_distributions(run: Run, request: str, users: int) -> Picture:
    """Latency in ms at each percentile for every stack; the tail is stretched."""
    rows = [row for row in _rows(run, request) if row.users == users]
    drawn = [row for row in rows if row.measured and row.histogram.get_total_count() >= 2 * BEYOND]
    curves = [(row, _percentile_curve(row)) for row in drawn]
    ends = [_latency_end(row, rows, curve) for row, curve in curves]
    figure, (ax,) = _page(
        latency_title(rows),
        f"{request} · {users:,} users · latency within which that share of the answers came",
        labels=[end.text for end in ends],
        notes=[LATENCY_KEY, *_holes(rows)],
        heading_in=0.12,
    )
    _scale_percentiles(ax, [curve for _, curve in curves])
    for row, curve in curves:
        _draw_percentiles(ax, row, curve)
    _label_ends(ax, ends)
    return figure


def latency_title(rows: Sequence[Row]) -> str:
    """The slowest and the quickest p99."""
    p99 = Measure("latency_us.p99", 1e-3, "", number)
    extremes = list(reversed(_extremes(_top(rows), p99)))
    if not extremes:
        return "No latency was measured"
    texts = [f"{number(p99.of(row))} ms from {row.stack}" for row in extremes]
    return f"{_at_users(extremes)} 99 of 100 answers come within {', within '.join(texts)}"


def _percentile_curve(row: Row) -> dict[float, float]:
    """Percentile -> ms, from the merged histogram, denser towards the tail."""
    last = max(0.5, log10(row.histogram.get_total_count() / BEYOND))
    percentiles = {round(100 * (1 - 10**-nines), 6) for nines in np.linspace(0.02, last, 80)}
    marks = {mark for mark in PERCENTILES if -log10(1 - mark / 100) <= last}
    values: dict[float, int] = row.histogram.get_percentile_to_value_dict(sorted(percentiles | marks))
    return {percentile: values[percentile] / 1000 for percentile in sorted(values)}


def _odds(percentile: float) -> float:
    """1 in how many answers is slower: on a log axis of this, 90, 99 and 99.9 are equally far apart."""
    return 1 / (1 - percentile / 100)


def _latency_end(row: Row, rows: Sequence[Row], curve: dict[float, float]) -> End:
    percentile, value_ms = list(curve.items())[-1]
    return End(_odds(percentile), value_ms, _name(row, rows), look_of(row.stack).text_colour)


def _draw_percentiles(ax: Axes, row: Row, curve: dict[float, float]) -> None:
    look = look_of(row.stack)
    ax.plot([_odds(at) for at in curve], list(curve.values()), color=look.colour, linestyle=look.line)
    marks = [at for at in PERCENTILES if at in curve]
    _markers(ax, row, [_odds(at) for at in marks], [curve[at] for at in marks])


def _scale_percentiles(ax: Axes, curves: Sequence[dict[float, float]]) -> None:
    last = max((max(curve) for curve in curves), default=99.0)
    marks = [mark for mark in PERCENTILES if mark <= last]
    ax.set_xscale("log")
    ax.set_xlim(1, _odds(last) * 1.05)
    ax.xaxis.set_major_locator(FixedLocator([_odds(mark) for mark in marks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda _, place: f"{marks[place]:g} %" if place is not None else ""))
    _scale_values(ax, [value for curve in curves for value in curve.values()], log=True)
    ax.set_xlabel("share of answers (the tail is stretched)")
    ax.set_ylabel("latency, ms")


@styled
def threads_and_memory(run: Run, request: str) -> Picture:
    """Throughput, threads and resident memory of the server against users, side by side."""
    rows = _rows(run, request)
    measures = [THROUGHPUT, THREADS, MEMORY]
    if len(_levels(rows)) < 2:
        return _bars(rows, measures, threads_title(rows))
    lines = _series(rows)
    figure, axes = _page(
        threads_title(rows),
        _subtitle(rows, "throughput, and what it takes, against users"),
        panels=3,
        labels=[series.name for series in lines],
        notes=[KEY, *_holes(rows)],
        panel_in=3.1,
        left_in=0.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, measures, strict=True):
        _scale_users(ax, _levels(rows))
        _scale_values(ax, [value for row in rows for value in measure.restarts(row)], log=measure.log)
        ax.set_title(measure.label, color="#555555", size=9)
        for series in lines:
            _curve(ax, series, measure)
        ax.set_xlabel("users")
    ends = [(series, end) for series in lines if (end := _end(series, MEMORY))]
    _label_ends(axes[-1], [end._replace(text=series.name) for series, end in ends])
    return figure


def threads_title(rows: Sequence[Row]) -> str:
    """Threads and memory of the stack with the most and of the one with the fewest threads."""
    extremes = _extremes(_top(rows), THREADS)
    if not extremes:
        return "No threads were counted"
    texts = [f"{whole(THREADS.of(row))} threads and {whole(MEMORY.of(row))} MB" for row in extremes]
    pairs = [f"{row.stack} {text}" for row, text in zip(extremes, texts, strict=True)]
    return f"{_at_users(extremes)} the server takes: {'; '.join(pairs)}"


@styled
def cpu_per_request(run: Run, request: str, users: int | None = None) -> Picture:
    """Throughput beside CPU time per request (S) for every stack, at the most users or at those given."""
    rows = _rows(run, request)
    level = users or max((row.users for row in rows if row.measured), default=max(_levels(rows)))
    rows = [row for row in rows if row.users == level]
    return _bars(rows, [THROUGHPUT, CPU], cpu_title(rows))


def cpu_title(rows: Sequence[Row]) -> str:
    """The least and the most CPU per request, and the throughput that goes with each."""
    extremes = list(reversed(_extremes(_top(rows), CPU)))
    if not extremes:
        return "No CPU time was measured"
    texts = [
        f"{row.stack} spends {whole(CPU.of(row))} µs of CPU a request, answers {number(THROUGHPUT.of(row))}/s"
        for row in extremes
    ]
    return f"{_at_users(extremes)} {'; '.join(texts)}"


def _bars(rows: Sequence[Row], measures: Sequence[Measure], finding: str) -> Picture:
    """One panel a measure, one bar a row; a row without numbers says why instead."""
    names = [_name(row, rows) for row in rows]
    figure, axes = _page(
        finding,
        _subtitle(rows, f"{rows[0].users:,} user{'' if rows[0].users == 1 else 's'}"),
        panels=len(measures),
        notes=[
            "Bars: medians. Hollow: degraded. Dots: single restarts. Black: interval. Grey tick: the limit.",
            *_holes(rows),
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
    """The number beside the bar; where there is none, the verdict."""
    value = measure.of(row)
    how: dict[str, Any] = {"color": GREY, "style": "italic"} if value is None else {"color": INK}
    text = row.verdict if value is None and not row.measured else measure.text(value)
    ax.annotate(text, (end, place), (6, 0), textcoords="offset points", size=9, va="center", parse_math=False, **how)


class Answer(Protocol):
    """One request of a burst: seconds from the burst's start, and whether the answer was right."""

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def ok(self) -> bool: ...


@styled
def burst_timeline(bursts: Mapping[str, Sequence[Answer]], title: str | None = None) -> Picture:
    """One bar for each request from its start to its answer; stacks below each other on one time axis.

    `bursts` has the answers of each stack. Without a `title` the waves are counted and told.
    """
    most = max((len(answers) for answers in bursts.values()), default=1)
    figure, axes = _page(
        title or burst_title(bursts),
        "each bar is one request, from start to answer",
        rows=max(1, len(bursts)),
        panel_in=min(3.2, 0.5 + 0.055 * most),
        left_in=0.3,
        notes=["Red: no right answer."] if any(not answer.ok for it in bursts.values() for answer in it) else [],
    )
    last_ms = max((1000 * answer.end_s for answers in bursts.values() for answer in answers), default=1.0)
    for ax, (stack, answers) in zip(axes, bursts.items(), strict=False):
        _burst_panel(ax, stack, answers, last_ms)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("ms since the burst began")
    return figure


def _burst_panel(ax: Axes, stack: str, answers: Sequence[Answer], last_ms: float) -> None:
    ordered = sorted(answers, key=lambda answer: (answer.start_s, answer.end_s))
    ordered = sorted(ordered, key=lambda answer: round(answer.start_s, 3))
    look = look_of(stack)
    starts = [1000 * answer.start_s for answer in ordered]
    lengths = [1000 * (answer.end_s - answer.start_s) for answer in ordered]
    colours = [look.colour if answer.ok else FAILED for answer in ordered]
    ax.barh(range(len(ordered)), lengths, left=starts, height=0.72, color=colours)
    ax.set(xlim=(0, last_ms * 1.03), ylim=(len(ordered) - 0.4, -0.6), yticks=[])
    ax.grid(visible=True, axis="x")
    ax.set_title(f"{stack}   {_waves_text(answers)}", color=look.text_colour, size=9.5, parse_math=False)


def burst_title(bursts: Mapping[str, Sequence[Answer]]) -> str:
    """For each stack the number of waves and when the last answer came."""
    texts = [f"{stack} answers {_waves_text(answers)}" for stack, answers in bursts.items() if answers]
    most = max((len(answers) for answers in bursts.values()), default=0)
    return f"{most} requests at once: {'; '.join(texts)}" if texts else "No request was sent"


def _waves_text(answers: Sequence[Answer]) -> str:
    right = [answer for answer in answers if answer.ok]
    if not right:
        return "none rightly"
    count, last_ms = waves_of(right), 1000 * max(answer.end_s for answer in right)
    return f"in {count} wave{'' if count == 1 else 's'}, the last after {number(last_ms)} ms"


def waves_of(answers: Sequence[Answer]) -> int:
    """Groups of answers that are apart by more than half of the quickest request."""
    ends = sorted(answer.end_s for answer in answers)
    pause_s = min(answer.end_s - answer.start_s for answer in answers) / 2
    return 1 + sum(after - before > pause_s for before, after in pairwise(ends))


class Drawn(NamedTuple):
    """A figure with a name for files and anchors, and a line on how to read it."""

    slug: str
    figure: Picture
    caption: str


def figures_for(run: Run) -> list[Drawn]:
    """Every figure for which the run has numbers, request by request. Empty for a run without any."""
    requests = dict.fromkeys(row.request for row in summary.rows_of(run) if row.measured)
    return [drawn for request in requests for drawn in _figures_for(run, request)]


def _figures_for(run: Run, request: str) -> list[Drawn]:
    rows = _rows(run, request)
    slug = re.sub(r"[^a-z0-9]+", "-", request.lower()).strip("-")
    users = max(row.users for row in rows if row.measured)
    is_sweep, waits = len(_levels(rows)) > 1, bool(_waits_s(rows))
    figures = []
    if is_sweep:
        figures.append(
            Drawn(
                f"throughput-{slug}",
                throughput_vs_users(run, request),
                f"{request}: throughput against users, with the limits.",
            )
        )
    if not is_sweep or not waits:
        figures.append(
            Drawn(f"cpu-{slug}", cpu_per_request(run, request), f"{request}: throughput, and what a request costs.")
        )
    if any(row.values("latency_us.p99") for row in rows if row.users == users):
        latency = latency_distributions(run, request, users)
        figures.append(Drawn(f"latency-{slug}", latency, f"{request}: latency at {users:,} users."))
    if any(row.values(THREADS.path) for row in rows):
        figures.append(
            Drawn(
                f"threads-{slug}",
                threads_and_memory(run, request),
                f"{request}: what the server takes beside what it answers.",
            )
        )
    return figures
