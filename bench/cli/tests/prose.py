"""What people read here besides code: READMEs, plans, lessons, docstrings; and the code that is quoted in it."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jupytext

from bench.base.files import ROOT
from bench.learn import build_notebooks

FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
INDENTED = re.compile(r"(?<=\n\n)(?: {4}\S.*\n?)+")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
COMMENT = re.compile(r"\s+# .*")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Quoted(NamedTuple):
    """A piece of code in prose, and the file that quotes it."""

    path: Path
    code: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}: {self.code}"


@cache
def tracked() -> tuple[Path, ...]:
    """All files of the project, by git, new ones included; outside of a checkout all that is there."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    if told.returncode:
        return tuple(
            path for path in ROOT.rglob("*") if path.is_file() and not str(path.relative_to(ROOT)).startswith(".venv")
        )
    return tuple(path for name in told.stdout.split("\0") if name and (path := ROOT / name).is_file())


@cache
def pages() -> dict[Path, str]:
    """Markdown by its file: READMEs, plans, and the prose of the lessons."""
    written = {path: path.read_text() for path in tracked() if path.suffix == ".md"}
    return written | {source: _prose_of(source) for source in build_notebooks.sources()}


def _prose_of(source: Path) -> str:
    cells = jupytext.read(source).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@cache
def docstrings() -> dict[Path, str]:
    """The docstrings of each module, one after the other."""
    found = {}
    for path in tracked():
        if path.suffix == ".py" and path not in pages():
            found[path] = "\n\n".join(filter(None, map(ast.get_docstring, documented(ast.parse(path.read_text())))))
    return found


def documented(node: ast.AST) -> Iterator[Documented]:
    """What can have a docstring, at any depth; expressions have none in them and are left out, for speed."""
    if isinstance(node, Documented):
        yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield from documented(child)


def links() -> Iterator[Quoted]:
    """Where the pages lead, web addresses left out."""
    return (Quoted(path, link) for path, text in pages().items() for link in LINK.findall(text))


def quoted() -> Iterator[Quoted]:
    """Every line of a block of code and everything in backticks, comments cut off."""
    for path, text in (pages() | docstrings()).items():
        blocks = [*FENCE.findall(text), *INDENTED.findall(text)]
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        for code in {*lines, *INLINE.findall(FENCE.sub("", text))}:
            if COMMENT.sub("", code):
                yield Quoted(path, COMMENT.sub("", code))
