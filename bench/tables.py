"""Rows and findings of a run as tables: in a terminal, as Markdown, as JSON.

`COLUMNS` is the one list of what is shown and how it is written, so every table says the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench import stats
from bench.plateaus import Plateau, plateaus_of
from bench.record import Run, Trial, Verdict
from bench.summary import Finding, Row, between_windows_s, findings_of, rows_of, stacks_without_trials

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

HOLLOW = "○"
HOLE = "–"
AT_LEAST = "≥"


def number(value: float | None) -> str:
    """Three digits or all before the point: 0.82, 7.91, 79.1, 791, 7,912; a dash for None."""
    if value is None:
        return HOLE
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{decimals}f}"


def percent(share: float | None) -> str:
    return HOLE if share is None else f"{100 * share:.0f} %"


def whole(value: float | None) -> str:
    return HOLE if value is None else f"{value:,.0f}"


def span(interval: stats.Interval | None) -> str:
    return HOLE if interval is None else f"{number(interval.low)}–{number(interval.high)}"


def _scaled(measure: str, factor: float, text: Callable[[float | None], str]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.median(measure)
        return text(None if value is None else value * factor + 0.0)  # never -0

    return cell


def is_lower_bound(row: Row, percentile: str) -> bool:
    """True where unanswered requests reach down to that percentile, as `p99`, in some restart."""
    return any(percentile in trial.latency_at_least for trial in row.measured)


def milliseconds(row: Row, percentile: str, measure: str = "latency_us") -> str:
    """The percentile's median over restarts in ms, with a sign where it is a lower bound."""
    value_us = row.median(f"{measure}.{percentile}")
    is_bound = value_us is not None and measure == "latency_us" and is_lower_bound(row, percentile)
    return (AT_LEAST if is_bound else "") + number(None if value_us is None else value_us / 1000)


def _always(_: Row) -> bool:
    return True


def _counts_requests(row: Row) -> bool:
    return not row.is_connections


def _holds(row: Row) -> bool:
    return bool(row.values("held.served"))


def _leaves(row: Row) -> bool:
    return bool(row.values("gone.left"))


def _leaves_work(row: Row) -> bool:
    return _leaves(row) and not _pays(row)


def _waves(row: Row) -> bool:
    return bool(row.values("waves.first.open_left"))


def _pays(row: Row) -> bool:
    return bool(row.values("database.payments_lost"))


def _fails(row: Row) -> bool:
    """Where a database was asked, errors are part of the answer."""
    return not row.is_connections and bool(row.values("database.coins_off")) and any(row.values("failed"))


def _hops(row: Row) -> float | None:
    """Both directions together, None where they were not counted."""
    there, back = row.median("hops.sync_to_async"), row.median("hops.async_to_sync")
    return None if there is None or back is None else there + back


@dataclass(frozen=True)
class Column:
    """One column of every table. `rank` says how early it is dropped where the terminal is narrow: 0 never.

    It is there where it means something for some row.
    """

    heading: str
    text: Callable[[Row], str]
    rank: int
    help: str
    concerns: Callable[[Row], bool] = _always


COLUMNS = (
    Column("stack", lambda row: row.stack, 0, "lab @ server : budget (threads, x processes)"),
    Column(
        "asked/s",
        _scaled("rate_per_s", 1, number),
        2,
        "requests/s of the schedule, where the load is a share of what the stack can do",
        lambda row: row.load.capacity_share is not None,
    ),
    Column(
        "req/s",
        lambda row: (HOLLOW + " " if row.is_hollow else "") + number(row.median("throughput_per_s")),
        0,
        "right answers per second, median over restarts; ○ where some restart is not ok",
        _counts_requests,
    ),
    Column(
        "interval",
        lambda row: span(row.throughput_interval),
        2,
        "95 % bootstrap interval of that median; with fewer than six restarts, their range",
        _counts_requests,
    ),
    Column(
        "limit",
        _scaled("limit_per_s", 1, number),
        4,
        "requests/s that no server can exceed here: min(N/(L+S), W/(L+S), 1/S)",
        _counts_requests,
    ),
    Column(
        "of limit", _scaled("fraction_of_limit", 1, percent), 1, "share of the limit that was reached", _counts_requests
    ),
    Column("p50 ms", lambda row: milliseconds(row, "p50"), 1, "half of the answers came within", _counts_requests),
    Column(
        "p99 ms",
        lambda row: milliseconds(row, "p99"),
        1,
        "99 of 100 answers came within; in an open loop counted from the intended send",
        _counts_requests,
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
        lambda row: not _holds(row),
    ),
    Column("MB", _scaled("server.rss_bytes_max", 1e-6, whole), 3, "most resident memory of the server, 10⁶ bytes"),
    Column(
        "CPU µs", _scaled("cpu_us_per_request", 1, whole), 3, "S: CPU time of the server per request", _counts_requests
    ),
    Column(
        "limited by",
        lambda row: row.limiter or HOLE,
        3,
        "what samples show used to the full: users or rate mean nothing but the load",
        _counts_requests,
    ),
    Column(
        "hops",
        lambda row: whole(_hops(row)),
        1,
        "crossings between event loop and threads of one such request, counted outside of the window",
        lambda row: _hops(row) is not None,
    ),
    Column(
        "open",
        _scaled("database.connections_max", 1, whole),
        0,
        "connections open on the database at most",
        lambda row: bool(row.values("database.connections_max")),
    ),
    Column(
        "errors", _scaled("failed", 1, whole), 0, "requests that got no right answer, in the median restart", _fails
    ),
    Column(
        "well in ms",
        _scaled("database.recovered_us", 1e-3, whole),
        0,
        "from the database's return until right answers came",
        lambda row: bool(row.values("database.recovered_us")),
    ),
    Column(
        "left open", _scaled("waves.first.open_left", 1, whole), 0, "still open when the first wave was over", _waves
    ),
    Column("1st failed", _scaled("waves.first.failed", 1, whole), 0, "failed of the first wave", _waves),
    Column("2nd failed", _scaled("waves.second.failed", 1, whole), 0, "failed of the second wave", _waves),
    Column(
        "at the", _scaled("waves.first.first_failed", 1, whole), 1, "the first that failed of the first wave", _waves
    ),
    Column(
        "slowest ms", _scaled("waves.first.slowest_us", 1e-3, whole), 1, "of the first wave's right answers", _waves
    ),
    Column(
        "well after ms",
        _scaled("waves.recovered_us", 1e-3, whole),
        2,
        "from the second wave's end until a query was answered rightly",
        _waves,
    ),
    Column(
        "coins gone",
        _scaled("database.coins_off", -1, whole),
        0,
        "how much the sum over all accounts has sunk: payments that were left half done",
        _pays,
    ),
    Column("lost", _scaled("database.payments_lost", 1, whole), 1, "payments confirmed and not there", _pays),
    Column("served", _scaled("held.served", 1, whole), 0, "feeds that had their first event in time", _holds),
    Column("starved", _scaled("held.starved", 1, whole), 1, "feeds that had none, though they were connected", _holds),
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
        _holds,
    ),
    Column(
        "told ms",
        _scaled("held.all_delivered_us", 1e-3, number),
        1,
        "until the last feed had what was published; a dash where nobody could publish",
        _holds,
    ),
    Column("held by", _scaled("held.threads_held", 1, whole), 0, "threads while all feeds were held", _holds),
    Column(
        "left", _scaled("held.threads_left", 1, whole), 3, "threads some seconds after the last feed was closed", _holds
    ),
    Column(
        "kB each",
        _scaled("held.rss_per_connection_bytes", 1e-3, number),
        1,
        "resident memory that a held feed added, 10³ bytes",
        _holds,
    ),
    Column(
        "in vain",
        _scaled("gone.ended_in_vain", 1, whole),
        0,
        "views that did all their work for clients who had left",
        _leaves,
    ),
    Column(
        "cut short", _scaled("gone.cut_short", 1, whole), 1, "views that were cancelled when their client left", _leaves
    ),
    Column(
        "newcomer ms",
        _scaled("gone.newcomer_us", 1e-3, number),
        0,
        "how long a hello took that came when the last had left",
        _leaves_work,
    ),
    Column(
        "CPU ms each",
        _scaled("gone.cpu_us_per_leaver", 1e-3, number),
        1,
        "server CPU spent for each client after it had left",
        _leaves_work,
    ),
    Column("verdict", lambda row: row.verdict_text, 0, "ok, or what happened to some or all restarts"),
)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns that concern any of these rows, in their order."""
    return [column for column in COLUMNS if column.concerns is _always or any(map(column.concerns, rows))]


@dataclass(frozen=True)
class Group:
    """The rows that share a request, middleware and a load: what may be compared at a glance."""

    heading: str
    rows: tuple[Row, ...]


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Rows by heading, in their order; the middleware is named where any row has some."""
    names_middleware = any(row.middleware for row in rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_heading(row, names_middleware), []).append(row)
    return [Group(heading, tuple(members)) for heading, members in groups.items()]


def _heading(row: Row, names_middleware: bool) -> str:
    middleware = [", ".join(row.middleware) or "no middleware"] if names_middleware else []
    return " · ".join(filter(None, [row.request, row.load_text, *middleware, row.vendor]))


def notes_of(rows: Sequence[Row]) -> dict[str, int]:
    """Every different explanation of a verdict that is not ok, numbered from 1 in the order of the rows."""
    texts = dict.fromkeys(row.why for row in rows if row.verdict != "ok")
    return {text: place for place, text in enumerate(texts, start=1)}


def cells(row: Row, columns: Sequence[Column], notes: dict[str, int]) -> list[str]:
    """The row's texts; a verdict that is not ok refers to its note, as in `degraded [1]`."""
    texts = [column.text(row) for column in columns]
    if columns[-1].heading == "verdict" and row.why in notes and row.verdict != "ok":
        texts[-1] += f" [{notes[row.why]}]"
    return texts


_JSON_MEASURES = {
    "limit_per_s": "limit_per_s",
    "fraction_of_limit": "fraction_of_limit",
    "latency_p50_us": "latency_us.p50",
    "latency_p99_us": "latency_us.p99",
    "latency_from_send_p50_us": "latency_from_send_us.p50",
    "latency_from_send_p99_us": "latency_from_send_us.p99",
    "lateness_p99_us": "lateness_us.p99",
    "cpu_us_per_request": "cpu_us_per_request",
    "threads_max": "server.threads_max",
    "rss_bytes_max": "server.rss_bytes_max",
    "connections_max": "server.connections_max",
    "server_cpu_share": "server.cpu_share",
    "load_cpu_share": "load.cpu_share",
    "held_served": "held.served",
    "held_starved": "held.starved",
    "held_first_byte_p99_us": "held.first_byte_us.p99",
    "held_all_delivered_us": "held.all_delivered_us",
    "held_threads": "held.threads_held",
    "held_threads_left": "held.threads_left",
    "held_rss_per_connection_bytes": "held.rss_per_connection_bytes",
    "gone_ended_in_vain": "gone.ended_in_vain",
    "gone_cut_short": "gone.cut_short",
    "gone_newcomer_us": "gone.newcomer_us",
    "gone_cpu_us_per_leaver": "gone.cpu_us_per_leaver",
    "failed": "failed",
    "database_connections_max": "database.connections_max",
    "database_coins_off": "database.coins_off",
    "database_payments_lost": "database.payments_lost",
    "database_recovered_us": "database.recovered_us",
    "waves_first_open_max": "waves.first.open_max",
    "waves_first_open_left": "waves.first.open_left",
    "waves_first_failed": "waves.first.failed",
    "waves_second_failed": "waves.second.failed",
    "waves_recovered_us": "waves.recovered_us",
}


def to_json(run: Run) -> dict[str, Any]:
    """The whole run as plain data, and in `rows` what its table shows."""
    return {**vars(run), "rows": to_json_rows(run)}


def to_json_rows(run: Run) -> list[dict[str, Any]]:
    """The rows as plain data: medians over restarts, throughput with its interval where there is one."""
    plateaus = plateaus_of(run)
    return [_json_row(row, next((it for it in plateaus if row in it.rows), None)) for row in rows_of(run)]


def _json_row(row: Row, plateau: Plateau | None) -> dict[str, Any]:
    interval = row.throughput_interval
    return {
        "stack": row.stack,
        "request": row.request,
        "middleware": list(row.middleware),
        "users": row.load.users,
        "rate_per_s": row.load.rate_per_s,
        "capacity_share": row.load.capacity_share,
        "connections": row.load.connections,
        "max_connections": row.load.max_connections,
        "limiter": row.limiter,
        "plateau": None if plateau is None else _json_plateau(plateau),
        "verdict": row.verdict,
        "restarts": dict(row.verdicts),
        "reasons": [{"code": it.code, "message": it.message, "restarts": count} for it, count in row.reasons],
        "throughput_per_s": row.median("throughput_per_s"),
        "throughput_interval_per_s": None if interval is None else [interval.low, interval.high],
        **{key: row.median(measure) for key, measure in _JSON_MEASURES.items()},
        "latency_at_least": sorted({name for trial in row.measured for name in trial.latency_at_least}),
        "account": account_of(row),
        "events": [{"repeat": trial.repeat, **asdict(event)} for trial in row.trials for event in trial.events],
    }


def _json_plateau(plateau: Plateau) -> dict[str, Any]:
    return {
        "users": [row.users for row in plateau.rows],
        "throughput_per_s": plateau.throughput_per_s,
        "limiter": plateau.limiter,
        "used": None if plateau.most_used is None else plateau.most_used[1],
    }


ACCOUNT: dict[str, Callable[[Trial], int]] = {
    "issued": lambda trial: trial.issued,
    "completed": lambda trial: trial.completed,
    "failed": lambda trial: trial.failed,
    "timed out": lambda trial: trial.timed_out,
    "dropped": lambda trial: trial.dropped,
    "in flight": lambda trial: trial.in_flight,
}


def account_of(row: Row) -> dict[str, int]:
    """Where the requests of the measured restarts went; in an open loop the others sum up to `issued`."""
    return {name: sum(map(count, row.measured)) for name, count in ACCOUNT.items()}


def to_json_findings(run: Run) -> list[dict[str, Any]]:
    """The findings as plain data."""
    return [
        {
            "says": finding.claim.says,
            "finding": finding.value,
            "text": finding.text,
            "ratio": None if finding.ratio is None else finding.ratio.estimate,
            "ratio_interval": None if finding.ratio is None else [finding.ratio.low, finding.ratio.high],
        }
        for finding in findings_of(run)
    ]


def to_markdown(run: Run) -> str:
    """Table, notes and findings as Markdown; a row without measured restarts shows its verdict and why."""
    rows = rows_of(run)
    notes = notes_of(rows)
    names_middleware = any(row.middleware for row in rows)
    columns = columns_of(rows)
    lead = ["request", "load", *(["middleware"] if names_middleware else [])]
    lines = [
        markdown_line([*lead, *(column.heading for column in columns)]),
        markdown_line([":--", "--:", *[":--"] * (len(lead) - 2), ":--", *["--:"] * (len(columns) - 2), ":--"]),
        *(markdown_line([*_lead(row, names_middleware), *cells(row, columns, notes)]) for row in rows),
    ]
    parts = [
        "\n".join(lines) if rows else "No trial was measured.",
        _markdown_notes(notes),
        "\n".join(f"- {one_line(line)}" for line in [*plateau_lines(run), *refusal_lines(rows)]),
        _markdown_findings(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lead(row: Row, names_middleware: bool) -> list[str]:
    middleware = ["+".join(row.middleware) or HOLE] if names_middleware else []
    on = f" on {row.vendor}" if row.vendor else ""
    return [f"`{row.request}`{on}", row.load_text, *middleware]


def markdown_line(texts: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(one_line(text).replace("|", "\\|") for text in texts) + " |"


def refusals_of(rows: Sequence[Row]) -> list[tuple[str, Counter[str]]]:
    """What the database refused, in the words of the labs' logs: whose row, and how often each error in all."""
    found = []
    for row in rows:
        counts: Counter[str] = Counter()
        for trial in row.trials:
            counts.update(trial.database.errors if trial.database else {})
        if counts:
            found.append((f"{row.stack}, {row.load_text}", counts))
    return found


def refusal_lines(rows: Sequence[Row]) -> list[str]:
    """The refusals of each row as a sentence."""
    return [f"Refused, {whose}: {_counted(counts)}" for whose, counts in refusals_of(rows)]


def _counted(counts: Counter[str]) -> str:
    return "; ".join(f"{error} ({count:,}×)" for error, count in counts.most_common())


def _markdown_notes(notes: dict[str, int]) -> str:
    return "\n".join(f"- [{place}] {one_line(text)}" for text, place in notes.items())


def plateau_lines(run: Run) -> list[str]:
    """Each plateau as a sentence, with its limiter."""
    plateaus = plateaus_of(run)
    return [f"Plateau: {plateau_name(it, plateaus)}: {_plateau_text(it)}" for it in plateaus]


def _plateau_text(plateau: Plateau) -> str:
    by = f"limited by {plateau.limiter_text}" if plateau.limiter else plateau.limiter_text
    return f"from {plateau.users_text} users at {number(plateau.throughput_per_s)}/s, {by}"


def plateau_name(plateau: Plateau, among: Sequence[Plateau]) -> str:
    """The stack, with the request where there are several, and the middleware."""
    request = plateau.request if len({other.request for other in among}) > 1 else ""
    parts = [plateau.stack, request, "+".join(plateau.middleware)]
    return ", ".join(filter(None, parts))


def _markdown_findings(run: Run) -> str:
    return "\n".join(f"- **{finding.value}**: {finding.claim.says}: {finding.text}" for finding in findings_of(run))


def one_line(text: str) -> str:
    """Without line breaks, and without what Markdown would take for HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


_COLOURS = {"supported": "green", "refuted": "red", "cannot tell": "yellow"}
_VERDICT_COLOURS: dict[Verdict, str] = {
    "ok": "",
    "degraded": "yellow",
    "aborted": "yellow",
    "not-run": "magenta",
}


def print_run(run: Run, console: Console) -> None:
    """The run's table, its notes and its findings, no wider than the console."""
    rows = rows_of(run)
    print_rows(rows, console)
    print_below(run, console)
    for stack in stacks_without_trials(run):
        console.print(f"{stack}: planned, not measured in this run ({run.status})", highlight=False, markup=False)
    print_findings(findings_of(run), console)
    pause_s = between_windows_s(run)
    if pause_s is not None:
        text = f"{pause_s:.2f} s between the windows of two trials (median; stop, start, ready, probe)"
        console.print(f"\n{text}", style="dim", highlight=False)


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """One aligned table for each request and load, then the numbered notes."""
    if not rows:
        console.print("No trial was measured.", highlight=False)
        return
    notes = notes_of(rows)
    columns = fitting_columns(rows, notes, console.width)
    widths = _widths(rows, columns, notes)
    for place, group in enumerate(groups_of(rows)):
        console.print(f"\n{group.heading}", style="bold", highlight=False, markup=False)
        console.print(_table(group.rows, columns, widths, notes, show_header=place == 0))
    if notes:
        console.print()
    for text, place in notes.items():
        console.print(f"[{place}] {text}", style="dim", highlight=False, markup=False)


def print_below(run: Run, console: Console) -> None:
    """A line for each plateau: where, how high, limited by what; and for each thing that the database refused."""
    lines = [*plateau_lines(run), *refusal_lines(rows_of(run))]
    if lines:
        console.print()
    for line in lines:
        console.print(line, style="dim", highlight=False, markup=False)


def fitting_columns(rows: Sequence[Row], notes: dict[str, int], width: int) -> list[Column]:
    """All columns, less the most dispensable ones until the table fits into `width` characters."""
    columns = columns_of(rows)
    while sum(_widths(rows, columns, notes)) + 2 * (len(columns) - 1) > width:
        dispensable = max(columns, key=lambda column: column.rank)
        if dispensable.rank == 0:
            break
        columns.remove(dispensable)
    return columns


def _widths(rows: Sequence[Row], columns: Sequence[Column], notes: dict[str, int]) -> list[int]:
    lines = [[column.heading for column in columns], *(cells(row, columns, notes) for row in rows)]
    return [max(map(len, texts)) for texts in zip(*lines, strict=True)]


def _table(
    rows: Sequence[Row],
    columns: Sequence[Column],
    widths: Sequence[int],
    notes: dict[str, int],
    show_header: bool,
) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=show_header, header_style="dim")
    for column, width in zip(columns, widths, strict=True):
        is_text = column.heading in ("stack", "verdict")
        table.add_column(column.heading, justify="left" if is_text else "right", min_width=width, no_wrap=True)
    for row in rows:
        style = _VERDICT_COLOURS.get(row.verdict, "red")
        texts = cells(row, columns, notes)
        table.add_row(*(Text(text) for text in texts[:-1]), Text(texts[-1], style=style))
    return table


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """One claim a line: the finding, what was claimed, the ratio with its interval."""
    from rich.table import Table
    from rich.text import Text

    if not findings:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for finding in findings:
        claim = Text(finding.claim.says + ": ").append(finding.text, style="bold")
        table.add_row(Text(finding.value, style=_COLOURS[finding.value]), claim)
    console.print("\nFindings", style="bold")
    console.print(table)
