"""Which folders are the lab's: a marker file says so, and a lock on it says that a process works there.

The kernel releases a lock when the process that holds it ends, for any reason and in any container. So we need not
trust a name, a process id or a clock. A marker names its folder: a copy of it marks nothing.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def hold_marker(folder: Path, name: str) -> Iterator[None]:
    """Mark the folder, and lock the marker while this lasts. Raises FileExistsError if a file of that name exists."""
    marker = folder / name
    with marker.open("xb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(_text(folder))  # after the lock: a file without the text is no marker
            file.flush()
            yield
        finally:
            marker.unlink(missing_ok=True)


def is_abandoned(folder: Path, name: str) -> bool:
    """True if folder and marker are this user's, the marker is the lab's, and no process holds it. Follows no link."""
    marker = folder / name
    # The text first: it is written under the lock, and a marker that has it and is free is not held again.
    is_own_folder = _kind_and_owner(folder) == (stat.S_IFDIR, os.geteuid())
    return is_own_folder and is_own_file(marker) and _says_ours(marker) and not is_held(marker)


def is_held(marker: Path) -> bool:
    """True while a process holds the marker, and where that cannot be found out."""
    if _kind_and_owner(marker)[0] != stat.S_IFREG:
        return False
    try:
        with marker.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:  # BlockingIOError where it is held
        return not isinstance(error, FileNotFoundError)
    return False


def is_own_file(path: Path) -> bool:
    """True for a plain file of this user's: no link, and no pipe, which would block its reader."""
    return _kind_and_owner(path) == (stat.S_IFREG, os.geteuid())


def _kind_and_owner(path: Path) -> tuple[int, int]:
    """Return the type and the owner of the path itself, not of what a link leads to; (0, -1) if it does not exist."""
    with suppress(OSError):
        found = path.lstat()
        return stat.S_IFMT(found.st_mode), found.st_uid
    return 0, -1


def _says_ours(marker: Path) -> bool:
    expected = _text(marker.parent)
    with suppress(OSError), marker.open("rb") as file:
        return file.read(len(expected) + 1) == expected
    return False


def _text(folder: Path) -> bytes:
    says = {"made_by": "the lab, which is at work here while this file is locked", "folder": str(folder.resolve())}
    return json.dumps(says).encode()
