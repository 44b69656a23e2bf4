"""The answer as one screen of a terminal, as Markdown, and as a page with everything in it."""

from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bench.base.files import write_atomically
from bench.learn.your_project.model import Examination
from bench.learn.your_project.parts import Part, headline, report_of, screen_of
from bench.show.project_page import page_of
from bench.show.tables.formatting import verbatim
from bench.show.tables.markdown import markdown_table
from bench.show.tables.terminal import plain_table

COLOURS = {"switch": "green", "stay": "green", "cannot tell": "yellow"}
LEFT_HEADS = 1


def print_answer(found: Examination, console: Console) -> None:
    """Print one screen."""
    value, _, sentence = headline(found).partition(": ")
    console.print(Text.assemble((value, f"bold {COLOURS.get(value, '')}"), f"  {sentence}"), highlight=False)
    for part in screen_of(found):
        console.print(f"\n{part.title}", style="bold", highlight=False, markup=False)
        if part.lines:
            _print_lines(part, console)
        if part.rows:
            _print_table(part, console)


def _print_lines(part: Part, console: Console) -> None:
    """Print lines that hang: what does not fit into one goes on below its beginning."""
    table = Table.grid(Column(), Column(overflow="fold"), padding=(0, 1, 0, 0))
    for line in part.lines:
        table.add_row(Text("-"), Text(line))
    console.print(table)


def _print_table(part: Part, console: Console) -> None:
    table = plain_table()
    for number, head in enumerate(part.heads):
        is_text = number < LEFT_HEADS
        table.add_column(head, justify="left" if is_text else "right", no_wrap=True, overflow="ellipsis")
    for row in part.rows:
        table.add_row(*map(Text, row))
    console.print(table)


def to_markdown(found: Examination) -> str:
    """Return what the screen shows as Markdown."""
    value, _, sentence = headline(found).partition(": ")
    return "\n\n".join([f"**{value}**: {verbatim(sentence)}", *map(_markdown_part, screen_of(found))]) + "\n"


def _markdown_part(part: Part) -> str:
    points = "\n".join(f"- {verbatim(line)}" for line in part.lines)
    heads = [head if number < LEFT_HEADS else f"{head}:" for number, head in enumerate(part.heads)]
    table = markdown_table(heads, [map(verbatim, row) for row in part.rows]) if part.rows else ""
    return "\n\n".join(filter(None, [f"### {part.title}", points, table]))


def write_page(found: Examination, folder: Path) -> Path:
    """Write `report.html` into the folder and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    value, _, sentence = headline(found).partition(": ")
    write_atomically(path, page_of(found.project.root.name, value, sentence, report_of(found)).encode())
    return path
