"""Whose a file is: the project's, a library's, or this package's. Needs nothing but the standard library."""

import sysconfig
from functools import cache
from pathlib import Path

OURS = str(Path(__file__).parent)
NOT_PROJECT = ("/site-packages/", "/dist-packages/")
LIBRARY = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


@cache
def is_project(file: str) -> bool:
    """Whether a file is the project's: in no folder of packages, not of the standard library, and not ours."""
    return not any(folder in file for folder in NOT_PROJECT) and not file.startswith((OURS, "<", *LIBRARY))
