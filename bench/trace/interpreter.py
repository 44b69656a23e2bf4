"""Which Python a project is traced in: its own, so that the tracer changes nothing of what it traces."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import UsageError
from bench.model.environments import program_of, python_word
from bench.model.stacks import Stack

ENVIRONMENTS = (".venv", "venv", "env")
ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")


@dataclass(frozen=True)
class Interpreter:
    """A Python program, and in words whose it is."""

    program: str
    whose: str


OURS = Interpreter(sys.executable, "the lab's, because no environment of the project was found")


def interpreter_of(stack: Stack) -> Interpreter:
    """The one of a stack's environment. Raises NotRun if there is no such environment."""
    return Interpreter(program_of(python_word(stack.environment)), f"that of the environment {stack.environment}")


def choose_interpreter(named: str | None, folder: Path) -> Interpreter:
    """The one that is named; else the project's own environment, else the active one, else ours.

    Not resolved: a virtual environment's `python` is a link whose own place matters. Raises UsageError where the one
    that is named does not exist.
    """
    if named:
        found = os.path.join(folder, named) if os.sep in named else shutil.which(named)
        if found is None or not os.path.isfile(found) or not os.access(found, os.X_OK):
            raise UsageError(f"There is no Python program at {named}: name one with --python, as .venv/bin/python.")
        return Interpreter(found, "named with --python")
    candidates = [(place / name, f"the project's {name}") for place in _folders_of(folder) for name in ENVIRONMENTS]
    candidates += [(Path(os.environ[name]), "the active environment") for name in ACTIVE if os.environ.get(name)]
    programs = ((environment / "bin" / "python", whose) for environment, whose in candidates)
    return next((Interpreter(str(program), whose) for program, whose in programs if program.exists()), OURS)


def _folders_of(folder: Path) -> list[Path]:
    """The folder, and those around it up to the root of its repository; it alone where it lies in none."""
    around = [folder, *folder.parents]
    roots = [number for number, place in enumerate(around) if (place / ".git").exists()]
    return around[: roots[0] + 1] if roots else [folder]
