"""Programs of the system that probes start beside servers of ours."""

import shutil

from bench.base.errors import NotRun

SBIN = "/usr/sbin"  # where Debian keeps nginx, and which not everybody's PATH names


def found(name: str) -> str | None:
    """Where the program is; None where it is not installed."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def path_of(name: str) -> str:
    """Where the program is; NotRun with the command that gets it where it is not installed."""
    path = found(name)
    if path is None:
        raise NotRun(f"{name} is not installed: ./scripts/system-packages gets it.")
    return path
