"""`lab diff LAB LAB`: what differs between two labs, and nothing else."""

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path

from bench.base.console import console
from bench.base.errors import ExitCode, UsageError, nearest
from bench.base.files import ROOT

LABS = ROOT / "labs"
NOT_LABS = {"tests", "common"}
STYLES = {"+++": "bold", "---": "bold", "+": "green", "-": "red", "@": "cyan"}


def print_difference(arguments: argparse.Namespace) -> int:
    """Print the difference, coloured as in every diff."""
    out = console()
    for line in difference(arguments.left, arguments.right):
        style = next((style for start, style in STYLES.items() if line.startswith(start)), "")
        out.print(line, style=style, soft_wrap=True, markup=False, highlight=False)
    return ExitCode.FINE


def difference(left: str, right: str) -> Iterator[str]:
    """Unified diff of all Python files of two labs, line by line without line ends. UsageError for unknown names."""
    labs = sorted(path.parent.name for path in LABS.glob("*/__init__.py") if path.parent.name not in NOT_LABS)
    for name in (left, right):
        if name not in labs:
            raise UsageError(f"Unknown lab {name!r}: {nearest(name, labs)}")
    for file in sorted({path.name for lab in (left, right) for path in (LABS / lab).glob("*.py")}):
        before, after = (_lines(LABS / lab / file) for lab in (left, right))
        yield from difflib.unified_diff(before, after, f"labs/{left}/{file}", f"labs/{right}/{file}", lineterm="")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
