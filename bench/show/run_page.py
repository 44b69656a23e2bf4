"""The page of a committed run, as a code host shows it: the question, the answer, the figures that carry it, the table.

`scripts/readme` writes it as README.md into the folder of the run, with the figures beside it.
"""

from collections.abc import Sequence

from bench.analyse import findings
from bench.model.run_record import Run
from bench.show.figures import catalogue
from bench.show.tables.formatting import verbatim
from bench.show.tables.markdown import to_markdown

SENTENCES = 3
FIGURES = (2, 3)
"""So many at least, where a run has them, and so many at most."""
LEAD = ("side-by-side", "torn", "away", "waves-", "held-", "gone-", "ladder-", "places-", "loops-", "load-")
THEN = ("throughput-", "cpu-", "timeline-1", "timeline-outage-1")
"""Slugs of figures that answer a question; all others say more about the same rows."""


def figures_of(run: Run) -> list[catalogue.Drawn]:
    """The two or three figures that carry the answer, in the order of the report."""
    drawn = catalogue.figures_for(run)
    carrying = [one for one in drawn if one.slug.startswith(LEAD)] + [one for one in drawn if one.slug.startswith(THEN)]
    others = [one for one in drawn if one not in carrying]
    least, most = FIGURES
    chosen = carrying[:most] if len(carrying) >= least else [*carrying, *others][:least]
    return [one for one in drawn if one in chosen]


def to_readme(run: Run, figures: Sequence[catalogue.Drawn]) -> str:
    """The page as Markdown; figures are SVG files beside it, named by their slugs."""
    pictures = [f"![{verbatim(one.figure.finding)}]({one.slug}.svg)\n\n{verbatim(one.caption)}" for one in figures]
    parts = [
        f"# {verbatim(run.experiment)}: {verbatim(run.title)}",
        f"{verbatim(run.question)}",
        _answer(run),
        *pictures,
        "## All numbers",
        to_markdown(run).rstrip(),
        "## Make it again",
        f"`lab run {run.experiment} --profile reference` measures it on your machine, "
        f"`./scripts/reference {run.experiment}` in place of this one. `lab report {run.experiment}` draws every "
        f"figure of it into one HTML file. [All runs](../README.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _answer(run: Run) -> str:
    """What the run says to the first of its claims that it can tell, a sentence each."""
    told = [finding for finding in findings.findings_of(run) if finding.value != "cannot tell"][:SENTENCES]
    return "\n".join(f"- {_sentence(finding)}" for finding in told)


def _sentence(finding: findings.ClaimFinding) -> str:
    return f"**{finding.value.capitalize()}**: {verbatim(finding.claim.says)} ({verbatim(finding.text)})."
