"""The figures of connections: what each stack holds and at what price, and what it does for clients that have left."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.figures.axes import End, label_ends, scale_users, scale_values
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    Measure,
    Series,
    draw_curve,
    extremes_of,
    holes_in,
    rows_with,
    series_of,
    subtitle_of,
)
from bench.show.figures.stack_style import styled
from bench.show.tables.formatting import number, whole

SERVED = Measure("held.served", 1, "feeds served at once", whole, log=True)
HELD_THREADS = Measure("held.threads_held", 1, "threads while they are held", whole, log=True)
HELD_MEMORY = Measure("held.rss_held_bytes", 1e-6, "resident memory, MB", whole, log=False)
TOLD = Measure("held.all_delivered_us", 1e-3, "ms until the last one is told", number, log=True)
PER_FEED = Measure("held.rss_per_connection_bytes", 1e-3, "kB a connection", whole)
IN_VAIN = Measure("gone.ended_in_vain", 1, "views that ended in vain", whole)
NEWCOMER = Measure("gone.newcomer_us", 1e-3, "the next client waits, ms", number)
SPENT = Measure("gone.cpu_us_per_leaver", 1e-3, "CPU for each that left, ms", number)
KEY = (
    "Grey: every connection is served. Where a line of the last panel is missing, nobody was left who could publish. "
    "Hollow: degraded. Faint dots: single restarts. Vertical bars: interval of the median."
)


def connections_of(row: Row) -> float:
    """Return the connections of a row, as a place on the x axis."""
    return row.trial.connections or 0


@styled
def held(run: Run, request: str) -> Picture:
    """Feeds served, threads, memory and the time until all are told, against open connections."""
    seen = rows_with(run, request, SERVED)
    rows = [row for row in seen if row.median(SERVED.path)]
    if not rows:
        asked = [row for row in rows_of(run) if row.request == request]
        return bars(asked, [SERVED], held_title(rows))
    lines, levels = series_of(rows), sorted({round(connections_of(row)) for row in seen})
    figure, axes = new_page(
        held_title(rows),
        subtitle_of(rows, "against open connections"),
        panels=2,
        rows=2,
        labels=[f"{line.name}  00,000" for line in lines],
        notes=[KEY, *_served_none(seen), *holes_in(rows)],
        panel_in=2.9,
        row_gap_in=0.7,
        gap_in=2.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, (SERVED, HELD_THREADS, HELD_MEMORY, TOLD), strict=True):
        _panel(ax, lines, rows, levels, measure)
    axes[0].plot(levels, levels, color="#b5b5b5", linewidth=1.0, zorder=1, label="all")
    return figure


def _served_none(rows: Sequence[Row]) -> list[str]:
    """Stacks that gave no feed its first event, as a note: they have nothing to draw."""
    names = dict.fromkeys(f"{row.stack} at {row.load_text}" for row in rows if not row.median(SERVED.path))
    return [f"Served none: {'; '.join(names)}."] if names else []


def _panel(ax: Axes, lines: Sequence[Series], rows: Sequence[Row], levels: Sequence[int], measure: Measure) -> None:
    scale_users(ax, levels)
    scale_values(ax, [value for row in rows for value in measure.restarts(row)], log=measure.log)
    ax.set_title(measure.label, color="#555555", size=9)
    ax.set_xlabel("connections")
    for line in lines:
        draw_curve(ax, line, measure, connections_of)
    label_ends(ax, [end for line in lines if (end := _end(line, measure))])


def _end(line: Series, measure: Measure) -> End | None:
    """The last number, where it is not zero: a logarithmic axis has no place for that."""
    known = [row for row in line.measured if measure.of(row)]
    if not known:
        return None
    value = measure.of(known[-1]) or 0.0
    return End(connections_of(known[-1]), value, f"{line.name}  {measure.text(value)}", line.look.text_colour)


def held_title(rows: Sequence[Row]) -> str:
    """Of the stacks that serve the most connections, those with the most and the fewest threads, and their memory."""
    most = max((row.median(SERVED.path) or 0.0 for row in rows), default=0.0)
    full = [row for row in rows if most and (row.median(SERVED.path) or 0.0) >= 0.99 * most]
    extremes = extremes_of(full, HELD_THREADS)
    if not extremes:
        return "No feed was served"
    told = [
        f"{row.stack} holds them on {whole(HELD_THREADS.of(row))} threads, {whole(PER_FEED.of(row))} kB each"
        for row in extremes
    ]
    return f"At {extremes[0].load_text} {'; '.join(told)}"


@styled
def gone(run: Run, request: str) -> Picture:
    """Views that went on in vain, how long the next client waits, and the CPU spent for nobody."""
    rows = rows_with(run, request, IN_VAIN)
    return bars(rows, [IN_VAIN, NEWCOMER, SPENT], gone_title(rows))


def gone_title(rows: Sequence[Row]) -> str:
    """Who keeps the next client waiting longest, and who shortest."""
    extremes = extremes_of(rows, NEWCOMER)
    if not extremes:
        return "Nobody could be asked"
    told = [
        f"the next one waits {number(NEWCOMER.of(row))} ms on {row.stack}, where {whole(IN_VAIN.of(row))} views went on"
        for row in extremes
    ]
    return f"When {whole(rows[0].median('gone.left'))} clients have left, {'; '.join(told)}"
