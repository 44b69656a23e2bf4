"""A run in a terminal, no wider than it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import Row, between_windows_s, rows_of, stacks_without_trials
from bench.model.run_record import Run
from bench.model.trial_record import Verdict
from bench.show.tables.columns import Column, cells, columns_of
from bench.show.tables.footnotes import notes_of, plateau_lines, refusal_lines
from bench.show.tables.groups import groups_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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


def print_findings(findings: Sequence[ClaimFinding], console: Console) -> None:
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
