"""Start a server of ours, know that it is ours, watch what it uses, and stop it with all its children.

Readiness is asked, not slept for: each server is given a nonce and answers it at /ready (METHOD, item 5).
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import launch
from bench.errors import NotRun
from bench.record import ROOT
from bench.stacks import HOST, Stack

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 3.0
# Variables that silently change what gunicorn, uvicorn and Locust do; a measured command says all it means.
FOREIGN_VARIABLES = (
    "GUNICORN_CMD_ARGS",
    "WEB_CONCURRENCY",
    "FORWARDED_ALLOW_IPS",
    "PYTHONDEVMODE",
    "PYTHONWARNINGS",
)
FOREIGN_PREFIXES = ("UVICORN_", "LOCUST_", "LAB_", "DJANGO_")


@dataclass
class Process:
    """A program of ours in a session of its own, with its output in a file."""

    command: list[str]
    popen: subprocess.Popen[bytes]
    log: Path
    cpus: list[int]
    _stopped: bool = field(default=False, kw_only=True)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self.popen.poll()

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that are alive."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        return []

    def log_tail(self, lines: int = 12) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Ask with SIGTERM, then insist with SIGKILL; afterwards nothing of its family is left."""
        if self._stopped:
            return
        family = self.family()
        try:
            if within_s > 0 and self.exit_status is None:
                self.popen.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self.popen.wait(within_s)
        finally:  # a second Ctrl-C cuts the waiting short, not the killing
            self._kill(family)

    def _kill(self, family: Sequence[psutil.Process]) -> None:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # whoever was started after we looked
        self.popen.wait()
        deadline = time.monotonic() + STOP_WITHIN_S
        while not all(map(has_ended, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._stopped = True


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

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def free_port() -> int:
    """A port nobody listens on now. Somebody may take it before we do: the nonce would notice."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def owner_of(port: int) -> str:
    """Who listens on the port, as far as the system lets us see."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" by pid {connection.pid}" if connection.pid else ""
    return ""


def require_free(port: int) -> None:
    """Raise NotRun where somebody listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise NotRun(
                f"Port {port} on {HOST} is taken{owner_of(port)} ({error.strerror}): "
                f"stop that program or choose another port with --port."
            ) from None


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would change a server behind our back, and with what the lab sets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN_VARIABLES and not name.startswith(FOREIGN_PREFIXES)
    }
    return {**kept, **more}


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cpus: Sequence[int],
    log: Path,
    inherit_output: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command bound to `cpus`, in a session of its own, ending when this process ends."""
    binding = ",".join(map(str, cpus)) or "-"
    python, *arguments = command
    program = [sys.executable if python == "python" else python, *arguments]
    wrapper = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), binding]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*wrapper, *program],
            env=clean_environment(environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=None if inherit_output else output,
            stderr=None if inherit_output else subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    environment: Mapping[str, str],
    cpus: Sequence[int] = (),
    inherit_output: bool = False,
    grace_s: float = STOP_WITHIN_S,
) -> Iterator[Server]:
    """A running server that has answered with our nonce; stopped on the way out, whatever happened.

    `grace_s` 0 ends it at once, as after a window: gunicorn would first answer the queue of clients long gone.
    """
    require_free(port)  # else a stranger's socket reads as a server that does not boot
    nonce = secrets.token_hex(8)
    secret = {"LAB_INSTANCE": nonce, "LAB_SECRET_KEY": secrets.token_urlsafe(40)}
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        log = Path(folder) / "server.log"
        popen = start(command, environment={**environment, **secret}, cpus=cpus, log=log, inherit_output=inherit_output)
        server = Server(list(command), popen, log, list(cpus), port=port)
        try:
            _wait_until_ready(server, nonce)
            yield server
        finally:
            server.stop(grace_s)


def _wait_until_ready(server: Server, nonce: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    answer = None
    while time.monotonic() < deadline:
        if server.exit_status is not None:
            raise NotRun(
                f"The server did not boot: `{' '.join(server.command)}` ended with status "
                f"{server.exit_status}. The end of its log:\n{server.log_tail()}"
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


_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def _instance_at(url: str) -> str | None:
    """The nonce that the server at the address answers; None where nothing answers, '' where a stranger does."""
    try:
        with _open(f"{url}/ready", timeout=1) as response:
            return str(json.load(response).get("instance", ""))
    except (urllib.error.HTTPError, ValueError, AttributeError):
        return ""
    except OSError:
        return None


@contextmanager
def serving_stack(
    stack: Stack,
    *,
    middleware: Sequence[str] = (),
    upstream_url: str | None = None,
    cpus: Sequence[int] = (),
    port: int | None = None,
    grace_s: float = STOP_WITHIN_S,
) -> Iterator[Server]:
    """The stack on a free loopback port (or the one asked for), ready."""
    stack.require_installed()
    port = port or free_port()
    environment = stack_environment(middleware, upstream_url)
    with serving(stack.command(port), port, environment=environment, cpus=cpus, grace_s=grace_s) as server:
        yield server


def stack_environment(middleware: Sequence[str], upstream_url: str | None) -> dict[str, str]:
    """The lab's settings as environment variables."""
    environment = {}
    if middleware:
        environment["LAB_MIDDLEWARE"] = ",".join(middleware)
    if upstream_url:
        environment["LAB_UPSTREAM_URL"] = upstream_url
    return environment


def upstream_command(port: int) -> list[str]:
    """The slow service that `fan_out` calls: plain ASGI on uvicorn."""
    return [
        *("python", "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75", "--backlog", "2048"),
        *("--host", HOST, "--port", str(port), "labs.upstream.asgi:application"),
    ]


@contextmanager
def serving_upstream(*, cpus: Sequence[int] = (), port: int | None = None) -> Iterator[Server]:
    """The upstream service on a free loopback port, ready."""
    port = port or free_port()
    with serving(upstream_command(port), port, environment={}, cpus=cpus) as server:
        yield server
