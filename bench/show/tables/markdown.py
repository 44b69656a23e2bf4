"""Writes Markdown tables, and a run as Markdown: its table, notes and findings."""

from collections.abc import Iterable, Sequence

from bench.analyse.findings import ClaimFinding, findings_of
from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.tables.columns import cells, columns_of
from bench.show.tables.footnotes import notes_of, plateau_lines, refusal_lines
from bench.show.tables.formatting import HOLE, code, one_line, verbatim


def markdown_line(texts: Iterable[str]) -> str:
    """Return one line of a table. The texts are Markdown already; a `|` in them is escaped."""
    return "| " + " | ".join(one_line(text).replace("|", "\\|") for text in texts) + " |"


def markdown_table(headings: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table. A heading that ends in a colon aligns its column to the right, and is written without it."""
    rule = ["--:" if heading.endswith(":") else ":--" for heading in headings]
    return "\n".join(map(markdown_line, [[heading.rstrip(":") for heading in headings], rule, *rows]))


def to_markdown(run: Run) -> str:
    """Return table, notes and findings as Markdown; a row without measured restarts shows its verdict and why."""
    rows = rows_of(run)
    notes, columns = notes_of(rows), columns_of(rows)
    names_middleware = any(row.middleware for row in rows)
    first, *numbers, last = (column.heading for column in columns)
    headings = ["request", "load:", *["middleware"] * names_middleware, first, *(f"{it}:" for it in numbers), last]
    lines = [[*_lead(row, names_middleware), *map(verbatim, cells(row, columns, notes))] for row in rows]
    parts = [
        markdown_table(headings, lines) if rows else "No trial was measured.",
        "\n".join(f"- [{place}] {verbatim(text)}" for text, place in notes.items()),
        "\n".join(f"- {verbatim(line)}" for line in [*plateau_lines(run), *refusal_lines(rows)]),
        "\n".join(map(finding_point, findings_of(run))),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _lead(row: Row, names_middleware: bool) -> list[str]:
    middleware = [verbatim("+".join(row.middleware)) or HOLE] if names_middleware else []
    on = f" on {verbatim(row.vendor)}" if row.vendor else ""
    return [f"{code(row.request)}{on}", row.load_text, *middleware]


def finding_point(finding: ClaimFinding) -> str:
    """Return a finding as a point of a list: its value, the claim, the ratio with its interval."""
    return f"- **{finding.value}**: {verbatim(finding.claim.says)}: {verbatim(finding.text)}"
