"""The page of `lab try`: one file with everything in it, that opens offline. The page is `project_page.html.j2`."""

from collections.abc import Sequence
from typing import Protocol

from bench.show.report import ENVIRONMENT


class Part(Protocol):
    """A part of the page: a title over lines, a table with heads and rows, or both."""

    @property
    def title(self) -> str:
        """The heading."""

    @property
    def lines(self) -> Sequence[str]:
        """Sentences, one below the other."""

    @property
    def heads(self) -> Sequence[str]:
        """The heads of the table."""

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """The rows of the table, as many cells in each as there are heads."""


def page_of(project: str, value: str, sentence: str, parts: Sequence[Part]) -> str:
    """Return the page as one HTML document. All of it is escaped: it quotes the project's own files and answers."""
    template = ENVIRONMENT.get_template("project_page.html.j2")
    return template.render(project=project, value=value, sentence=sentence, parts=parts)
