"""Finds programs of the system that probes start beside our own servers."""

import shutil

from bench.base.errors import NotRun

SBIN = "/usr/sbin"  # where Debian keeps nginx, and which not everybody's PATH names


def find_program(name: str) -> str | None:
    """Return where the program is; None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def path_of(name: str) -> str:
    """Return where the program is. Raises NotRun, with the command that installs it, if it is not installed."""
    path = find_program(name)
    if path is None:
        raise NotRun(f"{name} is not installed: ./scripts/system-packages gets it.")
    return path
