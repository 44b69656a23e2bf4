"""Start a process that sends one request to an application, in the project's interpreter and within a time limit."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench.base.errors import ExitCode, LabError, NotRun, UsageError, nearest
from bench.base.files import IS_CLONE, ROOT
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import drivers_for, stack_environment
from bench.measure.services import serving_services
from bench.model.stacks import Stack
from bench.model.workloads import Request
from bench.trace.inside import bootstrap
from bench.trace.inside.model import Trace, from_json
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import OURS, Interpreter, interpreter_of

TIME_LIMIT_S = 30.0
LOOK_EVERY_S = 0.005
WRITES_WITHIN_S = 10.0
"""Past the time limit, which the process counts from when it has loaded the application: for that, and for writing down
what it saw. One that lets no other thread run cannot."""
ENDS_WITHIN_S = 1.0
"""For what the project does at the end of its process."""


class NeverEnded(LabError):
    """The request, or loading the application, took longer than the time limit."""

    exit_code = ExitCode.INVALID


ERRORS = {int(kind.exit_code): kind for kind in (LabError, UsageError, NeverEnded)}
"""The errors that the process can have, by the exit code that it writes."""


def trace_stack(
    stack: Stack, request: Request, middleware: Sequence[str] = (), within_s: float = TIME_LIMIT_S, **more: Any
) -> Trace:
    """Trace a request of one of the lab's stacks, with the services that it needs; `more` are fields of RequestSpec."""
    interpreter = interpreter_of(stack)
    with serving_services(request, stack) as needs:
        stack.require_packages(*stack.lab.packages, *drivers_for(needs.environment))
        environment = stack_environment(stack, middleware, needs.environment)
        spec = RequestSpec(stack.lab.application, request.path, **more)
        return trace_application(spec, environment, ROOT, within_s, interpreter)


def trace_application(
    spec: RequestSpec, environment: Mapping[str, str], folder: Path, within_s: float, interpreter: Interpreter = OURS
) -> Trace:
    """Trace a request in a process started in `folder`. Raises LabError with a sentence on what went wrong there."""
    found = ask("child", spec, environment, folder, within_s, interpreter)
    trace = from_json(found["trace"])
    if trace.problem and (trace.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR and found["log"]:
        return replace(trace, problem=f"{trace.problem} The end of what it printed:\n{found['log']}")
    return trace


def find_blocking_of_stack(
    stack: Stack, request: Request, middleware: Sequence[str] = (), within_s: float = TIME_LIMIT_S, **more: Any
) -> dict[str, Any]:
    """Find what blocks the event loop in a request of one of the lab's stacks; `more` are fields of RequestSpec."""
    with serving_services(request, stack) as needs:
        environment = stack_environment(stack, middleware, needs.environment)
        return find_blocking(RequestSpec(stack.lab.application, request.path, **more), environment, ROOT, within_s)


def find_blocking(
    spec: RequestSpec, environment: Mapping[str, str], folder: Path, within_s: float, interpreter: Interpreter = OURS
) -> dict[str, Any]:
    """Send a request several times in a process started in `folder`, and find what blocks its event loop.

    Returns what `inside/blocking_pass.py` reports. Raises UsageError for a WSGI application, which has no event loop.
    """
    found: dict[str, Any] = ask("blocking_pass", spec, environment, folder, within_s, interpreter)["report"]
    return found


def ask(
    module: str, spec: RequestSpec, environment: Mapping[str, str], folder: Path, within_s: float, runs_in: Interpreter
) -> dict[str, Any]:
    """Start a process that asks a request of an application, with the `main` of one of our modules inside.

    Returns what it writes down. Raises NeverEnded where it writes nothing within its time.
    """
    with work_folder("trace") as work:
        question, answer = (work / name for name in ("ask.json", "answer.json"))
        question.write_text(json.dumps(asdict(replace(spec, time_limit_s=within_s, hides=hidden_from(folder)))))
        command = bootstrap.command(runs_in.program, module, "main", str(question), str(answer))
        found = run_child(command, answer, spec.app, environment, folder, within_s + WRITES_WITHIN_S)
    if found is None:
        raise NeverEnded(
            f"{spec.method} {spec.path} of {spec.app} did not end within {within_s:g} s: give it longer with "
            f"--time-limit" + ("." if spec.leave_after_s else ", or let the client go with --leave-after.")
        )
    return found


def hidden_from(folder: Path) -> str:
    """The folder of the lab's own packages, which a project must not find; unless it is the project's.

    Where the lab is installed, that is a folder of many packages, which a project in the same environment needs.
    """
    return "" if folder == ROOT or not IS_CLONE else str(ROOT)


def run_child(
    command: Sequence[str], answer: Path, app: str, environment: Mapping[str, str], folder: Path, within_s: float
) -> dict[str, Any] | None:
    """Return what a process of the tracer writes, and end it with all that it has started.

    Returns None where it writes nothing in time. Raises LabError for what it writes as its error, or for its end.
    """
    log = answer.with_name("log")
    popen = start(command, environment=environment, cpus=(), log=log, folder=folder, adopts=True)
    process = Process(list(command), popen, log, [])
    deadline_s = time.monotonic() + within_s
    try:
        while not answer.exists() and process.exit_status is None:
            if time.monotonic() > deadline_s:
                return None
            time.sleep(LOOK_EVERY_S)
    finally:
        process.end_offspring()
        process.stop(ENDS_WITHIN_S if answer.exists() else 0)
    if not answer.exists():
        raise _ended(app, process)
    found: dict[str, Any] = {**json.loads(answer.read_text()), "log": process.log_tail()}
    if "error" in found:
        hint = f": {nearest(found['word'], found['known'])}" if found.get("word") else ""
        raise ERRORS[found["exit_code"]](found["error"] + hint)
    return found


def _ended(app: str, process: Process) -> LabError:
    """Why there is no answer: an interpreter that is too old says so itself."""
    said = process.log_tail()
    if said.startswith(bootstrap.TOO_OLD):
        return NotRun(f"{said.removeprefix(bootstrap.TOO_OLD)}: name another interpreter with --python.")
    end = f" The end of what it printed:\n{said}" if said else ""
    return LabError(f"{app} ended its process {process.end_text} before it answered.{end}")
