"""Draws open loops: latency against the offered load, and the two loops at one rate.

In an open loop requests leave on a schedule, and latency counts from the intended send (checklist: intended send,
dispatch lateness).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.analyse.rows import Row, rows_of
from bench.model.load import Closed
from bench.model.run_record import Run
from bench.show.figures.axes import End, apart, label_ends, scale_values
from bench.show.figures.latency_curve import (
    P99,
    Curve,
    curve_of,
    draw_line,
    draw_percentiles,
    end_of_curve,
    odds,
    scale_percentiles,
)
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    Measure,
    Series,
    draw_curve,
    draw_medians,
    end_of,
    extremes_of,
    holes_in,
    series_of,
    subtitle_of,
)
from bench.show.figures.stack_style import PALE, look_of, styled
from bench.show.figures.timeline import timeline as timeline
from bench.show.tables.formatting import is_lower_bound, milliseconds, number

P50 = Measure("latency_us.p50", 1e-3, "p50, ms", number)
UNCORRECTED = Measure("latency_from_send_us.p99", 1e-3, "p99 from the actual send, ms", number)
USUAL_LOAD = 0.9
"""The share of capacity that the title is about, or the highest one below it."""
ARROW = 1.45  # an arrow ends at this many times its point
LOAD_KEY = (
    "Strong line: p99 from the intended send. Thin: p50. Dashed: p99 of the answered requests alone, from the actual "
    "send; where it lies on the strong line, the schedule was kept and all were answered. Arrow: at least this, "
    "because some requests were never answered. Hollow: degraded, left out of the title. Faint dots: single restarts."
)
CAPACITY_KEY = "100 %: what the stack answered to a closed loop of many users, in the same run."
BOTH_KEY = (
    "Medians over restarts, drawn as far as at least five answers of each lie beyond. From the actual send: what a "
    "client reports that starts its watch only when it gets to send. Users who wait do not ask while the server is "
    "slow, so the requests that would have waited are missing from the closed loop. Hollow: degraded."
)


def open_rows_for(run: Run, request: str) -> list[Row]:
    """Return the rows of open loops: those at a share of capacity if there are any, else those at a rate."""
    rows = [row for row in rows_of(run) if row.request == request and row.is_open]
    shares = [row for row in rows if row.trial.capacity_share is not None]
    return shares or [row for row in rows if row.trial.rate_per_s]


def x_of(row: Row) -> float:
    """Return the load of a row, in % of capacity or in requests/s."""
    share = row.trial.capacity_share
    return (row.trial.rate_per_s or 0.0) if share is None else 100 * share


def loads_of(rows: Sequence[Row]) -> list[float]:
    """Return the loads that occur, rising."""
    return sorted({x_of(row) for row in rows})


@styled
def latency_against_load(run: Run, request: str) -> Picture:
    """Draw p50 and p99 of every stack against the offered rate, as a share of its capacity where that is known."""
    rows = open_rows_for(run, request)
    lines = series_of(rows)
    ends = [end for series in lines for end in _ends(series)]
    is_share = rows[0].trial.capacity_share is not None
    figure, (ax,) = new_page(
        load_title(rows),
        subtitle_of(rows, "open loop, latency against the offered load"),
        labels=[end.text for end in ends],
        notes=[LOAD_KEY, *([CAPACITY_KEY] if is_share else []), *holes_in(rows)],
        heading_in=0.12,
    )
    _scale_loads(ax, loads_of(rows), is_share)
    scale_values(ax, _values(rows), log=True)
    for series in lines:
        _draw_series(ax, series)
    ax.set_ylabel("latency, ms")
    label_ends(ax, ends)
    return figure


def load_title(rows: Sequence[Row]) -> str:
    """Name the p99 of each stack near its capacity, and at the lowest load, from rows whose number stands."""
    standing = [row for row in rows if row.measured and row.stands(P99.path) and row.values(P99.path)]
    if not standing:
        return "No latency stands at any load: every point carries a reservation"
    high = _usual_load(standing)
    chosen = sorted((row for row in standing if x_of(row) == high), key=lambda row: P99.of(row) or 0.0)
    chosen = chosen if len(chosen) <= 3 else extremes_of(chosen, P99)[::-1]
    texts = [f"{milliseconds(row, 'p99')} ms for {row.stack}{_at_lowest(row, standing)}" for row in chosen]
    return f"At {chosen[0].load_text} the p99 is {', '.join(texts)}"


def _usual_load(rows: Sequence[Row]) -> float:
    """Return the highest load with two stacks to compare, if there is one; of shares none above USUAL_LOAD."""
    usual = [row for row in rows if (row.trial.capacity_share or 0.0) <= USUAL_LOAD + 1e-9] or list(rows)
    counts = {load: sum(x_of(row) == load for row in usual) for load in loads_of(usual)}
    return max(counts, key=lambda load: (counts[load] > 1, load))


def _at_lowest(row: Row, standing: Sequence[Row]) -> str:
    """Return the same stack's p99 at the lowest load that stands, in brackets."""
    own = (other for other in standing if (other.stack, other.middleware) == (row.stack, row.middleware))
    lowest = min(own, key=x_of)
    if lowest is row:
        return ""
    load = f"{x_of(lowest):.0f} %" if lowest.trial.capacity_share is not None else f"{x_of(lowest):,.4g}/s"
    return f" ({milliseconds(lowest, 'p99')} ms at {load})"


def _values(rows: Sequence[Row]) -> list[float]:
    """Return every latency that is drawn, in ms, so that the axis has room for all."""
    p99s = [value * (ARROW if is_lower_bound(row, "p99") else 1) for row in rows for value in P99.restarts(row)]
    return [*p99s, *(value for row in rows for measure in (P50, UNCORRECTED) for value in measure.restarts(row))]


def _ends(series: Series) -> list[End]:
    """Return where the two lines end; the upper label has the stack and its capacity in requests/s."""
    known = [row for row in series.measured if row.values(P99.path)]
    share, rate = (known[-1].trial.capacity_share, known[-1].trial.rate_per_s) if known else (None, None)
    capacity = f"  (100 % = {number(rate / share)}/s)" if share and rate else ""
    return [*end_of(series, P99, x_of, f"p99 {{name}}{capacity}"), *end_of(series, P50, x_of, "p50 {name}")]


def _scale_loads(ax: Axes, loads: Sequence[float], is_share: bool) -> None:
    """Set ticks exactly where there are loads; rates are logarithmic from a factor of ten on."""
    low, high = loads[0], loads[-1]
    if not is_share and high >= 10 * low:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.1, high * 1.1)
    else:
        pad = 0.05 * (high - low) or 1.0
        ax.set_xlim(low - pad, high + pad)
    ax.xaxis.set_major_locator(FixedLocator(loads))
    ax.xaxis.set_minor_locator(NullLocator())
    at_in = [float(ax.transData.transform((load, 1))[0]) / ax.figure.dpi for load in loads]
    kept = apart(at_in, 0.34)  # so that labels do not touch
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, at: f"{value:,.4g}" if at in kept else ""))
    ax.set_xlabel("offered requests/s, in % of the stack's capacity" if is_share else "offered requests/s")
    if is_share and low < 100 < high:
        ax.axvline(100, color=PALE, linewidth=1.0, zorder=1, label="capacity")


def _draw_series(ax: Axes, series: Series) -> None:
    draw_curve(ax, series, P99, x_of)
    draw_medians(ax, series, P50, x_of, linewidth=0.9, alpha=0.75, label=f"p50-{series.name}")
    how: dict[str, Any] = {"linewidth": 1.3, "alpha": 0.55, "linestyle": (0, (2, 2))}
    draw_medians(ax, series, UNCORRECTED, x_of, label=f"sent-{series.name}", **how)
    for row in series.measured:
        if is_lower_bound(row, "p99"):
            _arrow(ax, row)


def _arrow(ax: Axes, row: Row) -> None:
    """Draw an arrow upwards from the point: the percentile is at least this."""
    x, y, colour = x_of(row), P99.of(row) or 0.0, look_of(row.stack).colour
    how: dict[str, Any] = {"color": colour, "linewidth": 1.4, "zorder": 3.5, "label": f"at-least-{row.stack}-{x:g}"}
    ax.plot([x, x], [y, y * ARROW], marker="^", markevery=[1], markersize=5, markeredgewidth=0, **how)


class Pair(NamedTuple):
    """One stack under the same rate, once from a schedule and once from users who wait."""

    open: Row
    closed: Row


def loop_pairs(run: Run, request: str) -> list[Pair]:
    """Pair each open loop with each closed one that was held to the same rate, where both have numbers."""
    rows = [row for row in rows_of(run) if row.request == request and row.trial.rate_per_s and row.measured]
    return [
        Pair(one, other)
        for one in rows
        for other in rows
        if one.is_open and not other.is_open and _same_but_loop(one) == _same_but_loop(other)
    ]


def telling_pairs(run: Run, request: str) -> list[Pair]:
    """Return, of each stack's pairs, the one whose p99s differ most."""
    return list({pair.open.stack: pair for pair in sorted(loop_pairs(run, request), key=_apartness)}.values())


def _apartness(pair: Pair) -> float:
    return (P99.of(pair.open) or 0.0) / (P99.of(pair.closed) or 1.0)


def _same_but_loop(row: Row) -> tuple[object, ...]:
    return (row.stack, row.middleware, row.trial.rate_per_s)


@styled
def both_distributions(run: Run, request: str, stack: str | None = None) -> Picture:
    """Draw latency at each percentile: the open loop from the intended and the actual send, and the closed loop.

    Of several pairs it is the one whose p99s differ most. Raises ValueError if the stack has no two loops at one rate.
    """
    pairs = [pair for pair in telling_pairs(run, request) if stack in (None, pair.open.stack)]
    if not pairs:
        raise ValueError(f"{request}: no open and closed loop of {stack or 'any stack'} ran at the same rate.")
    pair = max(pairs, key=_apartness)
    drawn = {
        INTENDED: curve_of(pair.open),
        ACTUAL: curve_of(pair.open, "histogram_from_send"),
        f"closed loop, {Closed(pair.closed.users).text}": curve_of(pair.closed),
    }
    curves = {name: curve for name, curve in drawn.items() if curve}
    ends = [
        end_of_curve(curve, _p99_text(pair, name), pair.open)
        for name, curve in curves.items()
        if name in (INTENDED, ACTUAL)
    ]
    figure, (ax,) = new_page(
        both_title(pair),
        f"{pair.open.request} · {pair.open.stack} · latency within which that share of the answers came",
        labels=[end.text for end in ends],
        notes=[BOTH_KEY],
        heading_in=0.12,
    )
    scale_percentiles(ax, list(curves.values()))
    for name, curve in curves.items():
        _draw_loop(ax, pair, name, curve)
        if name not in (INTENDED, ACTUAL):
            _name_at_p99(ax, curve, _p99_text(pair, name), pair.closed)
    label_ends(ax, ends)
    return figure


def _name_at_p99(ax: Axes, curve: Curve, text: str, row: Row) -> None:
    """Label the closed loop below its p99: at its end all lines meet."""
    at = max(percentile for percentile in curve if percentile <= 99)
    ax.annotate(
        text, (odds(at), curve[at]), (8, -10), textcoords="offset points",
        size=8.5, color=look_of(row.stack).text_colour, ha="left", va="top", parse_math=False,
    )  # fmt: skip


INTENDED, ACTUAL = "open loop, from the intended send", "open loop, from the actual send"


def _p99_text(pair: Pair, name: str) -> str:
    row = pair.open if name in (INTENDED, ACTUAL) else pair.closed
    return f"{name}: p99 {milliseconds(row, 'p99', 'latency_from_send_us' if name == ACTUAL else 'latency_us')} ms"


def _draw_loop(ax: Axes, pair: Pair, name: str, curve: Curve) -> None:
    """Draw one curve, all in one colour because it is one stack: the loops differ in their line."""
    if name == INTENDED:
        draw_percentiles(ax, pair.open, curve, linestyle="-", label=name)
    elif name == ACTUAL:
        draw_line(ax, curve, color=look_of(pair.open.stack).text_colour, linestyle=(0, (2, 2)), zorder=3, label=name)
    else:
        draw_percentiles(ax, pair.closed, curve, linestyle="-.", label=name)


def both_title(pair: Pair) -> str:
    """Compare the p99 of both loops at the same nominal rate."""
    events = [event for row in pair for trial in row.measured for event in trial.events]
    frozen = max((event.for_s for event in events if event.code == "frozen"), default=0.0)
    rate = f"{pair.open.trial.rate_per_s:,.4g} requests/s"
    during = f"A server that freezes for {frozen:.1f} s at {rate}" if frozen else f"At {rate}"
    schedule = f"on a schedule 99 of 100 wait up to {milliseconds(pair.open, 'p99')} ms"
    users = f"{Closed(pair.closed.users).text} who wait for answers report {milliseconds(pair.closed, 'p99')} ms"
    return f"{during}: {schedule}; {users}"
