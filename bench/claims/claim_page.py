"""Writes the page of a claim in Markdown, one for each in `results/reference/claims`: an address to link."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from bench.claims.evidence import ReferenceMaterial
from bench.claims.judging import JudgedClaim, JudgedEvidence
from bench.claims.ledger import evidence_text, place_of
from bench.claims.schema import NoEvidence, Source, source_of

FOLDER = "results/reference/claims"
UP = "../../.."
"""From a page to the root of the repository."""


def path_of(name: str) -> str:
    """Return the place of a claim's page from the root of the repository."""
    return f"{FOLDER}/{name}.md"


def to_page(each: JudgedClaim, material: ReferenceMaterial) -> str:
    """Return the page: claim, finding, what it turns on, table, source, evidence, the command to see it again."""
    return "\n\n".join(filter(None, _parts(each, material))) + "\n"


def _parts(each: JudgedClaim, material: ReferenceMaterial) -> Iterator[str]:
    entry = each.entry
    yield f"# {entry.id}: “{entry.says}”"
    yield f"**{each.finding}** (Django {material.django}). {each.sentence}"
    yield f"It turns on {entry.turns_on}." if entry.turns_on != "nothing" else ""
    yield _table(each)
    yield f"Said in: {_link(source_of(entry))}"
    yield "Evidence:\n\n" + "\n".join(dict.fromkeys(f"- {_evidence(part, material)}" for part in each.parts))
    commands = dict.fromkeys((entry.again, f"lab claims {entry.id}"))
    yield f"See it again: {' or '.join(f'`{command}`' for command in commands)}."
    yield f"The lesson: [{entry.lesson}]({UP}/notebooks/{entry.lesson}.ipynb). [All claims](README.md)."


def _table(each: JudgedClaim) -> str:
    if not each.table:
        return ""
    lines = [f"| {label} | {value} |".replace("\n", " ") for label, value in each.table]
    return "\n".join(["| what | measured |", "| --- | --- |", *lines])


def _link(source: Source) -> str:
    return f"[{source.title}]({source.link})" if source.link else source.title


def _evidence(part: JudgedEvidence, material: ReferenceMaterial) -> str:
    if isinstance(part.evidence, NoEvidence):
        return f"none yet: {part.evidence.why}. Needed: {part.evidence.needs}."
    said = part.finding or "adds detail"
    return f"{evidence_text(part, material)}: {said} ({_places(place_of(part.evidence, material))})"


def _places(place: str) -> str:
    """Link files by their names, and a run's page by the run's; leave a command as it is."""
    if place.startswith("lab "):
        return f"`{place}`"
    paths = map(PurePosixPath, place.split(", "))
    return ", ".join(f"[{path.parent.name if path.name == 'README.md' else path.name}]({UP}/{path})" for path in paths)
