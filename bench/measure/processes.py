"""A process of ours from its start to its end: bound to its cores, ended with all its children, its folder removed.

What makes a process a server that is ready stands in `readiness.py`.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psutil

from bench.base.files import ROOT
from bench.base.markers import hold_marker, is_abandoned
from bench.measure import launch
from bench.measure.variables import clean_environment
from bench.model.environments import program_of
from bench.model.redaction import hide_own_credentials

STOP_WITHIN_S = 3.0
WORK_MARKER = ".made-by-the-lab"
MOST_OF_LOG_BYTES = 100_000
Account = tuple[int, int]  # uid and gid
_MADE = set[str]()  # working folders that have not been removed yet


@dataclass
class Process:
    """A program of ours in a session of its own, with its output in a file."""

    command: list[str]
    popen: subprocess.Popen[bytes]
    log: Path
    cpus: list[int]
    stop_by: signal.Signals = field(default=signal.SIGTERM, kw_only=True)
    _stopped: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        # Knows when it was started, and so whether the pid is another's by now; None for one that was waited for.
        self._root = psutil.Process(self.pid) if self.popen.returncode is None else None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        cpus: Sequence[int] = (),
        stop_by: signal.Signals = signal.SIGTERM,
        **how: Any,
    ) -> Self:
        """Start a program that `stop` ends by the signal `stop_by`; `how` is that of `processes.start`."""
        return cls(list(command), start(command, log=log, cpus=cpus, **how), log, list(cpus), stop_by=stop_by)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.popen.pid

    @property
    def exit_status(self) -> int | None:
        """Return the exit status: None while it runs, negative for the signal that ended it."""
        return self.popen.poll()

    @property
    def end_text(self) -> str:
        """Return the end of a sentence about a process that has ended: `with status 3`, `by SIGSEGV`."""
        status = self.exit_status or 0
        return f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"

    def family(self) -> list[psutil.Process]:
        """Return the process and all its descendants that are alive."""
        with suppress(psutil.NoSuchProcess):
            if self._root and self._root.is_running():
                return [self._root, *self._root.children(recursive=True)]
        return []

    def log_tail(self, lines: int = 12) -> str:
        """Read the end of what it printed, without credentials: it is quoted in sentences and kept in run.json."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - MOST_OF_LOG_BYTES))
            end = file.read(MOST_OF_LOG_BYTES).decode(errors="replace")
        return hide_own_credentials("\n".join(end.splitlines()[-lines:]))

    def end_offspring(self) -> None:
        """Kill all descendants while the process is there to adopt orphans, also those that are only being forked."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        while time.monotonic() < deadline_s:
            alive = [process for process in self.family()[1:] if not has_ended(process)]
            if not alive:
                break
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.005)

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Ask with `stop_by`, then insist with SIGKILL; afterwards nothing of its family is left."""
        if self._stopped:
            return
        family = self.family()
        try:
            if within_s > 0 and self.exit_status is None:
                self.popen.send_signal(self.stop_by)
                with suppress(subprocess.TimeoutExpired):
                    self.popen.wait(within_s)
        finally:  # a second Ctrl-C cuts the waiting short, not the killing
            try:
                self._kill(family)
            except KeyboardInterrupt:
                self._kill(family)
                raise

    def _kill(self, family: Sequence[psutil.Process]) -> None:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # What was started after we looked. A pid is not given to another process while its group has members.
        if self.popen.returncode is None or not psutil.pid_exists(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()
        deadline = time.monotonic() + STOP_WITHIN_S
        while not all(map(has_ended, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stopped = True


def has_ended(process: psutil.Process) -> bool:
    """Return whether it runs no more, a zombie included: an orphan is init's to reap, and not every init is quick."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextmanager
def work_folder(what: str) -> Iterator[Path]:
    """Make a temporary folder, removed on the way out or, if this process is killed, at the next start.

    Where a signal comes while it is made or removed, it is removed when the process ends.
    """
    made = tempfile.TemporaryDirectory(prefix=f"lab-{os.getpid()}-{what}-", ignore_cleanup_errors=True)
    _MADE.add(made.name)
    with made as name, hold_marker(Path(name), WORK_MARKER):
        yield Path(name)
    _MADE.discard(made.name)


def _remove_own_folders() -> None:
    for name in list(_MADE):
        shutil.rmtree(name, ignore_errors=True)
    for folder in Path(tempfile.gettempdir()).glob(f"lab-{os.getpid()}-*"):
        with suppress(OSError):  # a name proves nothing: what holds a file may be somebody else's
            folder.rmdir()


atexit.register(_remove_own_folders)


def remove_abandoned_folders() -> None:
    """Remove the temporary folders of processes that ended without doing so themselves, as after kill -9."""
    for folder in Path(tempfile.gettempdir()).glob("lab-*"):
        if is_abandoned(folder, WORK_MARKER):
            shutil.rmtree(folder, ignore_errors=True)


def start(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] = MappingProxyType({}),
    cpus: Sequence[int] = (),
    inherit_output: bool = False,
    folder: Path = ROOT,
    account: Account | None = None,
    end_by: signal.Signals = signal.SIGTERM,
    adopts: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in a folder, bound to `cpus`, in a session of its own, ending when the calling thread ends.

    So do not call it by `asyncio.to_thread`, whose threads end with the loop. The process then gets the signal
    `end_by`. As root, `account` is whose process it becomes. With `adopts` also what it starts in the background
    remains its child, to be ended with it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            launch_command(command, cpus=cpus, account=account, end_by=end_by, adopts=adopts),
            env=clean_environment(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=None if inherit_output else output,
            stderr=None if inherit_output else subprocess.STDOUT,
            start_new_session=True,
        )


def launch_command(
    command: Sequence[str],
    *,
    cpus: Sequence[int] = (),
    account: Account | None = None,
    end_by: signal.Signals = signal.SIGTERM,
    adopts: bool = False,
) -> list[str]:
    """Return the command behind `launch.py`, which says what the rest means. Its first word is read by `program_of`."""
    first, *arguments = command
    how = [",".join(map(str, cpus)) or "-", "{}:{}".format(*account) if account else "-", str(int(end_by))]
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *how, str(int(adopts))]
    return [*launcher, program_of(first), *arguments]
