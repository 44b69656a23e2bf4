"""Starts a server, waits until it is ready, and ends it. It is known as ours by a nonce that it answers."""

import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psutil

from bench.base.bounded_http import Unreadable, ask
from bench.base.errors import NotRun
from bench.base.polling import eventually
from bench.measure.fronting import Addresses, running_front
from bench.measure.ports import free_port, owner_of, require_free
from bench.measure.processes import STOP_WITHIN_S, Process, has_ended, start, work_folder
from bench.model.environments import variables_of
from bench.model.fronts import Front
from bench.model.redaction import VARIABLE as DATABASE_VARIABLE
from bench.model.servers import HOST, LOOPBACK
from bench.model.stacks import READY_PATH, Stack

READY_WITHIN_S = 30.0
ANSWER_WITHIN_S = 1.0
LOOK_AT_CHILDREN_EVERY_S = 0.2


@dataclass
class RunningServer(Process):
    """A process that answers HTTP on a loopback port; `front` takes its clients' connections, if there is one."""

    port: int = 0
    host: str = HOST
    front: Self | None = None

    @property
    def url(self) -> str:
        """Return scheme, host and port that clients use, without a path."""
        return self.front.url if self.front else f"http://{self.host}:{self.port}"


def listens_within(process: Process, port: int, within_s: float) -> bool:
    """Wait until the port accepts connections. False as soon as the process has ended, or when the time is over."""
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
    folder: Path | None = None,
    ready_path: str = READY_PATH,
) -> Iterator[RunningServer]:
    """Start a server, wait until it answers with our nonce, and stop it on the way out, whatever happened.

    It starts in `folder`, else in the repository's root, and answers with the nonce at `ready_path`.

    `grace_s` 0 ends it at once, as after a window: gunicorn would first answer the queue of clients long gone.
    """
    require_free(port, host)  # else a stranger's socket reads as a server that does not boot
    nonce = secrets.token_hex(8)
    secret = {"LAB_INSTANCE": nonce, "LAB_SECRET_KEY": secrets.token_urlsafe(40)}
    with work_folder("server") as work:
        log, environment = work / "server.log", {**environment, **secret}
        where: dict[str, Any] = {"folder": folder} if folder else {}
        popen = start(command, environment=environment, cpus=cpus, log=log, inherit_output=inherit_output, **where)
        server = RunningServer(list(command), popen, log, list(cpus), port=port, host=host)
        try:
            _wait_until_ready(server, nonce, ready_path)
            yield server
        finally:
            server.stop(grace_s)


def _wait_until_ready(server: RunningServer, nonce: str, path: str = READY_PATH) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    answer, boot = None, _Boot(server)
    while time.monotonic() < deadline:
        failure = boot.failure()
        if failure:
            raise NotRun(
                f"The server did not boot: `{' '.join(server.command)}` {failure}. "
                f"The end of its log:\n{server.log_tail()}"
            )
        seen = _instance_at(server.url, path)
        if seen == nonce:
            return
        answer = seen if seen is not None else answer
        time.sleep(0.02)
    if answer is not None:
        raise NotRun(f"Port {server.port} is taken{owner_of(server.port)}: what answers there is not ours.")
    raise NotRun(
        f"The server did not answer within {READY_WITHIN_S:.0f} s: `{' '.join(server.command)}`. "
        f"The end of its log:\n{server.log_tail()}"
    )


class _Boot:
    """Sees that a server fails to boot: uvicorn with several processes starts failing ones again, for ever."""

    def __init__(self, server: RunningServer) -> None:
        self.server, self.children, self.looked_s = server, set[psutil.Process](), 0.0

    def failure(self) -> str | None:
        """How the command failed, as the end of a sentence; None where it has not."""
        if self.server.exit_status is not None:
            return f"ended with status {self.server.exit_status}"
        if time.monotonic() - self.looked_s < LOOK_AT_CHILDREN_EVERY_S:
            return None
        self.looked_s = time.monotonic()
        self.children.update(self.server.family()[1:])
        ended = [child.pid for child in self.children if has_ended(child)]
        # Who ends without a word may be a helper that some import needed.
        return f"lost its process {min(ended)} while it started" if ended and self.server.log_tail() else None


def _instance_at(url: str, path: str = READY_PATH) -> str | None:
    """Return the nonce that the server answers; None where nothing answers, '' where another program does."""
    try:
        answer = ask(url, path, ANSWER_WITHIN_S)
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
    sheet: Path | None = None,
) -> Iterator[RunningServer]:
    """Serve the stack on a free port of loopback, or on the one given. `services`: as `Services.environment`.

    With a `sheet` the lab is served by labs/watched, which notes there where each numbered request is.
    """
    stack.require_installed(*drivers_for(services))
    port = port or free_port(host)
    own_port, own_host = address_behind(stack.front, port, host)
    environment = stack_environment(stack, middleware, services, host)
    command = stack.command(own_port, host=own_host)
    if sheet:
        *command, application = command
        command.append(f"labs.watched.{stack.lab.interface}:application")
        environment |= {"LAB_WATCHED": application.partition(":")[0], "LAB_SHEET": str(sheet)}
    with (
        serving(
            command,
            own_port,
            environment=environment,
            cpus=cpus,
            host=own_host,
            grace_s=grace_s,
            folder=stack.folder,
            ready_path=stack.ready_path,
        ) as server,
        fronting(stack.front, server, port, host),
    ):
        yield server


def address_behind(front: Front | None, port: int, host: str) -> tuple[int, str]:
    """Return where the server itself listens: behind a front on a free port of loopback."""
    return (free_port(), HOST) if front else (port, host)


def fronting(front: Front | None, server: RunningServer, port: int, host: str) -> AbstractContextManager[None]:
    """Put the front, if there is one, before the server, at this address, until it answers with the server's nonce."""
    return _serving_front(front, server, port, host) if front else nullcontext()


@contextmanager
def _serving_front(front: Front, server: RunningServer, port: int, host: str) -> Iterator[None]:
    require_free(port, host)
    nonce = _instance_at(server.url)
    assert nonce, "the server is ready"
    with running_front(front, Addresses(host, port, server.port), server.cpus) as it:
        before = RunningServer(it.command, it.popen, it.log, it.cpus, port=port, host=host)
        _wait_until_ready(before, nonce)
        server.front = before
        try:
            yield
        finally:
            server.front = None


def drivers_for(services: Mapping[str, str]) -> tuple[str, ...]:
    """The packages that the stack's environment needs for the services that it is to call."""
    return ("psycopg",) if services.get(DATABASE_VARIABLE, "").startswith("postgres") else ()


def stack_environment(
    stack: Stack, middleware: Sequence[str], services: Mapping[str, str], host: str = HOST
) -> dict[str, str]:
    """Return the variables of the stack's environment, and the lab's settings as variables."""
    allowed = {} if host in LOOPBACK else {"LAB_ALLOWED_HOST": host}
    chosen = {"LAB_MIDDLEWARE": ",".join(middleware)} if middleware else {}
    return {**variables_of(stack.environment), **allowed, **chosen, **stack.variables, **services}
