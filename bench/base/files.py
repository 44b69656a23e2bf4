"""Where the code is, what is kept beside it, where the lab writes; and files that are replaced whole or not at all."""

import os
import tempfile
from pathlib import Path

from bench.base.errors import NotRun, UsageError

ROOT = Path(__file__).parents[2]
"""The folder with `bench` and `labs`: a clone, or the site-packages of an environment in which the lab is installed."""
IS_CLONE = (ROOT / "pyproject.toml").is_file()
KEPT = ROOT if IS_CLONE else Path(__file__).parents[1] / "kept"
"""The folder with `results/reference`, `notebooks` and the lock: in a wheel they are a part of `bench`."""
HOME = ROOT if IS_CLONE else Path.cwd()
LOCAL = HOME / "results" / "local"
"""Where the lab writes: below the clone, else below the folder in which it is called."""
HEAD_BYTES = 8  # PNG's signature; also enough to know our own SVG and JSON by


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file in one step; on failure the old one stays untouched."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def require_clone(what: str) -> None:
    """Raise NotRun, with what to do, where this is no clone of the repository and `what` is in one only."""
    if not IS_CLONE:
        raise NotRun(f"{what} is in the repository, and this is an installed package: run it in a clone.")


def require_replaceable(path: Path, content: bytes) -> None:
    """Raise UsageError if the file that the user named for the content holds another kind of content, by its head."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head and head != content[:HEAD_BYTES]:
        raise UsageError(f"{path} exists and holds something else: name another file.")
