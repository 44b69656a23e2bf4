"""The columns of every table of a run: `COLUMNS` is the one list of what is shown and how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.rows import Row
from bench.show.tables.column_filters import (
    always,
    counts_requests,
    fails,
    has,
    holds,
    leaves,
    pays,
    slows,
    streams,
    waves,
)
from bench.show.tables.formatting import HOLE, milliseconds, number, percent, requests_per_s, span, whole


@dataclass(frozen=True)
class Column:
    """One column: its head, how it writes a row's cell, and the rows it is about (`concerns`).

    A table has the column if it is about one of its rows. On a narrow terminal the highest `rank` is dropped first;
    rank 0 always stays.
    """

    heading: str
    text: Callable[[Row], str]
    rank: int
    help: str
    concerns: Callable[[Row], bool] = always


def _median(measure: str, factor: float, text: Callable[[float | None], str]) -> Callable[[Row], str]:
    """Return the function that writes a row's median of a measure, times `factor`, as `text` writes a number."""

    def cell(row: Row) -> str:
        value = row.median(measure)
        return text(None if value is None else value * factor + 0.0)  # never -0

    return cell


COLUMNS = (
    Column("stack", lambda row: row.stack, 0, "lab @ server : budget (threads, x processes)"),
    Column(
        "cores",
        lambda row: str(row.given_cores),
        1,
        "cores that the server was given, where the experiment says how many; the load may have one of them too",
        lambda row: row.trial.server_cores is not None,
    ),
    Column(
        "offered/s",
        _median("rate_per_s", 1, number),
        2,
        "requests/s of the schedule, where the load is a share of the stack's capacity",
        lambda row: row.trial.capacity_share is not None,
    ),
    Column(
        "req/s",
        requests_per_s,
        0,
        "right answers per second, median over restarts; ○ where some restart is not ok",
        counts_requests,
    ),
    Column(
        "hops to a thread",
        _median("hops.sync_to_async", 1, whole),
        1,
        "hops of one such request from an event loop to a thread, counted outside of the window",
        has("hops.sync_to_async"),
    ),
    Column(
        "back",
        _median("hops.async_to_sync", 1, whole),
        2,
        "hops of one such request from a thread to an event loop",
        has("hops.async_to_sync"),
    ),
    Column(
        "interval",
        lambda row: span(row.throughput_interval),
        2,
        "95 % bootstrap interval of that median; with fewer than six restarts their range",
        counts_requests,
    ),
    Column(
        "limit",
        _median("limit_per_s", 1, number),
        4,
        "the most requests/s that are possible here: min(N/(L+S), W/(L+S), 1/S)",
        counts_requests,
    ),
    Column("of limit", _median("fraction_of_limit", 1, percent), 1, "req/s as a share of the limit", counts_requests),
    Column(
        "p50 ms", lambda row: milliseconds(row, "p50"), 1, "half of the answers came within this time", counts_requests
    ),
    Column(
        "p99 ms",
        lambda row: milliseconds(row, "p99"),
        1,
        "99 of 100 answers came within this time; in an open loop counted from the intended send",
        counts_requests,
    ),
    Column(
        "uncorrected p99 ms",
        lambda row: milliseconds(row, "p99", "latency_from_send_us"),
        3,
        "open loops: p99 of the answered requests alone, counted from the actual send",
        lambda row: row.is_open,
    ),
    Column(
        "threads",
        _median("server.threads_max", 1, whole),
        1,
        "most threads seen in the server's processes",
        lambda row: not holds(row),
    ),
    Column(
        "MB",
        _median("server.rss_bytes_max", 1e-6, whole),
        3,
        "most resident memory of the server, 10⁶ bytes",
        lambda row: not holds(row),
    ),
    Column(
        "CPU µs", _median("cpu_us_per_request", 1, whole), 3, "S: CPU time of the server per request", counts_requests
    ),
    Column(
        "front CPU µs",
        _median("front.cpu_us_per_request", 1, whole),
        2,
        "CPU time of what stands in front of the server, per request; it is not in CPU µs",
        has("front.cpu_us_per_request"),
    ),
    Column(
        "front MB",
        _median("front.rss_bytes_max", 1e-6, whole),
        3,
        "most resident memory of what stands in front of the server; it is not in MB",
        has("front.rss_bytes_max"),
    ),
    Column(
        "front CPU ms",
        _median("front.cpu_s", 1e3, whole),
        3,
        "CPU time of what stands in front of the server; it is not in CPU ms",
        lambda row: slows(row) and has("front.cpu_s")(row),
    ),
    Column(
        "limited by",
        lambda row: row.limiter or HOLE,
        3,
        "the resource that sampling found saturated, by the medians of its used shares; users or rate: nothing but "
        "the load; a dash: nothing was full",
        counts_requests,
    ),
    Column(
        "DB connections",
        _median("database.connections_max", 1, whole),
        0,
        "most connections that were open on the database",
        has("database.connections_max"),
    ),
    Column("errors", _median("failed", 1, whole), 0, "requests without a right answer, in the median restart", fails),
    Column(
        "first right answer ms",
        _median("database.recovered_us", 1e-3, whole),
        0,
        "time from the database's return to the first right answer",
        has("database.recovered_us"),
    ),
    Column(
        "left open",
        _median("waves.first.open_left", 1, whole),
        0,
        "connections still open when the first wave was over",
        waves,
    ),
    Column(
        "wave 1 failed", _median("waves.first.failed", 1, whole), 0, "requests of the first wave that failed", waves
    ),
    Column(
        "wave 2 failed", _median("waves.second.failed", 1, whole), 0, "requests of the second wave that failed", waves
    ),
    Column(
        "first failure",
        _median("waves.first.first_failed", 1, whole),
        1,
        "number of the request that failed first in the first wave",
        waves,
    ),
    Column(
        "slowest ms", _median("waves.first.slowest_us", 1e-3, whole), 1, "slowest right answer of the first wave", waves
    ),
    Column(
        "recovery ms",
        _median("waves.recovered_us", 1e-3, whole),
        2,
        "time from the end of the second wave to the first right answer",
        waves,
    ),
    Column(
        "coins lost",
        _median("database.coins_off", -1, whole),
        0,
        "by how much the sum over all accounts fell: payments that were left half done",
        pays,
    ),
    Column(
        "payments lost",
        _median("database.payments_lost", 1, whole),
        1,
        "payments that were confirmed and are not there",
        pays,
    ),
    Column("served", _median("held.served", 1, whole), 0, "feeds that got their first event in time", holds),
    Column("starved", _median("held.starved", 1, whole), 1, "feeds that were connected and got no event", holds),
    Column(
        "refused",
        _median("failed", 1, whole),
        1,
        "connections that were refused or answered with an error",
        lambda row: row.is_connections and any(row.values("failed")),
    ),
    Column(
        "first event ms",
        lambda row: milliseconds(row, "p99", "held.first_byte_us"),
        2,
        "99 of 100 first events came within this time",
        holds,
    ),
    Column(
        "delivery ms",
        _median("held.all_delivered_us", 1e-3, number),
        1,
        "time until the last feed had what was published; a dash where nothing could be published",
        holds,
    ),
    Column(
        "MB held",
        _median("held.rss_held_bytes", 1e-6, whole),
        3,
        "resident memory of the server while all feeds were held, 10⁶ bytes",
        holds,
    ),
    Column("threads held", _median("held.threads_held", 1, whole), 0, "threads while all feeds were held", holds),
    Column(
        "threads after",
        _median("held.threads_left", 1, whole),
        3,
        "threads some seconds after the last feed was closed",
        holds,
    ),
    Column(
        "kB per feed",
        _median("held.rss_per_connection_bytes", 1e-3, number),
        1,
        "resident memory that a held feed added, 10³ bytes",
        holds,
    ),
    Column(
        "wasted views",
        _median("gone.ended_in_vain", 1, whole),
        0,
        "views that did all their work although their client had left",
        leaves,
    ),
    Column(
        "cancelled views",
        _median("gone.cut_short", 1, whole),
        1,
        "views that were cancelled when their client left",
        leaves,
    ),
    Column(
        "next client ms",
        _median("gone.newcomer_us", 1e-3, number),
        0,
        "time of a hello that was sent when all of them had left",
        lambda row: leaves(row) and not pays(row),
    ),
    Column(
        "CPU ms per departure",
        _median("gone.cpu_us_per_leaver", 1e-3, number),
        1,
        "server CPU spent per client after it had left",
        lambda row: leaves(row) and not pays(row),
    ),
    Column(
        "visits kept",
        _median("slow.kept_share", 1, percent),
        0,
        "visits of others that were answered per second beside the slow clients, of those before them",
        slows,
    ),
    Column("before /s", _median("slow.alone.answered_per_s", 1, number), 3, "visits answered per second before", slows),
    Column("beside /s", _median("slow.beside.answered_per_s", 1, number), 2, "and beside the slow clients", slows),
    Column(
        "visit p50 ms",
        lambda row: milliseconds(row, "p50", "slow.beside.latency_us"),
        1,
        "half of the visits beside the slow clients took no longer",
        slows,
    ),
    Column(
        "visit p99 ms",
        lambda row: milliseconds(row, "p99", "slow.beside.latency_us"),
        1,
        "99 of 100 visits beside the slow clients took no longer",
        slows,
    ),
    Column(
        "in views",
        _median("slow.inside_most", 1, whole),
        1,
        "most slow requests that were in a view at once; in a sync view each has a thread",
        slows,
    ),
    Column("slow served", _median("slow.served", 1, whole), 2, "slow clients that had the right answer", slows),
    Column("CPU ms", _median("server.cpu_s", 1e3, whole), 3, "CPU time of the server, before and beside them", slows),
    Column(
        "carried",
        _median("streams.carried", 1, whole),
        0,
        "streams about as quick as their upstream: first part within 1 s, 19 of 20 gaps at most twice the upstream's",
        streams,
    ),
    Column("whole", _median("streams.whole", 1, whole), 2, "streams that came to their end in time", streams),
    Column(
        "first part ms",
        lambda row: milliseconds(row, "p50", "streams.first_part_us"),
        1,
        "half of the first parts came within this time",
        streams,
    ),
    Column(
        "gap p99 ms",
        lambda row: milliseconds(row, "p99", "streams.gap_us"),
        0,
        "99 of 100 gaps between two parts were no longer; a stream that is collected first has none",
        streams,
    ),
    Column(
        "CPU µs per part",
        _median("streams.cpu_us_per_part", 1, whole),
        1,
        "CPU time of the server for each part that came, opening and closing included",
        streams,
    ),
    Column("left", _median("streams.left", 1, whole), 2, "streams whose client left half way", streams),
    Column(
        "stopped upstream",
        _median("streams.stopped", 1, whole),
        0,
        "streams that the upstream stopped, because their reader had gone",
        streams,
    ),
    Column(
        "written for nobody",
        _median("streams.parts_in_vain", 1, whole),
        1,
        "parts that the upstream wrote and that came to no client",
        streams,
    ),
    Column("verdict", lambda row: row.verdict_text, 0, "ok, or what happened to some or all restarts"),
)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """Return the columns that are about any of these rows, in the order of COLUMNS.

    A column that may be dropped is dropped where it would hold nothing but dashes.
    """
    about = [column for column in COLUMNS if column.concerns is always or any(map(column.concerns, rows))]
    measured = [row for row in rows if row.measured]
    return [it for it in about if not (it.rank and measured) or any(it.text(row) != HOLE for row in measured)]


def cells(row: Row, columns: Sequence[Column], notes: dict[str, int]) -> list[str]:
    """Return the row's cells; a verdict other than ok refers to its note, as in `degraded [1]`."""
    texts = [column.text(row) for column in columns]
    if columns[-1].heading == "verdict" and row.why in notes and row.verdict != "ok":
        texts[-1] += f" [{notes[row.why]}]"
    return texts
