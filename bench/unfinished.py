"""Runs whose `lab` was killed: known by a lock on `running.json` that nobody holds, and told at the next start."""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bench import record
from bench.errors import LabError

MARKER = "running.json"
LONGEST_LINE = 10_000_000
_RUNNING = re.compile(rb'"status":"running"')


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """While this lasts somebody is at the run in the folder. OSError where the disk does not take the marker.

    The kernel gives up the lock with the process, whatever ends it, and no pid or clock needs to be trusted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / MARKER).open("w") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        marker.write(json.dumps({"pid": os.getpid()}))
        marker.flush()
        try:
            yield
        finally:
            (folder / MARKER).unlink(missing_ok=True)


def abort_those_of_the_dead(bases: Iterable[Path]) -> list[str]:
    """Mark every run in these folders that nobody is at any more as aborted; one sentence for each.

    One that cannot be read is left as it is, and named.
    """
    folders = {path.parent.resolve() for base in bases for path in base.glob(f"*/{MARKER}")}
    folders |= {path.parent.resolve() for base in bases for path in base.glob("*/run.json") if _says_running(path)}
    return [sentence for folder in sorted(folders) if not _somebody_is_at(folder) and (sentence := _abort(folder))]


def _says_running(path: Path) -> bool:
    """Read off the first line, which is all but the trials."""
    with suppress(OSError):
        if path.is_file():  # a pipe would wait for a writer
            with path.open("rb") as file:
                return bool(_RUNNING.search(file.readline(LONGEST_LINE)))
    return False


def _somebody_is_at(folder: Path) -> bool:
    """True while the lock is held."""
    try:
        with (folder / MARKER).open() as marker:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def _abort(folder: Path) -> str | None:
    """Mark it, or say why it cannot be read; None where there is nothing to tell: no trial was kept, or all were."""
    with suppress(OSError):
        (folder / MARKER).unlink(missing_ok=True)
        if not (folder / "run.json").exists():
            folder.rmdir()  # refused where it holds anything else
            return None
        try:
            run = record.load(folder)
        except LabError as error:
            return f"Skipped: {error}"
        if run.status == "running":
            record.save(replace(run, status="aborted"), folder)
            return _sentence(folder, kept=len(run.trials), planned=run.plan.trials)
    return None


def _sentence(folder: Path, kept: int, planned: int) -> str:
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    name = folder.name if folder.parent == record.LOCAL.resolve() else str(shown)
    return f"{shown} was not finished: {kept} of {planned} trials are kept, `lab report {name}` shows them."
