"""Starts what stands in front of a server, on the server's cores: a program that takes the clients' connections."""

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.base import programs
from bench.measure.processes import Account, Process, work_folder
from bench.model.commands import FOLDER, FRONT_PORT, PORT
from bench.model.fronts import FILE, Front
from bench.model.servers import HOST


@dataclass(frozen=True)
class Addresses:
    """Where a front listens, and the port of the server behind it, which is on loopback."""

    host: str
    port: int
    behind: int


@contextmanager
def running_front(front: Front, where: Addresses, cpus: Sequence[int]) -> Iterator[Process]:
    """Start a front in a folder of its own, which goes with it. It may not answer yet. Killed afterwards.

    Raises MissingDependency where the program is not installed.
    """
    program, account = programs.path_of(front.program), account_for(front)
    with work_folder("front") as work:
        folder = _make_folder(work, front, where, account)
        _, *arguments = front.command(folder)
        process = Process.start([program, *arguments], log=work / "front.log", cpus=cpus, account=account)
        try:
            yield process
        finally:
            process.stop(within_s=0)


def _make_folder(work: Path, front: Front, where: Addresses, account: Account | None) -> Path:
    """Make the front's folder with its configuration, for the account that runs it."""
    work.chmod(0o711)  # it stays ours, by which the next start knows it; what it holds becomes the account's
    folder = work / "front"
    folder.mkdir(mode=0o700)
    file = folder / FILE
    file.write_text(front.configured(folder=folder, host=where.host, port=where.port, behind=where.behind))
    if account:
        for path in (folder, file):
            os.chown(path, *account)
    return folder


def account_for(front: Front) -> Account | None:
    """Choose the account that runs the front: ours (None), but a user without rights where we are root."""
    if os.geteuid() == 0:
        for name in front.accounts:
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return entry.pw_uid, entry.pw_gid
    return None


def words_of(front: Front) -> dict[str, list[str]]:
    """Return what a run keeps of a front: its command and the lines of its configuration, with names for ports."""
    lines = front.configured(folder=FOLDER, host=HOST, port=FRONT_PORT, behind=PORT).splitlines()
    return {"front": front.command(FOLDER), "front configuration": lines}
