"""Prints a run in a terminal, no wider than it."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analyse.comparability import environments_of
from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import Row, between_windows_s, rows_of, stacks_without_trials
from bench.model.environments import DEFAULT
from bench.model.run_record import Run
from bench.show.tables.columns import Column, cells, columns_of
from bench.show.tables.footnotes import notes_of, plateau_lines, refusal_lines
from bench.show.tables.groups import groups_of

_COLOURS = {"supported": "green", "refuted": "red", "cannot tell": "yellow"}
_VERDICT_COLOURS = {"ok": "", "degraded": "yellow", "aborted": "yellow", "not-run": "magenta", "invalid": "red"}


def plain_table(**options: Any) -> Table:
    """Return an empty table without lines, two blanks between its columns. `options` go to rich's Table."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", **options)


def print_lines(lines: Sequence[str], console: Console) -> None:
    """Print lines in grey, after an empty one; nothing where there are none."""
    for place, line in enumerate(lines):
        console.print("\n" * (place == 0) + line, style="dim", highlight=False, markup=False)


def print_run(run: Run, console: Console) -> None:
    """Print the run's table, its notes, plateaus and refusals, and its findings, no wider than the console."""
    rows = rows_of(run)
    _print_rows(rows, console)
    print_lines([*plateau_lines(run), *refusal_lines(rows)], console)
    for stack in stacks_without_trials(run):
        console.print(f"{stack}: planned, not measured in this run ({run.status})", highlight=False, markup=False)
    print_lines([f"%{name}: {said.text}" for name, said in environments_of(run).items() if name != DEFAULT], console)
    print_findings(findings_of(run), console)
    pause_s = between_windows_s(run)
    if pause_s is not None:
        print_lines([f"{pause_s:.2f} s between the windows of two trials (median; stop, start, ready, probe)"], console)


def _print_rows(rows: Sequence[Row], console: Console) -> None:
    """Print one aligned table for each request and load, then the numbered notes."""
    if not rows:
        console.print("No trial was measured.", highlight=False)
        return
    notes = notes_of(rows)
    columns = _fitting_columns(rows, notes, console.width)
    widths = _widths(rows, columns, notes)
    for place, group in enumerate(groups_of(rows)):
        console.print(f"\n{group.heading}", style="bold", highlight=False, markup=False)
        table = plain_table(show_header=place == 0)
        for column, width in zip(columns, widths, strict=True):
            is_text = column.heading in ("stack", "verdict")
            table.add_column(column.heading, justify="left" if is_text else "right", min_width=width, no_wrap=True)
        for row in group.rows:
            *texts, verdict = map(Text, cells(row, columns, notes))
            verdict.stylize(_VERDICT_COLOURS[row.verdict])
            table.add_row(*texts, verdict)
        console.print(table)
    print_lines([f"[{place}] {text}" for text, place in notes.items()], console)


def _fitting_columns(rows: Sequence[Row], notes: dict[str, int], width: int) -> list[Column]:
    """Return all columns, less those of the highest rank until the table fits into `width` characters."""
    columns = columns_of(rows)
    while sum(_widths(rows, columns, notes)) + 2 * (len(columns) - 1) > width:
        dispensable = max(columns, key=lambda column: column.rank)
        if dispensable.rank == 0:
            break
        columns.remove(dispensable)
    return columns


def _widths(rows: Sequence[Row], columns: Sequence[Column], notes: dict[str, int]) -> list[int]:
    """Return how many characters wide each column is over all rows."""
    lines = [[column.heading for column in columns], *(cells(row, columns, notes) for row in rows)]
    return [max(map(len, texts)) for texts in zip(*lines, strict=True)]


def print_findings(findings: Sequence[ClaimFinding], console: Console) -> None:
    """Print one claim a line: the finding, the claim, the ratio with its interval."""
    if not findings:
        return
    table = plain_table(show_header=False)
    for finding in findings:
        claim = Text(finding.claim.says + ": ").append(finding.text, style="bold")
        table.add_row(Text(finding.value, style=_COLOURS[finding.value]), claim)
    console.print("\nFindings", style="bold")
    console.print(table)
