"""The figures of a run, one function each, titled with what their data say; `figures_for` picks what fits.

How a stack looks is in `looks.py`, what all figures share (the page, scales, lines of rows) in `page.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes

from bench.analyse import queueing
from bench.analyse.plateaus import plateaus_of
from bench.analyse.rows import Row, processes_of, rows_of
from bench.figures import plots_connections, plots_database, plots_ladder, plots_open, timeline
from bench.figures.bars import bars
from bench.figures.looks import FAILED, GREY, PALE, look_of, styled
from bench.figures.page import (
    CPU,
    MEMORY,
    THREADS,
    THROUGHPUT,
    End,
    Picture,
    Series,
    at_load,
    best_of_each_lab,
    draw_curve,
    end_of,
    extremes_of,
    holes_in,
    label_ends,
    levels_of,
    new_page,
    rows_for,
    rows_with,
    scale_users,
    scale_values,
    series_of,
    subtitle_of,
    top_of,
)
from bench.model.run_record import Run
from bench.model.trial_record import Trial, users_text
from bench.percentiles import CLOSED_KEY, OPEN_KEY, distributions
from bench.tables.texts import number, percent, whole

LIMITED_BY = {
    "users": "what so many users can ask for",
    "threads": "what its threads allow",
    "server CPU": "what its CPU allows",
}
KEY = "Hollow: degraded. Faint dots: single restarts. Vertical bars: interval of the median."
PLATEAU_KEY = "Beside the last number: what limits the plateau, from samples."
LIMITS_KEY = (
    "Grey: N/L, what N users can ask for when a request only waits. Dotted: the stack's ceiling "
    "min(W/(L+S), 1/S) with W threads and measured CPU time S. Thin line: predicted from L, S and W alone "
    "(mean value analysis)."
)


@styled
def throughput_vs_users(run: Run, request: str) -> Picture:
    """Requests/s against users for every stack, with what theory allows and predicts; bars for one level."""
    rows = rows_for(run, request)
    if len(levels_of(rows)) < 2:
        return bars(rows, [THROUGHPUT], throughput_title(rows))
    lines = series_of(rows)
    limiters = {(it.stack, it.middleware): it.limiter for it in plateaus_of(run) if it.request == request}
    ends = [_named_limiter(end, series, limiters) for series in lines if (end := end_of(series, THROUGHPUT))]
    figure, (ax,) = new_page(
        throughput_title(rows),
        subtitle_of(rows, "closed loop, requests/s against users"),
        labels=[end.text for end in ends],
        notes=[KEY, LIMITS_KEY, *([PLATEAU_KEY] if any(limiters.values()) else []), *holes_in(rows)],
        heading_in=0.12,
    )
    scale_users(ax, levels_of(rows))
    # In proportion is a straight line where both axes are of one kind.
    is_log = ax.get_xscale() == "log" or None
    scale_values(ax, [value for row in rows for value in row.values(THROUGHPUT.path)], log=is_log)
    for series in lines:
        _theory(ax, series, levels_of(rows))
        draw_curve(ax, series, THROUGHPUT)
    _ideals(ax, rows)
    ax.set_ylabel(THROUGHPUT.label)
    label_ends(ax, ends)
    return figure


def _named_limiter(end: End, series: Series, limiters: Mapping[tuple[str, tuple[str, ...]], str | None]) -> End:
    """The label with what holds its plateau down."""
    limiter = limiters.get((series.rows[0].stack, series.rows[0].middleware))
    return end._replace(text=f"{end.text}, {limiter}") if limiter else end


def throughput_title(rows: Sequence[Row]) -> str:
    """The most requests/s that each lab reaches at the most users, and how near that is to the stack's own limit."""
    best = best_of_each_lab(top_of(rows, THROUGHPUT), THROUGHPUT)
    if not best:
        return "No throughput was measured"
    most, *others = best
    first = f"{most.stack} answers {number(THROUGHPUT.of(most))} requests/s{_of_limit(most)}"
    texts = [f"{row.stack} {number(THROUGHPUT.of(row))}{_of_limit(row)}" for row in others]
    return f"{at_load(best)} {'; '.join([first, *texts])}"


def _of_limit(row: Row) -> str:
    share, limiter = row.median("fraction_of_limit"), row.ceiling
    return "" if share is None or limiter is None else f", {percent(share)} of {LIMITED_BY[limiter]}"


def _waits_s(rows: Sequence[Row]) -> list[float]:
    return sorted({row.io_wait_s for row in rows if row.io_wait_s > 0})


def _ideals(ax: Axes, rows: Sequence[Row]) -> None:
    """N/L for each L, named above the line where no measured point can be; the axis makes room for it."""
    waits_s, (first, last), (low, high) = _waits_s(rows), ax.get_xlim(), ax.get_ylim()
    ideals = [levels_of(rows)[-1] / wait_s for wait_s in waits_s]
    high = max([high, *(min(1.15 * ideal, 2.5 * high) for ideal in ideals)])
    ax.set_ylim(low, high)
    users = np.geomspace(first, last, 200) if ax.get_xscale() == "log" else np.linspace(first, last, 200)
    for wait_s in waits_s:
        ax.plot(users, users / wait_s, color=PALE, linewidth=1.0, zorder=1, label="limit")
        at = min(levels_of(rows)[-1], high * wait_s) * 0.93
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
        "cores": processes_of(row.stack),
    }
    ceiling = queueing.limit_per_s(users=10**9, threads=row.slots, **known)
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
    points = queueing.thread_pool_curve(users, threads=row.slots, **known)
    ax.plot(
        users, [point.throughput_per_s for point in points], "-", color=series.look.colour,
        linewidth=0.9, alpha=0.55, zorder=1.5, label=f"predicted-{series.name}",
    )  # fmt: skip


@styled
def latency_distributions(run: Run, request: str, users: int) -> Picture:
    """Latency in ms at each percentile for every stack in the closed loop of so many users; the tail is stretched."""
    rows = [row for row in rows_for(run, request) if row.users == users]
    return distributions(rows, CLOSED_KEY)


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


class Answer(Protocol):
    """One request of a burst: seconds from the burst's start, and whether the answer was right."""

    @property
    def start_s(self) -> float:
        """Return when it was sent, in seconds from the burst's start."""

    @property
    def end_s(self) -> float:
        """Return when its answer came, in seconds from the burst's start."""

    @property
    def ok(self) -> bool:
        """Return whether the answer was right."""


@styled
def burst_timeline(bursts: Mapping[str, Sequence[Answer]], title: str | None = None) -> Picture:
    """One bar for each request from its start to its answer; stacks below each other on one time axis.

    `bursts` has the answers of each stack. Without a `title` the waves are counted and told.
    """
    most = max((len(answers) for answers in bursts.values()), default=1)
    figure, axes = new_page(
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
    """Every figure for which the run has numbers, request by request, then the windows that something befell."""
    requests = dict.fromkeys(row.request for row in rows_of(run) if row.measured)
    return [
        *_side_by_side(run),
        *(drawn for request in requests for drawn in _figures_for(run, request)),
        *(_timeline(place, trials) for place, trials in enumerate(timeline.frozen_pairs(run), start=1)),
        *(_timeline(f"outage-{place}", [trial]) for place, trial in enumerate(timeline.outages(run), start=1)),
        *(_timeline(f"event-{place}", [trial]) for place, trial in enumerate(timeline.eventful(run), start=1)),
    ]


def _side_by_side(run: Run) -> list[Drawn]:
    """Figures that show several requests at once."""
    figures = []
    if plots_database.sided_rows(run):
        caption = "Every request on every stack: how long it takes, and what it takes up."
        figures.append(Drawn("side-by-side", plots_database.sided(run), caption))
    if plots_database.torn_rows(run):
        caption = "Payments while clients leave: coins that are gone, and who got an error."
        figures.append(Drawn("torn", plots_database.torn(run), caption))
    if plots_database.away_rows(run):
        caption = "The database taken away for a while: who refuses what, and when all is well again."
        figures.append(Drawn("away", plots_database.away(run), caption))
    return figures


def _timeline(name: object, trials: Sequence[Trial]) -> Drawn:
    trial = trials[0]
    caption = f"{trial.request}: what befell the window of {trial.stack}, {trial.load_text}, marked on the timeline."
    return Drawn(f"timeline-{name}", timeline.timeline(trials), caption)


def _figures_for(run: Run, request: str) -> list[Drawn]:
    rows = rows_for(run, request)
    closed = _closed_figures(run, request) if any(row.measured for row in rows) else []
    return [*_open_figures(run, request), *closed, *_connection_figures(run, request)]


def _slug(request: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", request.lower()).strip("-")


def _open_figures(run: Run, request: str) -> list[Drawn]:
    """Latency against load where there are several loads, both loops where they can be set side by side."""
    rows, slug = plots_open.open_rows_for(run, request), _slug(request)
    measured = [row for row in rows if row.values("latency_us.p99")]
    pairs = plots_open.telling_pairs(run, request)
    figures = []
    if len(plots_open.loads_of(measured)) > 1:
        caption = f"{request}: open loop, latency against the load asked for."
        figures.append(Drawn(f"load-{slug}", plots_open.latency_against_load(run, request), caption))
    elif measured and not pairs:
        caption = f"{request}: open loop, latency at {measured[0].load_text}."
        figures.append(Drawn(f"open-{slug}", distributions(rows, OPEN_KEY), caption))
    for place, pair in enumerate(pairs, start=1):
        caption = f"{request}: {pair.open.stack}, both loops asked for {pair.open.load_text}."
        figures.append(
            Drawn(f"loops-{place}-{slug}", plots_open.both_distributions(run, request, pair.open.stack), caption)
        )
    return figures


def _connection_figures(run: Run, request: str) -> list[Drawn]:
    slug, figures = _slug(request), []
    if rows_with(run, request, plots_connections.SERVED):
        caption = f"{request}: what is served, and what holding costs, against open connections."
        figures.append(Drawn(f"held-{slug}", plots_connections.held(run, request), caption))
    for allowed in dict.fromkeys(map(plots_database.allowed_of, rows_with(run, request, plots_database.LEFT_OPEN))):
        caption = f"{request}: connections open while requests come and go, {allowed} allowed."
        figures.append(Drawn(f"waves-{allowed}-{slug}", plots_database.waves(run, request, allowed), caption))
    if rows_with(run, request, plots_connections.IN_VAIN) and not plots_database.torn_rows(run):
        caption = f"{request}: what is done for clients that have left, and how long the next one waits."
        figures.append(Drawn(f"gone-{slug}", plots_connections.gone(run, request), caption))
    return figures


def _ladder_figures(run: Run, request: str) -> list[Drawn]:
    caption = f"{request}: what each middleware adds."
    figures = [Drawn(f"ladder-{_slug(request)}", plots_ladder.ladder(run, request), caption)]
    if plots_ladder.has_places(rows_for(run, request)):
        caption = f"{request}: what the place of one middleware does."
        figures.append(Drawn(f"places-{_slug(request)}", plots_ladder.positions(run, request), caption))
    return figures


def _closed_figures(run: Run, request: str) -> list[Drawn]:
    rows, slug = rows_for(run, request), _slug(request)
    if plots_ladder.is_ladder(rows):
        return _ladder_figures(run, request)
    users = max(row.users for row in rows if row.measured)
    is_sweep, waits = len(levels_of(rows)) > 1, bool(_waits_s(rows))
    figures = []
    if is_sweep:
        caption = f"{request}: throughput against users, with the limits."
        figures.append(Drawn(f"throughput-{slug}", throughput_vs_users(run, request), caption))
    if not is_sweep or not waits:
        caption = f"{request}: throughput, and what a request costs."
        figures.append(Drawn(f"cpu-{slug}", cpu_per_request(run, request), caption))
    if any(row.values("latency_us.p99") for row in rows if row.users == users):
        caption = f"{request}: latency in the closed loop of {users_text(users)}."
        figures.append(Drawn(f"latency-{slug}", latency_distributions(run, request, users), caption))
    if any(row.values(THREADS.path) for row in rows):
        caption = f"{request}: what the server takes beside what it answers."
        figures.append(Drawn(f"threads-{slug}", threads_and_memory(run, request), caption))
    return figures
