"""A run as Markdown: its table, notes and findings."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.tables.columns import cells, columns_of
from bench.show.tables.footnotes import notes_of, plateau_lines, refusal_lines
from bench.show.tables.formatting import HOLE, code, one_line, verbatim


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
        *(markdown_line([*_lead(row, names_middleware), *map(verbatim, cells(row, columns, notes))]) for row in rows),
    ]
    parts = [
        "\n".join(lines) if rows else "No trial was measured.",
        _notes(notes),
        "\n".join(f"- {verbatim(line)}" for line in [*plateau_lines(run), *refusal_lines(rows)]),
        _findings(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lead(row: Row, names_middleware: bool) -> list[str]:
    middleware = [verbatim("+".join(row.middleware)) or HOLE] if names_middleware else []
    on = f" on {verbatim(row.vendor)}" if row.vendor else ""
    return [f"{code(row.request)}{on}", row.load_text, *middleware]


def markdown_line(texts: Sequence[str]) -> str:
    """One line of a table, of cells that are Markdown."""
    return "| " + " | ".join(one_line(text).replace("|", "\\|") for text in texts) + " |"


def _notes(notes: dict[str, int]) -> str:
    return "\n".join(f"- [{place}] {verbatim(text)}" for text, place in notes.items())


def _findings(run: Run) -> str:
    return "\n".join(map(finding_point, findings_of(run)))


def finding_point(finding: ClaimFinding) -> str:
    """A point of a list: the finding, what was claimed, the ratio with its interval."""
    return f"- **{finding.value}**: {verbatim(finding.claim.says)}: {verbatim(finding.text)}"
