"""Finds, reads and writes runs on disk."""

import errno
import os
import stat
from pathlib import Path

from bench.base import files
from bench.base.errors import UsageError, nearest
from bench.base.files import KEPT, write_atomically
from bench.model.run_json import from_json, to_json
from bench.model.run_record import Run

REFERENCE = KEPT / "results" / "reference"
LOCAL = Path(os.environ.get("LAB_RESULTS_DIR", files.LOCAL))
LARGEST_BYTES = 2**28


def save_run(run: Run, folder: Path) -> Path:
    """Write `run.json` into the folder, whole or not at all. Raises OSError if the disk does not take it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    write_atomically(path, to_json(run))
    return path


def load_run(folder: Path) -> Run:
    """Read the run in a folder. Raises DamagedRun or UsageError with the cause in one line."""
    path = folder / "run.json"
    try:
        return from_json(_content_of(path), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): give the folder of a run.") from None


def _content_of(path: Path) -> bytes:
    """Read a file. Raises OSError if it is no plain file, such as a pipe, or larger than any run."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    if status.st_size > LARGEST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_BYTES >> 20} MB")
    return path.read_bytes()


def find_run(name: str) -> Path:
    """Find the folder of a run by path, by experiment (its reference run), or by `latest`. Raises UsageError."""
    for folder in (Path(name), LOCAL / name, REFERENCE / name):
        if os.path.exists(folder / "run.json"):  # where Path.exists raises, as for a name too long, this says no
            return folder.resolve()
    if Path(name).name == "run.json" and os.path.exists(name):
        return Path(name).parent.resolve()
    known = {path.parent.name for base in (LOCAL, REFERENCE) for path in base.glob("*/run.json")}
    if not known:
        raise UsageError(f"There is no run {name!r}: measure one with `lab run first_look`.")
    raise UsageError(f"There is no run {name!r}: {nearest(name, known)}")


def newest_local_run(experiment: str) -> Path | None:
    """Find the newest run of an experiment in results/local; None without any. Folders there end in their time."""
    stamped = "[0-9]" * 8 + "-" + "[0-9]" * 6
    return max((path.parent for path in LOCAL.glob(f"{experiment}-{stamped}*/run.json")), default=None)
