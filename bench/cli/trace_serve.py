"""`lab trace --serve`: a server in the foreground that tells the hops of each request as it comes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.console import announce, console
from bench.base.errors import LabError, NotRun, UsageError
from bench.base.files import ROOT
from bench.measure.ports import require_free
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import READY_WITHIN_S, listens_within, stack_environment
from bench.measure.services import serving_all_services
from bench.model.servers import HOST
from bench.model.stacks import Stack, parse_stack
from bench.trace.inside import bootstrap
from bench.trace.interpreter import OURS, Interpreter, choose
from bench.trace.tracer import hidden_from, run_child

WSGI_SERVER = "wsgiref"
"""In the standard library, so that every interpreter has it."""
ARGUMENTS = {
    "uvicorn": ("--host", HOST, "--port", "{port}", "--no-access-log", "--log-level", "warning", bootstrap.TRACED),
    "daphne": ("--bind", HOST, "--port", "{port}", "--verbosity", "0", bootstrap.TRACED),
    # Workers of its own would be new interpreters, which know nothing of the tracer.
    "hypercorn": ("--workers", "0", "--bind", f"{HOST}:{{port}}", bootstrap.TRACED),
    WSGI_SERVER: ("{port}",),
}
"""How each server that a project may have is told where to listen."""
WITHOUT_LIFESPAN = ("daphne",)


@dataclass(frozen=True)
class Plan:
    """A server command with its environment and the folder to start it in."""

    command: Sequence[str]
    environment: dict[str, str]
    folder: Path


def serve(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C. NotRun where it does not come up, LabError where it ends by itself."""
    require_free(arguments.port)
    with ExitStack() as running:
        folder = running.enter_context(work_folder("trace"))
        plan = _plan_for_app(arguments, folder) if arguments.app else _plan_for_stack(arguments, running)
        log = folder / "server.log"
        popen = start(
            plan.command,
            environment=plan.environment,
            cpus=(),
            log=log,
            inherit_output=True,
            folder=plan.folder,
            adopts=True,
        )
        process = Process(list(plan.command), popen, log, [])
        running.callback(process.stop)
        _require_listening(process, arguments.port)
        console(stderr=True).print(f"[green]ready[/] http://{HOST}:{arguments.port} · Ctrl-C stops it")
        popen.wait()
        raise LabError(f"The server ended by itself {process.end_text}; its messages are above.")


def _plan_for_stack(arguments: argparse.Namespace, running: ExitStack) -> Plan:
    if not arguments.words:
        raise UsageError("Say what to serve: `lab trace --serve STACK`, or `lab trace --serve --app MODULE:NAME`.")
    stack = parse_stack(arguments.words[0])
    stack.require_installed()
    needs = running.enter_context(serving_all_services(stack))
    environment = stack_environment(stack, arguments.middleware or (), needs.environment)
    return Plan(_served(OURS, stack.lab.application, ROOT, *_server_of(stack, arguments.port)), environment, ROOT)


def _server_of(stack: Stack, port: int) -> Sequence[str]:
    """The stack's own server and its arguments, with the tracer in the application's place."""
    _, _, *server, _ = stack.command(port)
    return [*server, bootstrap.TRACED]


def _served(interpreter: Interpreter, app: str, folder: Path, *server: str) -> Sequence[str]:
    return bootstrap.command(interpreter.program, "traced_app", app, hidden_from(folder), *server)


def _plan_for_app(arguments: argparse.Namespace, work: Path) -> Plan:
    folder = Path.cwd()
    interpreter = choose(arguments.python, folder)
    found = _described(interpreter, arguments.app, folder, work / "answer.json")
    server = WSGI_SERVER if found["interface"] == "wsgi" else _first_of(found["servers"], interpreter)
    told = f"{arguments.app} on {server}, in {interpreter.program} ({interpreter.whose})"
    if server in WITHOUT_LIFESPAN:
        told += f"; {server} runs no lifespan"
    announce(told)
    words = [word.format(port=arguments.port) for word in ARGUMENTS[server]]
    return Plan(_served(interpreter, arguments.app, folder, server, *words), dict(os.environ), folder)


def _first_of(servers: Sequence[str], interpreter: Interpreter) -> str:
    if not servers:
        raise NotRun(
            f"{interpreter.program} has no ASGI server: run `{interpreter.program} -m pip install uvicorn`, or name "
            f"another interpreter with --python."
        )
    return servers[0]


def _described(interpreter: Interpreter, app: str, folder: Path, answer: Path) -> dict[str, Any]:
    """The application's interface, and the ASGI servers that its interpreter has."""
    command = bootstrap.command(interpreter.program, "app_description", app, hidden_from(folder), str(answer))
    found = run_child(command, answer, app, os.environ, folder, READY_WITHIN_S)
    if found is None:
        raise NotRun(f"Importing {app} did not end within {READY_WITHIN_S:.0f} s.")
    return found


def _require_listening(process: Process, port: int) -> None:
    if listens_within(process, port, READY_WITHIN_S):
        return
    if process.exit_status is not None:
        raise NotRun(f"The server ended {process.end_text}; its messages are above.")
    raise NotRun(f"The server did not listen on port {port} within {READY_WITHIN_S:.0f} s.")
