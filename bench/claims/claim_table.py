"""How claims are shown: a table of all, one by itself, what has changed, and Markdown for a README."""

from collections.abc import Sequence
from itertools import chain, repeat

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.claims.evidence import ReferenceMaterial
from bench.claims.judging import Judged, Part, judge_claim
from bench.claims.ledger import Change, by_text, counts_text, place_of
from bench.claims.schema import Nothing, load_claim, load_claims, load_sources

COLOURS = {"supported": "green", "refuted": "red", "cannot tell": "yellow"}
WIDEST = 110


def show_all(found: Sequence[Judged], material: ReferenceMaterial, console: Console) -> None:
    """By source: what people say, what it comes to, and what is seen first."""
    for letter, source in load_sources().items():
        theirs = [each for each in found if each.entry.source == letter]
        if theirs:
            console.print(Text.assemble((letter, "bold"), f": {source} ({counts_text(theirs)})"))
            console.print(_table(theirs), width=min(console.width, WIDEST))
            console.print()
    text = f"{counts_text(found)}, by Django {material.django}; `lab claims ID` shows one."
    console.print(text, highlight=False, markup=False)


def _table(found: Sequence[Judged]) -> Table:
    table = _plain_table()
    table.add_column(width=max(len(entry.id) for entry in load_claims()))
    table.add_column(width=max(map(len, COLOURS)))
    for each in found:
        said = Text.assemble((each.entry.says, "bold"), "\n", each.because)
        table.add_row(each.entry.id, Text(each.finding, style=COLOURS[each.finding]), said)
    return table


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)


def show_one(each: Judged, material: ReferenceMaterial, console: Console) -> None:
    """What people say, what happens here, the evidence and where to look at it, the command that shows it again."""
    entry = each.entry
    lines = [
        ("claim", f"{entry.id}: {entry.says}"),
        ("source", load_sources()[entry.source]),
        ("finding", each.finding),
        ("here", each.sentence),
        ("turns on", entry.turns_on),
        *zip(
            chain(["evidence"], repeat("")),
            dict.fromkeys(_evidence(part, material) for part in each.parts),
            strict=False,
        ),
        ("lesson", f"notebooks/{entry.lesson}.ipynb"),
        ("again", entry.again),
    ]
    table = _plain_table()
    for name, text in lines:
        table.add_row(Text(name, style="dim"), Text(text, style=COLOURS[each.finding] if name == "finding" else ""))
    console.print(table, width=min(console.width, WIDEST))


def _evidence(part: Part, material: ReferenceMaterial) -> str:
    if isinstance(part.evidence, Nothing):
        return f"none yet: {part.evidence.why}; needed: {part.evidence.needs}"
    said = part.finding or "tells more"
    return f"{by_text(part, material)}: {said} ({place_of(part.evidence, material)})"


def show_changes(changed: Sequence[Change], asked: int, console: Console) -> None:
    """What is not as it was kept, a line each."""
    for change in changed:
        was = change.was or "not there"
        here = "" if change.counts else " (evidence could not be had here, which says nothing of Django)"
        text = f"{change.now.entry.id}: {change.now.finding}, was {was}{here}. {change.now.sentence}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if not changed:
        found = "The finding is" if asked == 1 else f"The findings of {asked} claims are"
        console.print(f"{found} as kept.", highlight=False)


def to_rows(found: Sequence[Judged]) -> list[list[str]]:
    """Cells for a Markdown table."""
    return [[each.entry.id, each.entry.says, f"**{each.finding}**", each.sentence] for each in found]


def to_markdown(*names: str) -> str:
    """Claims by their ids, one a line with finding and sentence, by what is kept."""
    found = [judge_claim(load_claim(name), ReferenceMaterial()) for name in names]
    return "\n".join(
        f"- **{each.entry.id}** “{each.entry.says}”: **{each.finding}**. {each.sentence}" for each in found
    )


def settled_in(lesson: str) -> str:
    """The claims that a lesson settles, as `to_markdown` has them. `lesson` is the name of its notebook."""
    return to_markdown(*(entry.id for entry in load_claims() if entry.lesson == lesson))
