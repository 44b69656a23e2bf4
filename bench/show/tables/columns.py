"""`COLUMNS` is the one list of what is shown and how it is written, so every table says the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.rows import Row
from bench.show.tables.column_filters import always, counts_requests, fails, holds, leaves, leaves_work, pays, waves
from bench.show.tables.formatting import HOLE, HOLLOW, milliseconds, number, percent, span, whole


@dataclass(frozen=True)
class Column:
    """One column of every table. `rank` says how early it is dropped where the terminal is narrow: 0 never.

    It is there where it means something for some row.
    """

    heading: str
    text: Callable[[Row], str]
    rank: int
    help: str
    concerns: Callable[[Row], bool] = always


def _scaled(measure: str, factor: float, text: Callable[[float | None], str]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.median(measure)
        return text(None if value is None else value * factor + 0.0)  # never -0

    return cell


COLUMNS = (
    Column("stack", lambda row: row.stack, 0, "lab @ server : budget (threads, x processes)"),
    Column(
        "asked/s",
        _scaled("rate_per_s", 1, number),
        2,
        "requests/s of the schedule, where the load is a share of what the stack can do",
        lambda row: row.trial.capacity_share is not None,
    ),
    Column(
        "req/s",
        lambda row: (HOLLOW + " " if row.is_hollow else "") + number(row.median("throughput_per_s")),
        0,
        "right answers per second, median over restarts; ○ where some restart is not ok",
        counts_requests,
    ),
    Column(
        "interval",
        lambda row: span(row.throughput_interval),
        2,
        "95 % bootstrap interval of that median; with fewer than six restarts, their range",
        counts_requests,
    ),
    Column(
        "limit",
        _scaled("limit_per_s", 1, number),
        4,
        "requests/s that no server can exceed here: min(N/(L+S), W/(L+S), 1/S)",
        counts_requests,
    ),
    Column(
        "of limit", _scaled("fraction_of_limit", 1, percent), 1, "share of the limit that was reached", counts_requests
    ),
    Column("p50 ms", lambda row: milliseconds(row, "p50"), 1, "half of the answers came within", counts_requests),
    Column(
        "p99 ms",
        lambda row: milliseconds(row, "p99"),
        1,
        "99 of 100 answers came within; in an open loop counted from the intended send",
        counts_requests,
    ),
    Column(
        "p99 sent",
        lambda row: milliseconds(row, "p99", "latency_from_send_us"),
        3,
        "the uncorrected p99 in ms, answered requests only and counted from the actual send: open loops",
        lambda row: row.is_open,
    ),
    Column(
        "threads",
        _scaled("server.threads_max", 1, whole),
        1,
        "most threads seen in the server's processes",
        lambda row: not holds(row),
    ),
    Column("MB", _scaled("server.rss_bytes_max", 1e-6, whole), 3, "most resident memory of the server, 10⁶ bytes"),
    Column(
        "CPU µs", _scaled("cpu_us_per_request", 1, whole), 3, "S: CPU time of the server per request", counts_requests
    ),
    Column(
        "limited by",
        lambda row: row.limiter or HOLE,
        3,
        "what samples show used to the full: users or rate mean nothing but the load",
        counts_requests,
    ),
    Column(
        "hops",
        _scaled("hops.both", 1, whole),
        1,
        "crossings between event loop and threads of one such request, counted outside of the window",
        lambda row: bool(row.values("hops.both")),
    ),
    Column(
        "open",
        _scaled("database.connections_max", 1, whole),
        0,
        "connections open on the database at most",
        lambda row: bool(row.values("database.connections_max")),
    ),
    Column("errors", _scaled("failed", 1, whole), 0, "requests that got no right answer, in the median restart", fails),
    Column(
        "well in ms",
        _scaled("database.recovered_us", 1e-3, whole),
        0,
        "from the database's return until right answers came",
        lambda row: bool(row.values("database.recovered_us")),
    ),
    Column(
        "left open", _scaled("waves.first.open_left", 1, whole), 0, "still open when the first wave was over", waves
    ),
    Column("1st failed", _scaled("waves.first.failed", 1, whole), 0, "failed of the first wave", waves),
    Column("2nd failed", _scaled("waves.second.failed", 1, whole), 0, "failed of the second wave", waves),
    Column(
        "at the", _scaled("waves.first.first_failed", 1, whole), 1, "the first that failed of the first wave", waves
    ),
    Column("slowest ms", _scaled("waves.first.slowest_us", 1e-3, whole), 1, "of the first wave's right answers", waves),
    Column(
        "well after ms",
        _scaled("waves.recovered_us", 1e-3, whole),
        2,
        "from the second wave's end until a query was answered rightly",
        waves,
    ),
    Column(
        "coins gone",
        _scaled("database.coins_off", -1, whole),
        0,
        "how much the sum over all accounts has sunk: payments that were left half done",
        pays,
    ),
    Column("lost", _scaled("database.payments_lost", 1, whole), 1, "payments confirmed and not there", pays),
    Column("served", _scaled("held.served", 1, whole), 0, "feeds that had their first event in time", holds),
    Column("starved", _scaled("held.starved", 1, whole), 1, "feeds that had none, though they were connected", holds),
    Column(
        "refused",
        _scaled("failed", 1, whole),
        1,
        "connections that were refused, or answered with an error",
        lambda row: row.is_connections and any(row.values("failed")),
    ),
    Column(
        "first ms",
        lambda row: milliseconds(row, "p99", "held.first_byte_us"),
        2,
        "99 of 100 first events came within",
        holds,
    ),
    Column(
        "told ms",
        _scaled("held.all_delivered_us", 1e-3, number),
        1,
        "until the last feed had what was published; a dash where nobody could publish",
        holds,
    ),
    Column("held by", _scaled("held.threads_held", 1, whole), 0, "threads while all feeds were held", holds),
    Column(
        "left", _scaled("held.threads_left", 1, whole), 3, "threads some seconds after the last feed was closed", holds
    ),
    Column(
        "kB each",
        _scaled("held.rss_per_connection_bytes", 1e-3, number),
        1,
        "resident memory that a held feed added, 10³ bytes",
        holds,
    ),
    Column(
        "in vain",
        _scaled("gone.ended_in_vain", 1, whole),
        0,
        "views that did all their work for clients who had left",
        leaves,
    ),
    Column(
        "cut short", _scaled("gone.cut_short", 1, whole), 1, "views that were cancelled when their client left", leaves
    ),
    Column(
        "newcomer ms",
        _scaled("gone.newcomer_us", 1e-3, number),
        0,
        "how long a hello took that came when the last had left",
        leaves_work,
    ),
    Column(
        "CPU ms each",
        _scaled("gone.cpu_us_per_leaver", 1e-3, number),
        1,
        "server CPU spent for each client after it had left",
        leaves_work,
    ),
    Column("verdict", lambda row: row.verdict_text, 0, "ok, or what happened to some or all restarts"),
)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns that concern any of these rows, in their order."""
    return [column for column in COLUMNS if column.concerns is always or any(map(column.concerns, rows))]


def cells(row: Row, columns: Sequence[Column], notes: dict[str, int]) -> list[str]:
    """The row's texts; a verdict that is not ok refers to its note, as in `degraded [1]`."""
    texts = [column.text(row) for column in columns]
    if columns[-1].heading == "verdict" and row.why in notes and row.verdict != "ok":
        texts[-1] += f" [{notes[row.why]}]"
    return texts
