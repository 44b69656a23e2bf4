"""Where the repository is (ROOT), and files that are replaced whole or not at all."""

import os
import tempfile
from pathlib import Path

from bench.base.errors import UsageError

ROOT = Path(__file__).parents[2]
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


def require_replaceable(path: Path, content: bytes) -> None:
    """Raise UsageError if the file that the user named for the content holds another kind of content, by its head."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head and head != content[:HEAD_BYTES]:
        raise UsageError(f"{path} exists and holds something else: name another file.")
