"""Finds programs of the system that the lab starts beside its own servers."""

import shutil

from bench.base.errors import MissingDependency

SBIN = "/usr/sbin"  # where Debian keeps nginx, and which not everybody's PATH names


def find_program(name: str) -> str | None:
    """Return where the program is; None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def path_of(name: str) -> str:
    """Return where the program is. Raises MissingDependency, with the command that installs it, if it is not there."""
    path = find_program(name)
    if path is None:
        raise MissingDependency(f"{name} is not installed: ./scripts/system-packages gets it.")
    return path
