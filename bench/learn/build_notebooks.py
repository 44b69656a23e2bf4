"""`scripts/notebooks`: builds and executes each notebook from its percent-format `.py`, the same bytes every time.

Cell ids count from the top, and times, execution metadata and the exact Python version are left out, so that a
change in a notebook is a change in its source or in what it found.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from rich.progress import track

from bench.base import files
from bench.base.console import console, run_program
from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT
from bench.base.options import Parser

FOLDER = ROOT / "notebooks"
CELL_WITHIN_S = 120
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def sources() -> list[Path]:
    """The lessons, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def execute_source(source: Path) -> Any:
    """Execute a source from top to bottom and return its notebook. LabError names the lesson and the error."""
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    # On a busy machine the output of one cell comes in several pieces; joined, it is the same every time.
    client = NotebookClient(
        notebook,
        timeout=CELL_WITHIN_S,
        resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # a kernel warns that its connection on loopback is not encrypted
    )
    try:
        client.execute()
    except Exception as error:
        raise LabError(f"{source.name} does not run through: {error}") from error
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place:02}"
        cell.metadata = {}
    return notebook


def text_of(notebook: Any) -> list[tuple[str, list[str]]]:
    """Sources and text outputs, which must be the same everywhere; pictures are left out."""
    return [(cell.source, [_output_text(output) for output in cell.get("outputs", [])]) for cell in notebook.cells]


def _output_text(output: Any) -> str:
    if "text" in output:
        return str(output.text)
    data = output.get("data", {})
    return str(data.get("text/markdown") or data.get("text/plain", ""))


def is_fresh(source: Path, execute: Callable[[Path], Any] = execute_source) -> bool:
    """True if executing the source now gives what the committed notebook says."""
    made = source.with_suffix(".ipynb")
    return made.exists() and text_of(nbformat.read(made, as_version=4)) == text_of(execute(source))


def build(source: Path) -> None:
    """Execute a source and write the notebook beside it."""
    text = nbformat.writes(execute_source(source), version=4)
    files.write_atomically(source.with_suffix(".ipynb"), (text + "\n").encode())


def main(argv: Sequence[str] | None = None) -> int:
    """Build every notebook, or with `--check` only compare each. LabError if one is stale."""
    parser = Parser(prog="scripts/notebooks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook is stale")
    checking, stale = parser.parse_args(argv).check, []
    for source in track(sources(), "notebooks", console=console(stderr=True)):
        if not checking:
            build(source)
        elif not is_fresh(source):
            stale.append(source.stem)
    if stale:
        raise LabError(f"Stale: {', '.join(stale)}; run ./scripts/notebooks.")
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
