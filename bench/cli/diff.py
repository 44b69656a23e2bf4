"""`lab diff LAB LAB`: what differs between two labs, and nothing else."""

import difflib
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from bench.base.errors import UsageError, nearest
from bench.base.files import ROOT

LABS = ROOT / "labs"
NOT_LABS = {"tests", "common"}
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def folders() -> list[str]:
    """The folders of `labs/` that can be compared."""
    return sorted(path.parent.name for path in LABS.glob("*/__init__.py") if path.parent.name not in NOT_LABS)


def difference(left: str, right: str) -> Iterator[str]:
    """Unified diff of all Python files of two labs, line by line without line ends."""
    for name in (left, right):
        if name not in folders():
            raise UsageError(f"Unknown lab {name!r}: {nearest(name, folders())}")
    files = sorted({path.name for lab in (left, right) for path in (LABS / lab).glob("*.py")})
    for file in files:
        yield from difflib.unified_diff(
            _lines(LABS / left / file),
            _lines(LABS / right / file),
            f"labs/{left}/{file}",
            f"labs/{right}/{file}",
            lineterm="",
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def coloured(line: str) -> Text:
    """Added green, removed red, as every diff."""
    style = "bold" if line.startswith(("+++", "---")) else COLOURS.get(line[:1], "")
    return Text(line, style=style)
