"""`lab trace --serve`: a server in the foreground that tells the hops of each request as it comes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.errors import LabError, NotRun, UsageError
from bench.hops.apps import APP_VARIABLE
from bench.hops.asking import PYTHON, finding_us
from bench.needs import serving_all_needs
from bench.record import ROOT
from bench.servers import (
    READY_WITHIN_S,
    Process,
    require_free,
    stack_environment,
    start,
    work_folder,
)
from bench.stacks import HOST, Stack, parse_stack
from bench.terminal import console
from bench.waiting import listens_within

TRACED = "bench.hops.serving:application"
SERVER_FOR = {"asgi": "async_asgi@uvicorn", "wsgi": "sync_wsgi@gthread:8"}
"""Whose server and budget serve an application of the user's."""


@dataclass(frozen=True)
class Plan:
    """A server command with its environment and the folder to start it in."""

    command: list[str]
    environment: dict[str, str]
    folder: Path


def serve(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C. NotRun where it does not come up, LabError where it ends by itself."""
    require_free(arguments.port)
    with ExitStack() as running:
        plan = _plan_for_app(arguments) if arguments.app else _plan_for_stack(arguments, running)
        log = running.enter_context(work_folder("trace")) / "server.log"
        popen = start(
            plan.command, environment=plan.environment, cpus=(), log=log, inherit_output=True, folder=plan.folder
        )
        process = Process(plan.command, popen, log, [])
        running.callback(process.stop)
        _require_listening(process, arguments.port)
        console(stderr=True).print(f"[green]ready[/] http://{HOST}:{arguments.port} · Ctrl-C stops it")
        status = popen.wait()
        raise LabError(f"The server ended by itself with status {status}; its messages are above.")


def _plan_for_stack(arguments: argparse.Namespace, running: ExitStack) -> Plan:
    if not arguments.words:
        raise UsageError("Say what to serve: `lab trace --serve STACK`, or `lab trace --serve --app MODULE:NAME`.")
    stack = parse_stack(arguments.words[0])
    stack.require_installed()
    needs = running.enter_context(serving_all_needs(stack))
    environment = stack_environment(stack, arguments.middleware or (), needs.environment)
    return Plan(_command(stack, arguments.port), {**environment, APP_VARIABLE: stack.lab.application}, ROOT)


def _plan_for_app(arguments: argparse.Namespace) -> Plan:
    environment = finding_us(os.environ)
    stack = parse_stack(SERVER_FOR[_interface_of(arguments.app, environment)])
    return Plan(_command(stack, arguments.port), {**environment, APP_VARIABLE: arguments.app}, Path.cwd())


def _command(stack: Stack, port: int) -> list[str]:
    """The stack's own server command, with the tracer in the application's place."""
    _, *server, _ = stack.command(port)
    return [*PYTHON, *server, TRACED]


def _interface_of(app: str, environment: dict[str, str]) -> str:
    """Asked in a process of its own: importing an application changes the process that does it."""
    command: Sequence[str] = [sys.executable, *PYTHON[1:], "-m", "bench.hops.apps", app]
    try:
        asked = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=READY_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotRun(f"Importing {app} did not end within {READY_WITHIN_S:.0f} s.") from None
    if asked.returncode:
        raise UsageError(asked.stderr.strip().splitlines()[-1])
    return asked.stdout.split()[-1]


def _require_listening(process: Process, port: int) -> None:
    if listens_within(process, port, READY_WITHIN_S):
        return
    if process.exit_status is not None:
        raise NotRun(f"The server ended with status {process.exit_status}; its messages are above.")
    raise NotRun(f"The server did not listen on port {port} within {READY_WITHIN_S:.0f} s.")
