"""Prints claims: a table of all, one in detail, what has changed; and writes them as Markdown."""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.claims import claim_page
from bench.claims.evidence import ReferenceMaterial
from bench.claims.judging import JudgedClaim, JudgedEvidence, judge_claim
from bench.claims.ledger import Change, counts_text, evidence_text, place_of
from bench.claims.schema import NoEvidence, load_claim, load_claims, load_sources, source_of

COLOURS = {"supported": "green", "it depends": "cyan", "refuted": "red", "cannot tell": "yellow"}
WIDEST = 110


def show_all(found: Sequence[JudgedClaim], material: ReferenceMaterial, console: Console) -> None:
    """Print all claims by source: what people say, the finding, and the evidence that decides it."""
    for letter, source in load_sources().items():
        theirs = [each for each in found if each.entry.source == letter]
        if theirs:
            console.print(Text.assemble((letter, "bold"), f": {source.title} ({counts_text(theirs)})"))
            console.print(_table(theirs), width=min(console.width, WIDEST))
            console.print()
    text = f"{counts_text(found)}, by Django {material.django}; `lab claims ID` shows one."
    console.print(text, highlight=False, markup=False)


def _table(found: Sequence[JudgedClaim]) -> Table:
    table = _plain_table()
    table.add_column(width=max(len(entry.id) for entry in load_claims()))
    table.add_column(width=max(map(len, COLOURS)))
    for each in found:
        said = Text.assemble((each.entry.says, "bold"), "\n", each.sentence)
        if each.finding == "it depends":
            said.append(f"\nIt turns on {each.entry.turns_on}.", style="italic")
        table.add_row(each.entry.id, Text(each.finding, style=COLOURS[each.finding]), said)
    return table


def _plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)


def show_one(each: JudgedClaim, material: ReferenceMaterial, console: Console) -> None:
    """Print one claim: what people say, the finding, the evidence and where to look at it, the command to repeat it."""
    entry, source = each.entry, source_of(each.entry)
    lines = [
        ("claim", f"{entry.id}: {entry.says}"),
        ("source", " ".join(filter(None, (source.title, source.link)))),
        ("finding", each.finding),
        ("here", each.sentence),
        ("turns on", entry.turns_on),
        *_under("measured", [f"{label}: {value}" for label, value in each.table]),
        *_under("evidence", evidence_lines(each, material)),
        ("lesson", f"notebooks/{entry.lesson}.ipynb"),
        ("page", claim_page.path_of(entry.id)),
        ("again", entry.again),
    ]
    table = _plain_table()
    for name, text in lines:
        table.add_row(Text(name, style="dim"), Text(text, style=COLOURS[each.finding] if name == "finding" else ""))
    console.print(table, width=min(console.width, WIDEST))


def _under(name: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    """Put a name before the first of some lines, and nothing before the others."""
    return list(zip(chain([name], repeat("")), lines, strict=False))


def evidence_lines(each: JudgedClaim, material: ReferenceMaterial) -> list[str]:
    """Name each piece of evidence with its finding and its place, each once."""
    return list(dict.fromkeys(_evidence_line(part, material) for part in each.parts))


def _evidence_line(part: JudgedEvidence, material: ReferenceMaterial) -> str:
    if isinstance(part.evidence, NoEvidence):
        return f"none yet: {part.evidence.why}; needed: {part.evidence.needs}"
    said = part.finding or "adds detail"
    return f"{evidence_text(part, material)}: {said} ({place_of(part.evidence, material)})"


def show_changes(changed: Sequence[Change], judged: int, console: Console) -> None:
    """Print each claim whose finding differs from the kept one, a line each."""
    for change in changed:
        was = change.was or "not there"
        here = "" if change.counts else " (evidence cannot be had on this machine, which says nothing about Django)"
        text = f"{change.now.entry.id}: {change.now.finding}, was {was}{here}. {change.now.sentence}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if not changed:
        found = "The finding is" if judged == 1 else f"The findings of {judged} claims are"
        console.print(f"{found} as kept.", highlight=False)


def to_rows(found: Sequence[JudgedClaim], pages: str) -> list[list[str]]:
    """Return the cells of a Markdown table: id with a link to its page below `pages`, claim, finding, sentence."""
    return [
        [f"[{each.entry.id}]({pages}/{each.entry.id}.md)", each.entry.says, f"**{each.finding}**", each.answer]
        for each in found
    ]


def to_markdown(*names: str) -> str:
    """Return claims by their ids, judged by what is kept: one a line, with finding and sentence."""
    found = [judge_claim(load_claim(name), ReferenceMaterial()) for name in names]
    return "\n".join(f"- **{each.entry.id}** “{each.entry.says}”: **{each.finding}**. {each.answer}" for each in found)


def settled_in(lesson: str) -> str:
    """Return the claims that a lesson settles, as `to_markdown` does. `lesson` is the name of its notebook."""
    return to_markdown(*(entry.id for entry in load_claims() if entry.lesson == lesson))
