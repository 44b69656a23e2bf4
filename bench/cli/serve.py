"""`lab serve STACK`: one stack in the foreground, with the services that its workloads ask, until Ctrl-C."""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench.base.errors import LabError
from bench.measure import preflight
from bench.measure.ports import require_free
from bench.measure.readiness import serving, stack_environment
from bench.measure.services import serving_all_services
from bench.model.redaction import VARIABLES
from bench.model.servers import HOST
from bench.model.stacks import Stack


def serve(
    stack: Stack,
    *,
    port: int,
    middleware: Sequence[str],
    cpus: Sequence[int],
    reload: bool,
    console: Console,
    host: str = HOST,
) -> None:
    """Print the command, start it, and stay until it ends or is interrupted. NotRun where it cannot start."""
    stack.require_installed()
    require_free(port, host)
    preflight.raise_descriptor_limit()
    with ExitStack() as running:
        needs = running.enter_context(serving_all_services(stack))
        environment = stack_environment(stack, middleware, needs.environment, host) | _redis()
        command = stack.command(port, host=host, reload=reload)
        print(copyable(command, environment, cpus), flush=True)
        if needs.database:
            console.print(f"database: {needs.database.vendor}", markup=False)
        server = running.enter_context(
            serving(command, port, environment=environment, cpus=cpus, host=host, inherit_output=True)
        )
        console.print(f"[green]ready[/] {server.url}{stack.lab.page} · Ctrl-C stops it")
        status = server.popen.wait()
        raise LabError(f"The server ended by itself with status {status}; its messages are above.")


def _redis() -> dict[str, str]:
    """The Redis that the user names, for labs that share through one: a measured server has none."""
    return {name: os.environ[name] for name in ("LAB_REDIS_URL",) if os.environ.get(name)}


def copyable(command: Sequence[str], environment: dict[str, str], cpus: Sequence[int]) -> str:
    """The command as one would type it in this folder: variables, cores, the interpreter, arguments.

    Without the addresses that may hold a password.
    """
    python, *arguments = command
    words = [f"{name}={shlex.quote(value)}" for name, value in environment.items() if name not in VARIABLES]
    if cpus:
        words += ["taskset", "-c", ",".join(map(str, cpus))]
    return " ".join([*words, shlex.quote(_interpreter(python)), *map(shlex.quote, arguments)])


def _interpreter(python: str) -> str:
    """The running interpreter, relative where it is below this folder."""
    here = Path.cwd()
    running = Path(sys.executable)
    return os.path.relpath(running, here) if running.is_relative_to(here) else str(running)
