"""Start a server of ours, know that it is ours, watch what it uses, and stop it with all its children.

Readiness is asked, not slept for: each server is given a nonce and answers it at /ready (checklist: readiness).
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil

from bench import launch
from bench.base.bounded_http import Unreadable, ask
from bench.base.errors import NotRun, UsageError
from bench.base.files import ROOT
from bench.base.markers import hold_marker, is_abandoned
from bench.base.polling import eventually
from bench.model.redaction import hidden_here
from bench.model.servers import HOST, LOOPBACK
from bench.model.stacks import Stack
from bench.variables import clean_environment

READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 1.0
STOP_WITHIN_S = 3.0
WORK_MARKER = ".made-by-the-lab"
LOOK_AT_CHILDREN_EVERY_S = 0.2
MOST_OF_LOG_BYTES = 100_000
Account = tuple[int, int]  # uid and gid


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

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self.popen.poll()

    @property
    def end_text(self) -> str:
        """`with status 3`, `by SIGSEGV`: the end of a sentence about a process that has ended."""
        status = self.exit_status or 0
        return f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that are alive."""
        with suppress(psutil.NoSuchProcess):
            if self._root and self._root.is_running():
                return [self._root, *self._root.children(recursive=True)]
        return []

    def log_tail(self, lines: int = 12) -> str:
        """The end of what it printed, without credentials: it is quoted in sentences and kept in run.json."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - MOST_OF_LOG_BYTES))
            end = file.read(MOST_OF_LOG_BYTES).decode(errors="replace")
        return hidden_here("\n".join(end.splitlines()[-lines:]))

    def end_offspring(self) -> None:
        """Kill all descendants while the process is there to adopt orphans: also those that are only being forked."""
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
            self._kill_surely(family)

    def _kill_surely(self, family: Sequence[psutil.Process]) -> None:
        try:
            self._kill(family)
        except KeyboardInterrupt:
            self._kill(family)
            raise

    def _kill(self, family: Sequence[psutil.Process]) -> None:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._kill_group()
        self.popen.wait()
        deadline = time.monotonic() + STOP_WITHIN_S
        while not all(map(has_ended, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stopped = True

    def _kill_group(self) -> None:
        """End what was started after we looked. A pid is not given to another process while its group has members."""
        if self.popen.returncode is None or not psutil.pid_exists(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def has_ended(process: psutil.Process) -> bool:
    """True for a zombie too: an orphan is init's to bury, and not every init is quick."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@dataclass
class Server(Process):
    """A process that answers HTTP on a loopback port."""

    port: int = 0
    host: str = HOST

    @property
    def url(self) -> str:
        """Return scheme, host and port, without a path."""
        return f"http://{self.host}:{self.port}"


@contextmanager
def work_folder(what: str) -> Iterator[Path]:
    """A temporary folder, removed on the way out or, where this process is killed, at the next start."""
    made = tempfile.TemporaryDirectory(prefix=f"lab-{os.getpid()}-{what}-", ignore_cleanup_errors=True)
    with made as name, hold_marker(Path(name), WORK_MARKER):
        yield Path(name)


def remove_work_of_the_dead() -> None:
    """Remove the temporary folders of processes that ended without doing so themselves, as after kill -9."""
    for folder in Path(tempfile.gettempdir()).glob("lab-*"):
        if is_abandoned(folder, WORK_MARKER):
            shutil.rmtree(folder, ignore_errors=True)


def free_port(host: str = HOST) -> int:
    """A port nobody listens on now. Somebody may take it before we do: the nonce would notice."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def owner_of(port: int) -> str:
    """Who listens on the port, as far as the system lets us see."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" by pid {connection.pid}" if connection.pid else ""
    return ""


def own_address(host: str) -> str:
    """The IPv4 address of this machine that is meant; UsageError where it has none such."""
    try:
        address = socket.gethostbyname(host)
        free_port(address)
    except OSError as error:
        raise UsageError(f"{host} is no IPv4 address of this machine ({error.strerror or error}).") from None
    if address == "0.0.0.0":
        raise UsageError(f"{host} stands for every address: name the one by which others reach this machine.")
    return address


def require_free(port: int, host: str = HOST, *, option: str = "--port") -> None:
    """Raise NotRun where somebody listens on the port already; `option` is where the user may choose another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotRun(
                f"Port {port} on {host} is taken{owner_of(port)} ({error.strerror}): "
                f"stop that program or choose another port with {option}."
            ) from None


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cpus: Sequence[int],
    log: Path,
    inherit_output: bool = False,
    folder: Path = ROOT,
    account: Account | None = None,
    end_by: signal.Signals = signal.SIGTERM,
    adopts: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in a folder, bound to `cpus`, in a session of its own, ending when this process ends.

    It is told so by the signal `end_by`. As root, `account` is whose process it becomes. With `adopts` also what it
    starts in the background remains its child, to be ended with it.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            launched(command, cpus=cpus, account=account, end_by=end_by, adopts=adopts),
            env=clean_environment(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=None if inherit_output else output,
            stderr=None if inherit_output else subprocess.STDOUT,
            start_new_session=True,
        )


def launched(
    command: Sequence[str],
    *,
    cpus: Sequence[int] = (),
    account: Account | None = None,
    end_by: signal.Signals = signal.SIGTERM,
    adopts: bool = False,
) -> list[str]:
    """The command behind `launch.py`, which says what the rest means."""
    python, *arguments = command
    program = [sys.executable if python == "python" else python, *arguments]
    options = ["--end-by", str(int(end_by)), *(["--as", "{}:{}".format(*account)] if account else [])]
    options += ["--adopt", "yes"] if adopts else []
    binding = ",".join(map(str, cpus)) or "-"
    return [sys.executable, "-I", "-S", launch.__file__, *options, str(os.getpid()), binding, *program]


def listens_within(process: Process, port: int, within_s: float) -> bool:
    """Wait until the port accepts connections; False when the process has ended, at once, or the time is over."""
    is_decided = eventually(lambda: process.exit_status is not None or _accepts(port), within_s)
    return is_decided and process.exit_status is None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    environment: Mapping[str, str],
    cpus: Sequence[int] = (),
    host: str = HOST,
    inherit_output: bool = False,
    grace_s: float = STOP_WITHIN_S,
) -> Iterator[Server]:
    """A running server that has answered with our nonce; stopped on the way out, whatever happened.

    `grace_s` 0 ends it at once, as after a window: gunicorn would first answer the queue of clients long gone.
    """
    require_free(port, host)  # else a stranger's socket reads as a server that does not boot
    nonce = secrets.token_hex(8)
    secret = {"LAB_INSTANCE": nonce, "LAB_SECRET_KEY": secrets.token_urlsafe(40)}
    with work_folder("server") as folder:
        log = folder / "server.log"
        popen = start(command, environment={**environment, **secret}, cpus=cpus, log=log, inherit_output=inherit_output)
        server = Server(list(command), popen, log, list(cpus), port=port, host=host)
        try:
            _wait_until_ready(server, nonce)
            yield server
        finally:
            server.stop(grace_s)


def _wait_until_ready(server: Server, nonce: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    answer, boot = None, _Boot(server)
    while time.monotonic() < deadline:
        failure = boot.failure()
        if failure:
            raise NotRun(
                f"The server did not boot: `{' '.join(server.command)}` {failure}. "
                f"The end of its log:\n{server.log_tail()}"
            )
        answer = _instance_at(server.url)
        if answer == nonce:
            return
        time.sleep(0.02)
    if answer is not None:
        raise NotRun(f"Port {server.port} is taken{owner_of(server.port)}: what answers there is not ours.")
    raise NotRun(
        f"The server did not answer within {READY_WITHIN_S:.0f} s: `{' '.join(server.command)}`. "
        f"The end of its log:\n{server.log_tail()}"
    )


class _Boot:
    """Looks whether a server is failing to boot; uvicorn with several processes starts failing ones for ever again."""

    def __init__(self, server: Server) -> None:
        self.server, self.children, self.looked_s = server, set[psutil.Process](), 0.0

    def failure(self) -> str | None:
        """How the command failed, as the end of a sentence about it."""
        if self.server.exit_status is not None:
            return f"ended with status {self.server.exit_status}"
        if time.monotonic() - self.looked_s < LOOK_AT_CHILDREN_EVERY_S:
            return None
        self.looked_s = time.monotonic()
        self.children.update(self.server.family()[1:])
        ended = [child.pid for child in self.children if has_ended(child)]
        # Who ends without a word may be a helper that some import needed.
        return f"lost its process {min(ended)} while it started" if ended and self.server.log_tail() else None


def _instance_at(url: str) -> str | None:
    """The nonce that the server at the address answers; None where nothing answers, '' where a stranger does."""
    try:
        answer = ask(url, "/ready", ANSWER_WITHIN_S)
        return str(answer.json().get("instance", "")) if answer.status == 200 else ""
    except (Unreadable, ValueError, AttributeError):
        return ""
    except OSError:
        return None


@contextmanager
def serving_stack(
    stack: Stack,
    *,
    middleware: Sequence[str] = (),
    services: Mapping[str, str] = MappingProxyType({}),
    cpus: Sequence[int] = (),
    port: int | None = None,
    host: str = HOST,
    grace_s: float = STOP_WITHIN_S,
) -> Iterator[Server]:
    """The stack on a free port of loopback (or the one asked for), ready; `services` as `needs.Needs.environment`."""
    stack.require_installed()
    port = port or free_port(host)
    environment = stack_environment(stack, middleware, services, host)
    command = stack.command(port, host=host)
    with serving(command, port, environment=environment, cpus=cpus, host=host, grace_s=grace_s) as server:
        yield server


def stack_environment(
    stack: Stack, middleware: Sequence[str], services: Mapping[str, str], host: str = HOST
) -> dict[str, str]:
    """The lab's settings as environment variables."""
    allowed = {} if host in LOOPBACK else {"LAB_ALLOWED_HOST": host}
    chosen = {"LAB_MIDDLEWARE": ",".join(middleware)} if middleware else {}
    return {**allowed, **chosen, **stack.environment, **services}


def upstream_command(port: int) -> list[str]:
    """The slow service that `fan_out` calls: plain ASGI on uvicorn."""
    return [
        *("python", "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75", "--backlog", "2048"),
        *("--host", HOST, "--port", str(port), "labs.upstream.asgi:application"),
    ]


@contextmanager
def serving_upstream(*, cpus: Sequence[int] = (), port: int | None = None) -> Iterator[Server]:
    """The upstream service on a free loopback port, ready. Nobody misses what it has not answered."""
    port = port or free_port()
    with serving(upstream_command(port), port, environment={}, cpus=cpus, grace_s=0) as server:
        yield server
