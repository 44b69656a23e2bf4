"""Prints answers: a table for each server, what has changed; and writes them as Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.claims.conformance.kept import Change, Row
from bench.claims.conformance.questions import QUESTIONS
from bench.model.servers import SERVERS

ASKS = {question.name: question.asks for question in QUESTIONS}
SOURCES = {question.name: question.source for question in QUESTIONS}
COLOURS = {"yes": "green", "no": "red", "does not apply": "dim", "could not ask": "yellow"}
SHORT = {"does not apply": "–", "could not ask": "?"}
WIDEST = 130


def servers_of(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Group rows by server and interface; yield the title of each group and its rows."""
    for (server, version, interface), group in groupby(rows, lambda row: row[:3]):
        package = SERVERS[server].packages[0] if server in SERVERS else server
        named = f"{server} {version}" if package == server else f"{server} ({package} {version})"
        yield f"{named} behind {interface.upper()}", list(group)


def show_rows(rows: Sequence[Row], console: Console) -> None:
    """Print a table for each server and interface."""
    for title, theirs in servers_of(rows):
        if {row.answer for row in theirs} <= {"could not ask", "does not apply"}:
            console.print(Text.assemble((title, "bold"), f": could not ask. {theirs[0].seen}\n"))
            continue
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(width=max(map(len, COLOURS)))
        table.add_column()
        for row in theirs:
            text = Text.assemble((row.question, "bold"), f": {ASKS[row.question]}\n", row.seen)
            table.add_row(Text(row.answer, style=COLOURS[row.answer]), text)
        console.print(Text(title, style="bold"))
        console.print(table, width=min(console.width, WIDEST))
        console.print()


def show_changes(changes: Sequence[Change], kept: int, console: Console) -> None:
    """Print what differs from the kept answers, with the versions."""
    for was, now in changes:
        text = f"{now.server} behind {now.interface.upper()}, {now.question}: {was.answer} ({was.version}: {was.seen}) "
        console.print(Text(f"{text}→ {now.answer} ({now.version}: {now.seen})"))
    answers = sum(change.counts for change in changes)
    text = f"{kept} answers are kept; {answers} have changed, {len(changes) - answers} only in what was seen."
    console.print(text if kept else "None of these answers is kept yet: `lab conformance --keep` does.", markup=False)


def overview_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and lines of a table: a question a line, a server and interface a column."""
    columns = dict(servers_of(rows))
    answers = {title: {row.question: row.answer for row in theirs} for title, theirs in columns.items()}
    headings = ["", *(title.replace(" behind ", ", ") for title in columns)]
    lines = [
        [ASKS[name], *(SHORT.get(word := answers[title].get(name, ""), word) for title in columns)] for name in ASKS
    ]
    return headings, lines


def detail_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return the lines of one server's table: question, answer, what was seen, source."""
    return [[ASKS[row.question], f"**{row.answer}**", row.seen, SOURCES[row.question]] for row in rows]
