"""Markdown and lessons as HTML, with the links of the repository turned into links of the site.

What a page links to and the site does not have, such as code, is a link into the repository, or plain text if the
address of that is not known.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from bench.base.files import ROOT

PAGES, FILES = (".md", ".ipynb"), (".svg", ".png", ".json")
"""Kinds of files that become pages, and kinds that a site carries as they are."""
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
SENTENCE = 60
"""A cell of more characters is a sentence."""
PREDICTION = "my_prediction"
"""In the cell in which a reader of a lesson commits to a number."""


def address_of(source: str) -> str:
    """Return where a file of the repository is in the site: README.md is the page of its folder.

    A folder with a leading dot, such as .github, loses the dot: hosts of static pages leave such folders out.
    """
    path = PurePosixPath(*(part.lstrip(".") for part in PurePosixPath(source).parts))
    if path.name == "README.md":
        return str(path.with_name("index.html"))
    return str(path.with_suffix(".html") if path.suffix in PAGES else path)


@dataclass(frozen=True)
class Links:
    """Resolves links. `pages` are the sources that the site has, from the top; `repository` is a web address or empty.

    `files` collects what pages show or link to and what must therefore be copied.
    """

    pages: frozenset[str]
    repository: str = ""
    files: set[str] = field(default_factory=set)

    def resolve(self, link: str, source: str) -> str | None:
        """Return the link for the page of `source`; None if it leads to something that the site does not have."""
        parts = urlsplit(link)
        if parts.scheme or not parts.path:
            return link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), parts.path))
        if f"{target}/README.md" in self.pages:
            target = f"{target}/README.md"
        if target not in self.pages and not self._is_carried(target):
            return f"{self.repository}/blob/HEAD/{target}" if self.repository else None
        return relative(address_of(target), source) + (f"#{parts.fragment}" if parts.fragment else "")

    def _is_carried(self, target: str) -> bool:
        if not target.endswith(FILES) or not (ROOT / target).is_file():
            return False
        self.files.add(target)
        return True


def relative(address: str, source: str) -> str:
    """Return an address of the site as a link from the page of `source`."""
    return posixpath.relpath(address, posixpath.dirname(address_of(source)) or ".")


def title_of(text: str) -> str:
    """Return the first heading of a Markdown text as plain text."""
    return next(line.lstrip("# ").replace("`", "") for line in text.splitlines() if line.startswith("# "))


def markdown_html(text: str, source: str, links: Links) -> Markup:
    """Return a Markdown text of the repository as HTML."""
    tokens = _MARKDOWN.parse(_COMMENT.sub("\n", text))
    for token in tokens:
        _turn_links(token.children or [], source, links)
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _turn_links(tokens: Iterable[Token], source: str, links: Links) -> None:
    """Resolve the links and pictures of a paragraph in place. A link that leads nowhere becomes a `span`."""
    tag = "a"
    for token in tokens:
        if token.type == "link_open":
            href = links.resolve(str(token.attrs["href"]), source)
            token.tag = tag = "a" if href else "span"
            token.attrs = {"href": href} if href else {}
        elif token.type == "link_close":
            token.tag = tag
        elif token.type == "image":
            token.attrs["src"] = links.resolve(str(token.attrs["src"]), source) or ""


def lesson_html(notebook: Mapping[str, Any], source: str, links: Links) -> tuple[Markup, Markup]:
    """Return an executed notebook up to its prediction, and the rest, which gives it away."""
    cells = notebook["cells"]
    told = next((place for place, cell in enumerate(cells, 1) if PREDICTION in cell["source"]), len(cells))
    before, after = (
        Markup("\n").join(part for cell in some for part in _cell_html(cell, source, links))
        for some in (cells[:told], cells[told:])
    )
    return before, after


def _cell_html(cell: Mapping[str, Any], source: str, links: Links) -> Iterator[Markup]:
    if cell["cell_type"] == "markdown":
        yield markdown_html(cell["source"], source, links)
        return
    yield Markup('<pre class="cell"><code>{}</code></pre>').format(Markup(highlighted(cell["source"], "python")))
    for output in cell["outputs"]:
        yield _output_html(output, source, links)


def _output_html(output: Mapping[str, Any], source: str, links: Links) -> Markup:
    """Return an output in its richest form: picture, Markdown, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = data["image/png"].replace("\n", "")
        return Markup('<p><img src="data:image/png;base64,{}" alt="{}"></p>').format(picture, data["text/plain"])
    if "text/markdown" in data:
        return markdown_html(data["text/markdown"], source, links)
    return Markup("<pre>{}</pre>").format(output.get("text") or data.get("text/plain", ""))


def highlighted(code: str, language: str, _: object = None) -> str:
    """Return code as HTML with classes for its parts; empty if the language is not known."""
    try:
        return highlight(code, get_lexer_by_name(language), HtmlFormatter(nowrap=True))
    except ClassNotFound:
        return ""


def code_style() -> str:
    """Return the style sheet of highlighted code, for a light and for a dark screen."""
    light, dark = (HtmlFormatter(style=name).get_style_defs("code") for name in ("default", "github-dark"))
    return f"@media (prefers-color-scheme: light) {{ {light} }}\n@media (prefers-color-scheme: dark) {{ {dark} }}"


def _framed_table(tokens: list[Token], place: int, *_: object) -> str:
    """Open or close a table. One of sentences has the class `said`: on a phone its cells stand below each other."""
    if tokens[place].nesting == -1:
        return "</table></div>\n"
    end = next(at for at in range(place, len(tokens)) if tokens[at].type == "table_close")
    _name_cells(tokens[place:end])
    is_said = any(sum(len(part.content) for part in cell.children or ()) > SENTENCE for cell in tokens[place:end])
    return '<div class="wide"><table class="said">\n' if is_said else '<div class="wide"><table>\n'


def _name_cells(tokens: Iterable[Token]) -> None:
    """Give each cell the heading of its column, for where the headings cannot be seen."""
    headings: list[str] = []
    column, is_heading = 0, True
    for token in tokens:
        if token.type == "tr_open":
            column = 0
        elif token.type in ("th_open", "td_open"):
            is_heading = token.type == "th_open"
            if not is_heading:
                token.attrs["data-column"] = headings[column]
            column += 1
        elif token.type == "inline" and is_heading:
            headings.append(token.content)


_MARKDOWN = MarkdownIt("commonmark", {"highlight": highlighted, "html": False}).enable("table")
_MARKDOWN.renderer.rules |= {"table_open": _framed_table, "table_close": _framed_table}  # type: ignore[attr-defined]
