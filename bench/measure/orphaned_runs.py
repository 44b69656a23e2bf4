"""The folder of a run: claimed before the first trial, marked as aborted at the next start if its `lab` was killed."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

from bench.base.console import relative_to_here
from bench.base.errors import LabError, UsageError
from bench.base.markers import hold_marker, is_abandoned, is_held, is_own_file
from bench.model import run_store

MARKER = "running.json"
WRITTEN = ("run.json", "report.html", "requests")
"""What a run puts into its folder."""
LONGEST_LINE = 10_000_000
_RUNNING = re.compile(rb'"status":"running"')


def new_folder(name: str) -> Path:
    """Make a folder of `results/local`, named after its purpose and the time, that no other process gets."""
    first = run_store.LOCAL / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in count(1):
        folder = first if number == 1 else first.with_name(f"{first.name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


@contextmanager
def claim(folder: Path, written: Sequence[str] = WRITTEN) -> Iterator[None]:
    """Hold the folder for this process alone. Raises UsageError if another process has it, or it holds what we write.

    Raises OSError if the disk does not take the marker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(hold_marker(folder, MARKER))
        except FileExistsError:
            require_unused(folder, written)
            raise UsageError(_holds(folder, MARKER)) from None
        _require_none_of(folder, written)
        yield


def require_unused(folder: Path, written: Sequence[str] = WRITTEN) -> None:
    """Raise UsageError where `claim` would, but not for the marker of a process that was killed."""
    if is_held(folder / MARKER):
        raise UsageError(f"Another process of the lab writes to {folder} now: choose another folder with --out.")
    _require_none_of(folder, written)


def _require_none_of(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if os.path.lexists(folder / name):
            raise UsageError(_holds(folder, "a run" if name == "run.json" else name))


def _holds(folder: Path, what: str) -> str:
    return f"{folder} already holds {what}: choose another folder with --out."


def abort_orphaned_runs(bases: Iterable[Path]) -> list[str]:
    """Mark as aborted every run in these folders whose `lab` no longer holds its marker; return a sentence for each.

    A link and a folder of another user stay as they are. A run that cannot be read stays too, and is named.
    """
    folders = {folder for base in bases for folder in _folders_in(base)}
    return [sentence for folder in sorted(folders) if (sentence := _abort(folder))]


def _folders_in(base: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in base.resolve().iterdir() if path.is_dir() and not path.is_symlink()]
    return []


def _abort(folder: Path) -> str | None:
    """Mark the run, or say why it cannot be read; None if there is nothing to say: no trial was kept, or all were."""
    with suppress(OSError):
        if is_abandoned(folder, MARKER):
            (folder / MARKER).unlink(missing_ok=True)
            if not (folder / "run.json").exists():
                folder.rmdir()  # refused where it holds anything else
        if not _says_running(folder / "run.json") or is_held(folder / MARKER):
            return None
        try:
            run = run_store.load_run(folder)
        except LabError as error:
            return f"Skipped: {error}"
        if run.status == "running":
            run_store.save_run(replace(run, status="aborted"), folder)
            return _sentence(folder, kept=len(run.trials), planned=run.plan.trials)
    return None


def _says_running(path: Path) -> bool:
    """Return whether the first line, which is all but the trials, says so."""
    if not is_own_file(path):
        return False
    with path.open("rb") as file:
        return bool(_RUNNING.search(file.readline(LONGEST_LINE)))


def _sentence(folder: Path, kept: int, planned: int) -> str:
    shown = relative_to_here(folder)
    name = folder.name if folder.parent == run_store.LOCAL.resolve() else str(shown)
    return f"{shown} was not finished: {kept} of {planned} trials are kept, `lab report {name}` shows them."
