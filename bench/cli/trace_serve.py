"""`lab trace --serve`: a server in the foreground that prints the hops of each request, or what blocks its loop."""

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.base.console import announce, console
from bench.base.errors import LabError, NotRun, UsageError
from bench.base.files import ROOT
from bench.cli.trace_blocking import show_blocking
from bench.measure.ports import require_free
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import READY_WITHIN_S, drivers_for, listens_within, stack_environment
from bench.measure.services import serving_all_services
from bench.model.servers import HOST
from bench.model.stacks import parse_stack_alone
from bench.trace.blocking_report import REPORTS, merge_reports
from bench.trace.inside import bootstrap
from bench.trace.interpreter import Interpreter, choose_interpreter, interpreter_of
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
"""The arguments with which each server that a project may have listens on a port."""
WITHOUT_LIFESPAN = ("daphne",)
Plan = tuple[list[str], Mapping[str, str], Path]
"""A server command, its environment, and the folder to start it in."""


def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; with --blocking, print then what has blocked the event loop."""
    with work_folder("trace") as work:
        try:
            return _serve(arguments, work)
        except KeyboardInterrupt:
            if arguments.blocking:
                show_blocking(merge_reports(work / REPORTS), arguments)
            raise


def _serve(arguments: argparse.Namespace, work: Path) -> int:
    """Serve. Raises NotRun where the server does not come up, LabError where it ends by itself."""
    require_free(arguments.port)
    with ExitStack() as running:
        plan = _plan_for_app(arguments, work) if arguments.app else _plan_for_stack(arguments, work, running)
        command, environment, folder = plan
        log = work / "server.log"
        popen = start(
            command, environment=environment, cpus=(), log=log, inherit_output=True, folder=folder, adopts=True
        )
        process = Process(command, popen, log, [])
        running.callback(process.stop)
        if not listens_within(process, arguments.port, READY_WITHIN_S):
            if process.exit_status is not None:
                raise NotRun(f"The server ended {process.end_text}; its messages are above.")
            raise NotRun(f"The server did not listen on port {arguments.port} within {READY_WITHIN_S:.0f} s.")
        console(stderr=True).print(f"[green]ready[/] http://{HOST}:{arguments.port} · Ctrl-C stops it")
        popen.wait()
        raise LabError(f"The server ended by itself {process.end_text}; its messages are above.")


def _plan_for_stack(arguments: argparse.Namespace, work: Path, running: ExitStack) -> Plan:
    """The stack's own server, with the tracer in the application's place."""
    if not arguments.words:
        raise UsageError("Say what to serve: `lab trace --serve STACK`, or `lab trace --serve --app MODULE:NAME`.")
    stack = parse_stack_alone(arguments.words[0])
    needs = running.enter_context(serving_all_services(stack))
    stack.require_installed(*drivers_for(needs.environment))
    environment = stack_environment(stack, arguments.middleware or (), needs.environment)
    _, _, *server, _ = stack.command(arguments.port)
    words = [stack.lab.application, hidden_from(ROOT), _blocking(arguments, work), *server, bootstrap.TRACED]
    return _command(interpreter_of(stack), words), environment, ROOT


def _command(interpreter: Interpreter, words: Sequence[str]) -> list[str]:
    return bootstrap.command(interpreter.program, "traced_app", "main", *words)


def _blocking(arguments: argparse.Namespace, work: Path) -> str:
    """What tells the server to look for what blocks its loop: milliseconds, and a folder for its reports."""
    if not arguments.blocking:
        return ""
    (work / REPORTS).mkdir()
    return f"{arguments.blocking_over:g}:{work / REPORTS}"


def _plan_for_app(arguments: argparse.Namespace, work: Path) -> Plan:
    """A server that the project's interpreter has, for the interface that its application has."""
    app, folder = arguments.app, Path.cwd()
    interpreter = choose_interpreter(arguments.python, folder)
    answer, hidden = work / "answer.json", hidden_from(folder)
    command = bootstrap.command(interpreter.program, "child", "describe", app, hidden, str(answer))
    found = run_child(command, answer, app, os.environ, folder, READY_WITHIN_S)
    if found is None:
        raise NotRun(f"Importing {app} did not end within {READY_WITHIN_S:.0f} s.")
    servers = [WSGI_SERVER] if found["interface"] == "wsgi" else found["servers"]
    if not servers:
        raise NotRun(
            f"{interpreter.program} has no ASGI server: run `{interpreter.program} -m pip install uvicorn`, or name "
            f"another interpreter with --python."
        )
    server = servers[0]
    lifespan = f"; {server} runs no lifespan" if server in WITHOUT_LIFESPAN else ""
    announce(f"{app} on {server}, in {interpreter.program} ({interpreter.whose}){lifespan}")
    words = [word.format(port=arguments.port) for word in ARGUMENTS[server]]
    return _command(interpreter, [app, hidden, _blocking(arguments, work), server, *words]), os.environ, folder
