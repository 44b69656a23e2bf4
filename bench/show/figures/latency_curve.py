"""Draws latency at each percentile, the tail stretched: medians over restarts, and the figure of one load."""

from collections.abc import Mapping, Sequence
from math import log10
from operator import attrgetter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy import linspace

from bench.analyse import stats
from bench.analyse.rows import Row
from bench.model.histograms import decode_histogram
from bench.model.trial_record import Trial
from bench.show.figures.axes import End, label_ends, scale_values
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import Measure, at_load, draw_markers, extremes_of, holes_in, name_of
from bench.show.figures.stack_style import look_of, styled
from bench.show.tables.formatting import milliseconds, number

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
NAMES = {50.0: "p50", 90.0: "p90", 99.0: "p99", 99.9: "p999"}
BEYOND = 5  # answers that must lie beyond the last percentile drawn; fewer say nothing about it
P99 = Measure("latency_us.p99", 1e-3, "p99, ms", number)
KEY = "Medians over restarts, drawn as far as at least five answers of each lie beyond. Hollow: degraded."
CLOSED_KEY = (
    KEY + " Closed loop: users wait for a slow server and ask it less, so tails read as lower bounds for those who "
    "come on their own schedule."
)
OPEN_KEY = (
    KEY + " Open loop: counted from the intended send; where requests stayed unanswered, drawn as far as is known."
)

Curve = Mapping[float, float]
"""Percentile -> ms, rising."""


@styled
def distributions(rows: Sequence[Row], key: str) -> Picture:
    """Draw a curve for every stack under one load."""
    curves = [(row, curve) for row in rows if (curve := curve_of(row))]
    ends = [end_of_curve(curve, name_of(row, rows), row) for row, curve in curves]
    loop = "open loop" if rows[0].is_open else "closed loop"
    figure, (ax,) = new_page(
        _latency_title(rows),
        f"{rows[0].request} · {loop}, {rows[0].load_text} · latency within which that share of the answers came",
        labels=[end.text for end in ends],
        notes=[key, *holes_in(rows)],
        heading_in=0.12,
    )
    scale_percentiles(ax, [curve for _, curve in curves])
    for row, curve in curves:
        draw_percentiles(ax, row, curve)
    label_ends(ax, ends)
    return figure


def _latency_title(rows: Sequence[Row]) -> str:
    """Compare the quickest and the slowest p99."""
    known = [row for row in rows if row.measured]
    extremes = extremes_of([row for row in known if row.stands(P99.path)] or known, P99)[::-1]
    texts = ", within ".join(f"{milliseconds(row, 'p99')} ms from {row.stack}" for row in extremes)
    return f"{at_load(extremes)} 99 of 100 answers come within {texts}" if texts else "No latency was measured"


def curve_of(row: Row, kept: str = "histogram") -> Curve:
    """Return {percentile: ms}: the median over restarts, as in tables; empty if a restart had too few answers.

    `kept` names the histogram: `histogram`, or `histogram_from_send` for the uncorrected latencies of an open loop.
    """
    counts = [(trial, decode_histogram(text)) for trial in row.measured if (text := attrgetter(kept)(trial))]
    last = min((_nines(trial, histogram) for trial, histogram in counts), default=0.0)
    if last <= 0.05:
        return {}
    percentiles = {round(100 * (1 - 10**-nines), 6) for nines in linspace(0.02, last, 80)}
    shown = sorted(percentiles | {mark for mark in PERCENTILES if -log10(1 - mark / 100) <= last})
    restarts = [_values_ms(trial, histogram, shown) for trial, histogram in counts]
    known = [at for at in shown if all(at in values for values in restarts)]
    return {at: stats.median_of([values[at] for values in restarts]) for at in known}


def _asked(trial: Trial, histogram: Any) -> int:
    """Count the answers; in an open loop also the unanswered, which count as the slowest."""
    unanswered = trial.timed_out + trial.dropped + trial.in_flight if trial.is_open else 0
    return int(histogram.get_total_count()) + unanswered


def _nines(trial: Trial, histogram: Any) -> float:
    """Return how far the tail of one restart is known: 2 for p99, 3 for p999."""
    bounds = [-log10(1 - at / 100) - 1e-9 for at, name in NAMES.items() if name in trial.latency_at_least]
    return min([log10(max(_asked(trial, histogram), 1) / BEYOND), *bounds])


def _values_ms(trial: Trial, histogram: Any, percentiles: Sequence[float]) -> dict[float, float]:
    """Return the latency of one restart at each percentile, in ms, as far as it was answered."""
    answered, asked = histogram.get_total_count(), _asked(trial, histogram)
    within = {at: at * asked / answered for at in percentiles if at * asked <= 100 * answered}
    values: dict[float, int] = histogram.get_percentile_to_value_dict(sorted(within.values()))
    return {at: values[share] / 1000 for at, share in within.items()}


def odds(percentile: float) -> float:
    """Return N where 1 in N answers is slower: on a log axis of N, 90, 99 and 99.9 % are equally far apart."""
    return 1 / (1 - percentile / 100)


def end_of_curve(curve: Curve, text: str, row: Row) -> End:
    """Return where a curve ends, in the axis' units, with its label."""
    percentile, value_ms = list(curve.items())[-1]
    return End(odds(percentile), value_ms, text, look_of(row.stack).text_colour)


def draw_percentiles(ax: Axes, row: Row, curve: Curve, **how: Any) -> None:
    """Draw the line, with the row's marker at each of PERCENTILES."""
    look = look_of(row.stack)
    draw_line(ax, curve, **{"color": look.colour, "linestyle": look.line, **how})
    marks = [at for at in PERCENTILES if at in curve]
    draw_markers(ax, row, [odds(at) for at in marks], [curve[at] for at in marks], row.load_text)


def draw_line(ax: Axes, curve: Curve, **how: Any) -> None:
    """Draw a curve on the stretched axis; `how` goes to matplotlib."""
    ax.plot([odds(at) for at in curve], list(curve.values()), **how)


def scale_percentiles(ax: Axes, curves: Sequence[Curve]) -> None:
    """Scale both axes for these curves: odds of the percentile, and ms, both logarithmic."""
    last = max((max(curve) for curve in curves), default=99.0)
    marks = [mark for mark in PERCENTILES if mark <= last]
    ax.set_xscale("log")
    ax.set_xlim(1, odds(last) * 1.05)
    ax.xaxis.set_major_locator(FixedLocator([odds(mark) for mark in marks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda _, place: f"{marks[place]:g} %" if place is not None else ""))
    scale_values(ax, [value for curve in curves for value in curve.values()], log=True)
    ax.set_xlabel("share of answers (the tail is stretched)")
    ax.set_ylabel("latency, ms")
