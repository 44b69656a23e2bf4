"""Runs on disk: where they are, how one is found by name, read and written whole."""

import errno
import os
import stat
from pathlib import Path

from bench.base.errors import UsageError, nearest
from bench.base.files import ROOT, write_atomically
from bench.model.run_json import from_json, to_json
from bench.model.run_record import Run

REFERENCE = ROOT / "results" / "reference"
LOCAL = Path(os.environ.get("LAB_RESULTS_DIR", ROOT / "results" / "local"))
LARGEST_BYTES = 2**28


def save_run(run: Run, folder: Path) -> Path:
    """Write `run.json` into the folder, whole or not at all. OSError where the disk does not take it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    write_atomically(path, to_json(run))
    return path


def load_run(folder: Path) -> Run:
    """The run in a folder; DamagedRun or UsageError say in one line why there is none."""
    path = folder / "run.json"
    try:
        return from_json(_content_of(path), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): give the folder of a run.") from None


def _content_of(path: Path) -> bytes:
    """OSError where it is no file, such as a pipe that nobody writes to, or larger than any run."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    if status.st_size > LARGEST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_BYTES >> 20} MB")
    return path.read_bytes()


def find_run(name: str) -> Path:
    """The folder of a run given by path, by experiment (its reference run), or as `latest`."""
    for folder in (Path(name), LOCAL / name, REFERENCE / name):
        if os.path.exists(folder / "run.json"):  # where Path.exists raises, as for a name too long, this says no
            return folder.resolve()
    if Path(name).name == "run.json" and os.path.exists(name):
        return Path(name).parent.resolve()
    known = {path.parent.name for base in (LOCAL, REFERENCE) for path in base.glob("*/run.json")}
    if not known:
        raise UsageError(f"There is no run {name!r}: measure one with `lab run first_look`.")
    raise UsageError(f"There is no run {name!r}: {nearest(name, known)}")
