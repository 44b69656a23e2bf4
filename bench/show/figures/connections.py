"""Draws connections: how many feeds each stack holds and at what price, what departures and slow clients cost,
and how many streams each passes on.
"""

from collections.abc import Sequence

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.figures.axes import label_ends
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    Measure,
    draw_panel,
    end_of,
    extremes_of,
    extremes_title,
    holes_in,
    rows_with,
    series_of,
    subtitle_of,
)
from bench.show.figures.stack_style import styled
from bench.show.tables.formatting import number, percent, whole

SERVED = Measure("held.served", 1, "feeds served at once", whole, log=True)
HELD_THREADS = Measure("held.threads_held", 1, "threads while they are held", whole, log=True)
HELD_MEMORY = Measure("held.rss_held_bytes", 1e-6, "resident memory while they are held, MB", whole, log=False)
DELIVERY = Measure("held.all_delivered_us", 1e-3, "delivery to the last feed, ms", number, log=True)
PER_FEED = Measure("held.rss_per_connection_bytes", 1e-3, "kB per feed", number)
IN_VAIN = Measure("gone.ended_in_vain", 1, "wasted views", whole)
NEXT_CLIENT = Measure("gone.newcomer_us", 1e-3, "the next client waits, ms", number)
SPENT = Measure("gone.cpu_us_per_leaver", 1e-3, "CPU per departure, ms", number)
KEPT = Measure("slow.kept_share", 1, "visits answered, share of before", percent)
VISIT = Measure("slow.beside.latency_us.p50", 1e-3, "median visit beside them, ms", number)
THREADS_TAKEN = Measure("server.threads_max", 1, "threads of the server", whole)
CARRIED = Measure("streams.carried", 1, "streams carried", whole)
FIRST_PART = Measure("streams.first_part_us.p50", 1e-3, "median first part, ms", number, log=True)
GAP = Measure("streams.gap_us.p99", 1e-3, "p99 of the gap between parts, ms", number)
PER_PART = Measure("streams.cpu_us_per_part", 1, "server CPU per part, µs", whole)
STREAM_THREADS = Measure("server.threads_max", 1, "threads of the server", whole, log=True)
FOR_NOBODY = Measure("streams.parts_in_vain", 1, "parts written upstream for nobody", whole)
OF_STREAMS = (CARRIED, FIRST_PART, GAP, PER_PART, STREAM_THREADS, FOR_NOBODY)
STREAMS_KEY = (
    "Grey: every stream is carried, with its first part within 1 s and gaps like the upstream's. A stream that is "
    "collected before it is sent has no gaps. Hollow: degraded. Faint dots: single restarts. Vertical bars: interval "
    "of the median."
)
KEY = (
    "Grey: every connection is served. Where a line of the last panel is missing, nothing could be published. "
    "Hollow: degraded. Faint dots: single restarts. Vertical bars: interval of the median."
)


def connections_of(row: Row) -> float:
    """Return the connections of a row, as a place on the x axis."""
    return row.trial.connections or 0


@styled
def held(run: Run, request: str) -> Picture:
    """Draw feeds served, threads, memory and the time of delivery to all, against open connections."""
    seen = rows_with(run, request, SERVED)
    rows = [row for row in seen if row.median(SERVED.path)]
    if not rows:
        return bars([row for row in rows_of(run) if row.request == request], [SERVED], held_title(rows))
    lines, levels = series_of(rows), sorted({round(connections_of(row)) for row in seen})
    none = dict.fromkeys(f"{row.stack} at {row.load_text}" for row in seen if not row.median(SERVED.path))
    figure, axes = new_page(
        held_title(rows),
        subtitle_of(rows, "against open connections"),
        panels=2,
        rows=2,
        labels=[f"{line.name}  00,000" for line in lines],
        notes=[KEY, *([f"Served none: {'; '.join(none)}."] if none else []), *holes_in(rows)],
        panel_in=2.9,
        row_gap_in=0.7,
        gap_in=2.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, (SERVED, HELD_THREADS, HELD_MEMORY, DELIVERY), strict=True):
        draw_panel(ax, lines, measure, levels, connections_of)
        ax.set_xlabel("connections")
        label_ends(ax, [end for line in lines for end in end_of(line, measure, connections_of)])
    axes[0].plot(levels, levels, color="#b5b5b5", linewidth=1.0, zorder=1, label="all")
    return figure


def held_title(rows: Sequence[Row]) -> str:
    """Compare, of the stacks that serve the most connections, the most and the fewest threads, and their memory."""
    most = max((row.median(SERVED.path) or 0.0 for row in rows), default=0.0)
    full = [row for row in rows if most and (row.median(SERVED.path) or 0.0) >= 0.99 * most]
    return extremes_title(full, HELD_THREADS, _say_held, "No feed was served")


def _say_held(row: Row) -> str:
    return f"{row.stack} holds them on {whole(HELD_THREADS.of(row))} threads, {number(PER_FEED.of(row))} kB each"


@styled
def gone(run: Run, request: str) -> Picture:
    """Draw wasted views, how long the next client waits, and the CPU spent on clients that had left."""
    rows = rows_with(run, request, IN_VAIN)
    texts = [
        f"the next one waits {number(NEXT_CLIENT.of(row))} ms on {row.stack}, "
        f"where {whole(IN_VAIN.of(row))} views went on"
        for row in extremes_of(rows, NEXT_CLIENT)
    ]
    title = f"When {whole(rows[0].median('gone.left'))} clients have left, {'; '.join(texts)}"
    return bars(rows, [IN_VAIN, NEXT_CLIENT, SPENT], title if texts else "No next client was measured")


@styled
def slow(run: Run, request: str) -> Picture:
    """Draw, for rows of the most slow clients, what is left for visitors, how long they wait, and the threads."""
    rows = rows_with(run, request, KEPT)
    most = max(connections_of(row) for row in rows)
    rows = [row for row in rows if connections_of(row) == most]
    texts = [f"{row.stack} answers {percent(KEPT.of(row))} of its other visits" for row in extremes_of(rows, KEPT)]
    return bars(rows, [KEPT, VISIT, THREADS_TAKEN], f"While {whole(most)} clients are slow, {'; '.join(texts)}")


@styled
def streams(run: Run, request: str) -> Picture:
    """Draw streams carried, first part, gap, CPU per part, threads and waste upstream, against streams at once."""
    rows = rows_with(run, request, CARRIED)
    levels = sorted({round(connections_of(row)) for row in rows})
    title = streams_title([row for row in rows if connections_of(row) == levels[-1]])
    if len(levels) == 1:
        return bars(rows, [CARRIED, GAP, PER_PART, FOR_NOBODY], title)
    lines = series_of(rows)
    figure, axes = new_page(
        title,
        subtitle_of(rows, "against streams at once"),
        panels=2,
        rows=3,
        labels=[f"{line.name}  00,000" for line in lines],
        notes=[STREAMS_KEY, *holes_in(rows)],
        panel_in=2.9,
        row_gap_in=0.7,
        gap_in=2.6,
        width_in=11.5,
    )
    for ax, measure in zip(axes, OF_STREAMS, strict=True):
        draw_panel(ax, lines, measure, levels, connections_of)
        ax.set_xlabel("streams at once")
        label_ends(ax, [end for line in lines for end in end_of(line, measure, connections_of)])
    axes[0].plot(levels, levels, color="#b5b5b5", linewidth=1.0, zorder=1, label="all")
    return figure


def streams_title(rows: Sequence[Row]) -> str:
    """Compare the rows that carry the most and the fewest streams, with the price of a part."""
    return extremes_title(rows, CARRIED, _say_streams, "No stream was carried")


def _say_streams(row: Row) -> str:
    price = f" at {whole(PER_PART.of(row))} µs a part" if row.values(PER_PART.path) else ""
    return f"{row.stack} carries {whole(CARRIED.of(row))}{price}"
