"""`lab serve STACK`: one stack in the foreground, with the services that its workloads call, until Ctrl-C."""

import argparse
import os
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from bench.base.console import console
from bench.base.errors import LabError
from bench.cli.overrides import check_cpus, check_middleware, check_owned
from bench.measure import preflight
from bench.measure.ports import own_address, require_free
from bench.measure.readiness import address_behind, fronting, serving, stack_environment
from bench.measure.services import serving_all_services
from bench.model.environments import program_of
from bench.model.redaction import VARIABLES
from bench.model.stacks import parse_stack


def serve(arguments: argparse.Namespace) -> NoReturn:
    """Print the command, start it, and stay until it ends or is interrupted.

    UsageError for unknown names and for hosts that the user has not claimed, NotRun if it cannot start."""
    stack, port, cpus = parse_stack(arguments.stack), arguments.port, arguments.cpus
    check_cpus(cpus)
    check_owned(arguments.bind, arguments)
    host, middleware = own_address(arguments.bind), check_middleware(arguments.middleware or [])
    stack.require_installed()
    require_free(port, host)
    preflight.raise_descriptor_limit()
    messages = console(stderr=True)
    with ExitStack() as running:
        needs = running.enter_context(serving_all_services(stack))
        environment = stack_environment(stack, middleware, needs.environment, host) | _redis()
        own_port, own_host = address_behind(stack.front, port, host)
        command = stack.command(own_port, host=own_host, reload=arguments.reload)
        print(copyable(command, environment, cpus), flush=True)
        if needs.database:
            messages.print(f"database: {needs.database.vendor}", markup=False)
        server = running.enter_context(
            serving(command, own_port, environment=environment, cpus=cpus, host=own_host, inherit_output=True)
        )
        running.enter_context(fronting(stack.front, server, port, host))
        if stack.front:
            messages.print(f"in front: {stack.front.name}, which passes requests on to port {own_port}", markup=False)
        messages.print(f"[green]ready[/] {server.url}{stack.lab.page} · Ctrl-C stops it")
        status = server.popen.wait()
        raise LabError(f"The server ended by itself with status {status}; its messages are above.")


def _redis() -> dict[str, str]:
    """The Redis that the user names, for labs that share through one: a measured server has none."""
    return {name: os.environ[name] for name in ("LAB_REDIS_URL",) if os.environ.get(name)}


def copyable(command: Sequence[str], environment: dict[str, str], cpus: Sequence[int]) -> str:
    """The command as a user can type it in this folder, without the addresses that may hold a password."""
    words = [f"{name}={shlex.quote(value)}" for name, value in environment.items() if name not in VARIABLES]
    if cpus:
        words += ["taskset", "-c", ",".join(map(str, cpus))]
    here, python = Path.cwd(), Path(program_of(command[0]))
    interpreter = os.path.relpath(python, here) if python.is_relative_to(here) else str(python)
    return " ".join([*words, *map(shlex.quote, (interpreter, *command[1:]))])
