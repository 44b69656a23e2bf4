"""Which Python a project is traced in: its own, so that the tracer changes nothing of what it traces."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError

PROJECTS_OWN = Path(".venv", "bin", "python")
ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")


@dataclass(frozen=True)
class Interpreter:
    """A Python program, and in words whose it is."""

    program: str
    whose: str


OURS = Interpreter(sys.executable, "the lab's")


def choose(named: str | None, folder: Path) -> Interpreter:
    """The one that is named; else the project's `.venv`, else the active environment, else ours.

    Not resolved: a virtual environment's `python` is a link whose own place matters. UsageError where there is none.
    """
    if named:
        program = os.path.join(folder, named) if os.sep in named else shutil.which(named)
        if program is None or not os.path.isfile(program) or not os.access(program, os.X_OK):
            raise UsageError(f"There is no Python program at {named}: name one with --python, as .venv/bin/python.")
        return Interpreter(program, "named with --python")
    if (folder / PROJECTS_OWN).exists():
        return Interpreter(str(folder / PROJECTS_OWN), "the project's .venv")
    for variable in ACTIVE:
        active = os.environ.get(variable)
        if active and (there := Path(active, "bin", "python")).exists():
            return Interpreter(str(there), "the active environment")
    return OURS
