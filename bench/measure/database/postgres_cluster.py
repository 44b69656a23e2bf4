"""A throw-away PostgreSQL on loopback: made once per process, started for each trial that needs it.

Its data lies in a temporary folder that goes when this process ends, and so does the server, also after kill -9.
"""

import atexit
import ctypes
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from bench.base.errors import NotRun
from bench.measure.database.postgres_binaries import Binaries, copy_binaries
from bench.measure.ports import free_port
from bench.measure.processes import Process, work_folder
from bench.model.servers import HOST

SUPERUSER, ROLE, NAME = "bench", "lab", "lab"
OUR_NAME = "django-lab-bench"  # of each of our own connections: when it is closed it takes the server a moment to end
RESERVED = 3  # for superusers, PostgreSQL's default
MADE_WITHIN_S, READY_WITHIN_S, STOPPED_WITHIN_S, ANSWER_WITHIN_S = 60.0, 30.0, 5.0, 5
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # The question is Django's side: what waits for a disk would measure the disk. A crash of the server loses nothing.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # No work of its own falls into a window.
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    # In the data folder, with which it goes.
    "dynamic_shared_memory_type": "mmap",
    "superuser_reserved_connections": str(RESERVED),
}


@dataclass
class Cluster:
    """A data folder with the database `lab`, and the server on it while it runs.

    `connections` are for the labs; the server has one more for the bench, which stays connected.
    """

    binaries: Binaries
    folder: Path
    port: int = 0
    connections: int = 10
    cpus: Sequence[int] = ()
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    superuser_password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    process: Process | None = None
    is_filled: bool = False

    @property
    def url(self) -> str:
        """Return the URL for the labs: an ordinary user that owns its database."""
        return f"postgresql://{ROLE}:{self.password}@{HOST}:{self.port}/{NAME}"

    @property
    def log(self) -> Path:
        """Return the path of the server's log."""
        return self.folder / "postgres.log"

    @property
    def data(self) -> Path:
        """Return PostgreSQL's data folder."""
        return self.folder / "data"

    def connect(self, name: str = NAME) -> psycopg.Connection:
        """Connect as the superuser, who gets in when no connection is left for others."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=SUPERUSER,
            password=self.superuser_password,
            dbname=name,
            connect_timeout=ANSWER_WITHIN_S,
            application_name=OUR_NAME,
            autocommit=True,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {**SETTINGS, "port": str(self.port), "max_connections": str(self.connections + 1 + RESERVED)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # The signal asks for an immediate shutdown: the data of a bench that is dead are of no use.
        self.process = self._run(["postgres", "-D", str(self.data), *words], self.cpus, end_by=signal.SIGQUIT)
        try:
            self._wait_until_ready(self.process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server fast, which cuts clients off; afterwards nothing runs."""
        if self.process:
            self.process.stop(STOPPED_WITHIN_S)
            self.process = None
            _remove_segment(self.data / "postmaster.pid")

    def _wait_until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while process.exit_status is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                self.connect("postgres").close()
                return
            time.sleep(0.01)
        raise NotRun(f"PostgreSQL {self.binaries.version} did not start. The end of its log:\n{process.log_tail()}")

    def make(self) -> None:
        """Make the data folder, then in it a user and a database for the labs."""
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.superuser_password)
        if self.binaries.account:
            for path in (self.folder, secret):
                os.chown(path, *self.binaries.account)
        if self.binaries.hidden:
            self.binaries = copy_binaries(self.binaries, self.folder)
        how = ("--no-sync", "--auth", "scram-sha-256", "--locale", "C", "--encoding", "UTF8")
        who = ("--username", SUPERUSER, "--pwfile", str(secret))
        finish(self._run(["initdb", "-D", str(self.data), *how, *who]), "PostgreSQL's initdb")
        secret.unlink()
        self.start()
        with self.connect("postgres") as connection:
            role, name, password = sql.Identifier(ROLE), sql.Identifier(NAME), sql.Literal(self.password)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, role))
        self.stop()

    def _run(
        self, command: Sequence[str], cpus: Sequence[int] = (), end_by: signal.Signals = signal.SIGTERM
    ) -> Process:
        program, *words = command
        return Process.start(
            [str(self.binaries.folder / program), *words],
            log=self.log,
            cpus=cpus,
            stop_by=signal.SIGINT,
            folder=self.folder,
            account=self.binaries.account,
            end_by=end_by,
        )


def finish(process: Process, what: str) -> None:
    """Wait for its end. Raises NotRun if it fails or takes more than MADE_WITHIN_S."""
    try:
        process.popen.wait(MADE_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise NotRun(f"{what} did not end within {MADE_WITHIN_S:.0f} s.") from None
    finally:
        process.stop(within_s=0)
    if process.exit_status:
        raise NotRun(f"{what} ended with status {process.exit_status}. The end of its log:\n{process.log_tail()}")


def _remove_segment(pid_file: Path) -> None:
    """Remove the System V shared memory of a server that was killed; its file has the number (line 7: key, id)."""
    with suppress(OSError, IndexError, ValueError):
        key, segment = map(int, pid_file.read_text().splitlines()[6].split())
        system = ctypes.CDLL(None)
        if system.shmget(key, 0, 0) == segment:  # else it was removed, and the number may be another's
            system.shmctl(segment, 0, None)  # IPC_RMID


at_exit = ExitStack()
atexit.register(at_exit.close)
_idle: dict[Binaries, list[Cluster]] = {}  # made by this process, not in use


@contextmanager
def serving(binaries: Binaries, connections: int, cpus: Sequence[int]) -> Iterator[Cluster]:
    """Run a server that is not in use already. It has the data of the one before, if any."""
    idle = _idle.setdefault(binaries, [])
    cluster = idle.pop() if idle else _make_cluster(binaries)
    cluster.port, cluster.connections, cluster.cpus = free_port(), connections, cpus
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
    idle.append(cluster)


def _make_cluster(binaries: Binaries) -> Cluster:
    work = at_exit.enter_context(work_folder("database"))
    work.chmod(0o711)  # it stays ours, by which the next start knows it; what it holds becomes the account's
    folder = work / "cluster"
    folder.mkdir(mode=0o700)
    cluster = Cluster(binaries, folder, free_port())
    cluster.make()
    return cluster
