"""Makes the page of a committed run, as a code host shows it: question, answer, two figures, the table.

`scripts/readme` writes it as README.md into the folder of the run, with the figures beside it.
"""

from collections.abc import Sequence

from bench.analyse import findings
from bench.model.run_record import Run
from bench.show.figures import catalogue
from bench.show.tables.formatting import verbatim
from bench.show.tables.markdown import to_markdown

SENTENCES = 3
FIGURES = 2
"""Of a page, if a run has so many; `lab report` draws all. A clone stays small."""
LEAD = (
    *("side-by-side", "torn", "away", "waves-", "held-", "gone-", "slow-", "streams-"),
    *("ladder-", "places-", "loops-", "load-", "memory-", "distance-"),
)
THEN = ("throughput-", "cpu-", "timeline-1", "timeline-outage-1")
"""The slugs of figures that answer the question; all others say more about the same rows."""


def figures_of(run: Run) -> list[catalogue.Drawn]:
    """Choose the two figures of a run that answer its question, in the order of the catalogue."""
    return leading(catalogue.figures_for(run))


def leading(drawn: Sequence[catalogue.Drawn]) -> list[catalogue.Drawn]:
    """Choose the two figures that answer the question, in their order."""
    ranks = [0 if one.slug.startswith(LEAD) else 1 if one.slug.startswith(THEN) else 2 for one in drawn]
    best_first = sorted(range(len(drawn)), key=ranks.__getitem__)
    return [drawn[place] for place in sorted(best_first[:FIGURES])]


def first_findings(found: Sequence[findings.ClaimFinding]) -> list[findings.ClaimFinding]:
    """Return the findings that a page begins with: the first that were decided."""
    return [finding for finding in found if finding.value != "cannot tell"][:SENTENCES]


def to_readme(run: Run, figures: Sequence[catalogue.Drawn]) -> str:
    """Return the page as Markdown; its figures are SVG files beside it, named by their slugs."""
    pictures = [f"![{verbatim(one.figure.finding)}]({one.slug}.svg)\n\n{verbatim(one.caption)}" for one in figures]
    parts = [
        f"# {verbatim(run.experiment)}: {verbatim(run.title)}",
        verbatim(run.question),
        "\n".join(
            f"- **{it.value.capitalize()}**: {verbatim(it.claim.says)}. Measured: {verbatim(it.text)}."
            for it in first_findings(findings.findings_of(run))
        ),
        *pictures,
        "## All numbers",
        to_markdown(run).rstrip(),
        "## Make it again",
        f"`lab run {run.experiment} --profile reference` measures it on your machine, "
        f"`./scripts/reference {run.experiment}` in place of this one. `lab report {run.experiment}` draws every "
        f"figure of it into one HTML file. [All runs](../README.md).",
    ]
    return "\n\n".join(parts) + "\n"
