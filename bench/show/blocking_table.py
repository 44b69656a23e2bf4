"""Show what blocked an event loop: a sentence, then a row for each place with the call and ways to mend it."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from bench.trace.blocking_report import while_loading, while_running

NO_LINES: dict[str, Any] = {"box": None, "pad_edge": False, "padding": (0, 2, 0, 0), "header_style": "dim"}


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report of `trace/inside/blocking_pass.py`."""
    running, loading = while_running(report), while_loading(report)
    _say(console, [first_sentence(report)])
    if running:
        console.print()
        console.print(table(running))
    if loading:
        console.print()
        _say(console, ["Only while something is loaded (an import, or the first request for a path):"])
        console.print(table(loading))
    console.print()
    _say(console, notes(report))


def _say(console: Console, sentences: Sequence[str] | Iterator[str]) -> None:
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False)


def first_sentence(report: dict[str, Any]) -> str:
    """How many places block the loop, and the longest; or that none does."""
    running, least = while_running(report), report["threshold_ms"]
    if not running:
        requests = f"{report['requests']} requests" if report["requests"] != 1 else "1 request"
        over = f" for {least:g} ms or more" if least else ""
        loading = " once all was loaded" if while_loading(report) else ""
        return f"Nothing kept the event loop from turning{over}{loading}, in {requests}."
    calls = "1 call keeps" if len(running) == 1 else f"{len(running)} calls keep"
    worst = running[0]
    return (
        f"{calls} the event loop from turning for {least:g} ms or more, the longest for {worst['ms']:.0f} ms"
        + (f" at {worst['where']}" if worst["where"] else "")
        + ": every other request waits meanwhile."
    )


def table(findings: Sequence[dict[str, Any]]) -> Table:
    """Return a table with a row for each place, the longest first; the ways to mend a call stand below it."""
    shown = Table(
        Column("where", overflow="fold"),
        Column("ms", justify="right", no_wrap=True),
        Column("times", justify="right", no_wrap=True),
        Column("call, and how to mend it", overflow="fold"),
        **NO_LINES,
    )
    for finding in findings:
        where = finding["where"] or "an unknown place"
        outside = "" if finding["in_project"] else " (no line of the project leads there)"
        call = "\n".join([finding["call"], *(f"· {way['do']}" for way in finding["mend"])])
        shown.add_row(*map(escape, (where + outside, f"{finding['ms']:.0f}", str(finding["times"]), call)))
    return shown


def notes(report: dict[str, Any]) -> Iterator[str]:
    """What has to be known to read the table."""
    statuses = ", ".join(str(status or "no status") for status in report["statuses"])
    yield f"{report['requests']} requests, answered {statuses or 'nothing'}; {report['interpreter']}."
    if any(status == 0 or status >= HTTPStatus.MULTIPLE_CHOICES for status in report["statuses"]):
        yield "Not every answer is the page itself: `lab trace` without --blocking says why."
    if report["requests"] == 1 and report["blocking"]:
        yield "It was sent once, so loading cannot be told from the rest."
    if not report["sees_waits"]:
        yield "This machine does not say in which call a thread waits: only calls that compute were found."
