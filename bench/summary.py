"""A run as rows (one per stack x request x users, over restarts) and findings: in a terminal, Markdown, JSON.

`COLUMNS` is the one list of what is shown and how it is written, so every table says the same numbers. Draws
nothing; `plots.py` and `report.py` start from the same rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from bench import stats, theory
from bench.record import Claim, Reason, Run, Trial, Verdict, decode_histogram, new_histogram

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WORST_LAST: tuple[Verdict, ...] = ("ok", "degraded", "aborted", "not-run", "invalid")
ONLY_LATENCY_SUFFERS = {"unsteady", "errors"}
"""Reasons under which a degraded trial still decides claims, but none about latency. Under any other it is
shown, hollow, and proves nothing."""

HOLLOW = "○"
HOLE = "–"


@dataclass(frozen=True)
class Row:
    """All restarts of one stack x request x middleware x users; numbers are medians over those measured."""

    stack: str
    request: str
    middleware: tuple[str, ...]
    users: int
    trials: tuple[Trial, ...]

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """The restarts whose numbers may be shown."""
        return tuple(trial for trial in self.trials if trial.is_measured)

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
        return Counter(trial.verdict for trial in self.trials)

    @property
    def verdict(self) -> Verdict:
        """The worst of the restarts' verdicts."""
        return max(self.verdicts, key=WORST_LAST.index)

    @property
    def verdict_text(self) -> str:
        """The verdict where all restarts are alike, else how many have the worst one: `1/5 invalid`."""
        if len(self.verdicts) == 1:
            return self.verdict
        return f"{self.verdicts[self.verdict]}/{len(self.trials)} {self.verdict}"

    @property
    def is_hollow(self) -> bool:
        """True where numbers exist but some restart was not plainly `ok`."""
        return bool(self.measured) and self.verdict != "ok"

    @cached_property
    def reasons(self) -> tuple[tuple[Reason, int], ...]:
        """The first reason of each code, with the number of restarts it befell."""
        counts: Counter[str] = Counter()
        first: dict[str, Reason] = {}
        for trial in self.trials:
            counts.update({reason.code for reason in trial.reasons})
            first = {reason.code: reason for reason in reversed(trial.reasons)} | first
        return tuple((first[code], counts[code]) for code in first)

    @property
    def why(self) -> str:
        """The reasons as one text; how many restarts each befell where there are several restarts."""
        return "; ".join(self._because(*counted) for counted in self.reasons) or (
            "interrupted" if self.verdict == "aborted" else "no reason recorded"
        )

    def _because(self, reason: Reason, count: int) -> str:
        share = f" ({count} of {len(self.trials)} restarts)" if len(self.trials) > 1 else ""
        return reason.message.rstrip(".") + share

    def values(self, measure: str) -> list[float]:
        """One number per measured restart; `measure` is a path in Trial, such as `server.threads_max`."""
        return values_of(self.measured, measure)

    def median(self, measure: str) -> float | None:
        values = self.values(measure)
        return stats.median_of(values) if values else None

    def interval(self, measure: str) -> stats.Interval | None:
        """The interval of the median over restarts; None for fewer than three of them."""
        values = self.values(measure)
        return _median_interval(tuple(values)) if values else None

    @cached_property
    def throughput_interval(self) -> stats.Interval | None:
        return self.interval("throughput_per_s")

    @property
    def io_wait_s(self) -> float:
        return self.trials[0].io_wait_s

    @property
    def slots(self) -> int | None:
        return self.trials[0].slots

    @property
    def limiter(self) -> theory.Limiter | None:
        """Which of users, threads and server CPU gives the limit, with the measured CPU per request."""
        cpu_us = self.median("cpu_us_per_request")
        if cpu_us is None:
            return None
        return theory.limiter(
            users=self.users,
            io_wait_s=self.io_wait_s,
            cpu_s=cpu_us / 1e6,
            threads=self.slots,
            cores=processes_of(self.stack),
        )

    @cached_property
    def histogram(self) -> Any:
        """The latencies of all measured restarts in one HdrHistogram, added without loss."""
        merged = new_histogram()
        for trial in self.measured:
            if trial.histogram:
                merged.add(decode_histogram(trial.histogram))
        return merged


@cache
def _median_interval(values: tuple[float, ...]) -> stats.Interval | None:
    return stats.median_interval(values)


def processes_of(stack: str) -> int:
    """Server processes in the stack's budget, 1 where it names none; also for stacks no longer known."""
    match = re.search(r"x([1-9][0-9]*)$", stack.partition(":")[2])
    return int(match[1]) if match else 1


def values_of(trials: Iterable[Trial], measure: str) -> list[float]:
    """The numbers at a dotted path, of the trials that have them. AttributeError where no trial could."""
    values = (_follow(trial, measure.split(".")) for trial in trials)
    return [float(value) for value in values if value is not None]


def _follow(start: object, path: Sequence[str]) -> Any:
    return reduce(lambda at, name: None if at is None else getattr(at, name), path, start)


def rows_of(run: Run) -> list[Row]:
    """The run's rows in the plan's order: request, middleware, users, stack."""
    groups: dict[tuple[str, str, tuple[str, ...], int], list[Trial]] = {}
    for trial in sorted(run.trials, key=attrgetter("repeat")):
        key = (trial.stack, trial.request, tuple(trial.middleware), trial.users)
        groups.setdefault(key, []).append(trial)
    rows = [Row(*key, tuple(trials)) for key, trials in groups.items()]
    return sorted(rows, key=lambda row: _place(run, row))


def _place(run: Run, row: Row) -> tuple[object, ...]:
    return (
        *_rank(run.plan.requests, row.request),
        *(len(row.middleware), row.middleware, row.users),
        *_rank(run.plan.stacks, row.stack),
    )


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def stacks_without_trials(run: Run) -> list[str]:
    """Stacks that were planned and have no trial in the run, as an interruption leaves them."""
    seen = {trial.stack for trial in run.trials}
    return [stack for stack in run.plan.stacks if stack not in seen]


@dataclass(frozen=True)
class Finding:
    """A claim judged by the run. `text` is the ratio with its interval, or why it cannot be told."""

    claim: Claim
    value: stats.Finding
    text: str
    ratio: stats.Interval | None = None


def findings_of(run: Run) -> list[Finding]:
    """One finding for each of the plan's claims, in its order."""
    return [_judge(claim, run.trials) for claim in run.plan.claims]


def _judge(claim: Claim, trials: Sequence[Trial]) -> Finding:
    left, right = _pick(trials, claim.left), _pick(trials, claim.right)
    hindrance = _hindrance(claim.left, left, claim.measure) or _hindrance(claim.right, right, claim.measure)
    if hindrance:
        return Finding(claim, "cannot tell", hindrance)
    ratio = stats.ratio_interval(_deciding(left, claim.measure), _deciding(right, claim.measure))
    if ratio is None:
        return Finding(claim, "cannot tell", f"fewer than {stats.MIN_RESTARTS} restarts on a side")
    judge = stats.finding_greater if claim.expect == "greater" else stats.finding_less
    return Finding(claim, judge(ratio, claim.than), _ratio_text(claim, ratio), ratio)


def _ratio_text(claim: Claim, ratio: stats.Interval) -> str:
    asked = f", asked: {'more' if claim.expect == 'greater' else 'less'} than {claim.than:g}×"
    return stats.describe_ratio(ratio) + (asked if claim.than != 1 else "")


def _pick(trials: Sequence[Trial], selector: dict[str, Any]) -> list[Trial]:
    return [trial for trial in trials if _fits(trial, selector)]


def _fits(trial: Trial, selector: dict[str, Any]) -> bool:
    return (
        trial.stack == selector["stack"]
        and selector.get("request") in (None, trial.request, trial.workload)
        and selector.get("users") in (None, trial.users)
        and selector.get("middleware") in (None, trial.middleware)
    )


def _deciding(trials: Sequence[Trial], measure: str) -> list[float]:
    return values_of((trial for trial in trials if _decides(trial, measure)), measure)


def _decides(trial: Trial, measure: str) -> bool:
    codes = {reason.code for reason in trial.reasons}
    stands = codes <= ONLY_LATENCY_SUFFERS and not measure.startswith("latency")
    return trial.verdict == "ok" or (trial.verdict == "degraded" and stands)


def _hindrance(selector: dict[str, Any], trials: Sequence[Trial], measure: str) -> str:
    """Why these trials cannot stand for one side of a claim; empty where they can."""
    side = selector_text(selector)
    if not trials:
        return f"not in this run: {side}"
    if len({(trial.request, trial.users, tuple(trial.middleware)) for trial in trials}) > 1:
        return f"{side} fits several rows: the claim must name its request and users"
    values = _deciding(trials, measure)
    if not values:
        codes = dict.fromkeys(reason.code for trial in trials for reason in trial.reasons)
        return f"{side} has no {measure} to go by ({', '.join(codes) or 'not measured'})"
    return f"{side} has a {measure} of 0" if min(values) <= 0 else ""


def selector_text(selector: dict[str, Any]) -> str:
    """One side of a claim in words: `async_asgi@uvicorn, wait?ms=100, 400 users`."""
    parts = [selector["stack"], selector.get("request"), _users_text(selector.get("users"))]
    return ", ".join(part for part in [*parts, "+".join(selector.get("middleware") or [])] if part)


def _users_text(users: int | None) -> str | None:
    return None if users is None else f"{users:,} user{'' if users == 1 else 's'}"


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
        return text(None if value is None else value * factor)

    return cell


@dataclass(frozen=True)
class Column:
    """One column of every table. `rank` says how late it is dropped where the terminal is narrow: 0 never."""

    heading: str
    text: Callable[[Row], str]
    rank: int
    help: str


COLUMNS = (
    Column("stack", lambda row: row.stack, 0, "lab @ server : budget (threads, x processes)"),
    Column(
        "req/s",
        lambda row: (HOLLOW + " " if row.is_hollow else "") + number(row.median("throughput_per_s")),
        0,
        "right answers per second, median over restarts; ○ where some restart is not ok",
    ),
    Column(
        "interval",
        lambda row: span(row.throughput_interval),
        2,
        "95 % bootstrap interval of that median; with fewer than six restarts, their range",
    ),
    Column(
        "limit",
        _scaled("limit_per_s", 1, number),
        4,
        "requests/s that no server can exceed here: min(N/(L+S), W/(L+S), 1/S)",
    ),
    Column("of limit", _scaled("fraction_of_limit", 1, percent), 1, "share of the limit that was reached"),
    Column("p50 ms", _scaled("latency_us.p50", 1e-3, number), 1, "half of the answers came within"),
    Column("p99 ms", _scaled("latency_us.p99", 1e-3, number), 1, "99 of 100 answers came within"),
    Column("threads", _scaled("server.threads_max", 1, whole), 1, "most threads seen in the server's processes"),
    Column("MB", _scaled("server.rss_bytes_max", 1e-6, whole), 3, "most resident memory of the server, 10⁶ bytes"),
    Column("CPU µs", _scaled("cpu_us_per_request", 1, whole), 3, "S: CPU time of the server per request"),
    Column("verdict", lambda row: row.verdict_text, 0, "ok, or what happened to some or all restarts"),
)


@dataclass(frozen=True)
class Group:
    """The rows that share a request, middleware and a number of users: what may be compared at a glance."""

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
    return " · ".join([row.request, f"{_users_text(row.users)}", *middleware])


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
    "cpu_us_per_request": "cpu_us_per_request",
    "threads_max": "server.threads_max",
    "rss_bytes_max": "server.rss_bytes_max",
    "connections_max": "server.connections_max",
    "server_cpu_share": "server.cpu_share",
    "load_cpu_share": "load.cpu_share",
}


def to_json_rows(run: Run) -> list[dict[str, Any]]:
    """The rows as plain data: medians over restarts, throughput with its interval where there is one."""
    return [_json_row(row) for row in rows_of(run)]


def _json_row(row: Row) -> dict[str, Any]:
    interval = row.throughput_interval
    return {
        "stack": row.stack,
        "request": row.request,
        "middleware": list(row.middleware),
        "users": row.users,
        "verdict": row.verdict,
        "restarts": dict(row.verdicts),
        "reasons": [{"code": it.code, "message": it.message, "restarts": count} for it, count in row.reasons],
        "throughput_per_s": row.median("throughput_per_s"),
        "throughput_interval_per_s": None if interval is None else [interval.low, interval.high],
        **{key: row.median(measure) for key, measure in _JSON_MEASURES.items()},
    }


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
    lead = ["request", "users", *(["middleware"] if names_middleware else [])]
    lines = [
        _markdown_line([*lead, *(column.heading for column in COLUMNS)]),
        _markdown_line([":--", "--:", *[":--"] * (len(lead) - 2), ":--", *["--:"] * (len(COLUMNS) - 2), ":--"]),
        *(_markdown_line([*_lead(row, names_middleware), *cells(row, COLUMNS, notes)]) for row in rows),
    ]
    parts = [
        "\n".join(lines) if rows else "No trial was measured.",
        _markdown_notes(notes),
        _markdown_findings(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lead(row: Row, names_middleware: bool) -> list[str]:
    middleware = ["+".join(row.middleware) or HOLE] if names_middleware else []
    return [f"`{row.request}`", f"{row.users:,}", *middleware]


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(_one_line(text).replace("|", "\\|") for text in texts) + " |"


def _markdown_notes(notes: dict[str, int]) -> str:
    return "\n".join(f"- [{place}] {_one_line(text)}" for text, place in notes.items())


def _markdown_findings(run: Run) -> str:
    return "\n".join(f"- **{finding.value}**: {finding.claim.says}: {finding.text}" for finding in findings_of(run))


def _one_line(text: str) -> str:
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
    for stack in stacks_without_trials(run):
        console.print(f"{stack}: planned, not measured in this run ({run.status})", highlight=False, markup=False)
    print_findings(findings_of(run), console)


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """One aligned table for each request and number of users, then the numbered notes."""
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


def fitting_columns(rows: Sequence[Row], notes: dict[str, int], width: int) -> list[Column]:
    """All columns, less the most dispensable ones until the table fits into `width` characters."""
    columns = list(COLUMNS)
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
