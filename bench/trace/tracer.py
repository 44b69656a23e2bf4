"""Asking an application once, in a process of its own, in an interpreter of the project's, and within a time limit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench.base.errors import ExitCode, LabError, NotRun, nearest
from bench.base.files import ROOT
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import stack_environment
from bench.measure.services import serving_services
from bench.model.stacks import Stack
from bench.model.workloads import Request
from bench.trace.inside import bootstrap
from bench.trace.inside.model import Trace, from_json
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import OURS, Interpreter

TIME_LIMIT_S = 30.0
LOOK_EVERY_S = 0.005
WRITES_WITHIN_S = 2.0
"""Past the time limit: for the process to write down what it saw. One that lets no other thread run cannot."""
ENDS_WITHIN_S = 1.0
"""For what the project does at the end of its process."""


class NeverEnded(LabError):
    """The request, or loading the application, took longer than the time limit."""

    exit_code = ExitCode.INVALID


class ChildFailed(LabError):
    """What the process that asks says of its end."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = ExitCode(exit_code)


def trace_stack(
    stack: Stack, request: Request, middleware: Sequence[str] = (), within_s: float = TIME_LIMIT_S, **more: Any
) -> Trace:
    """A request of one of the lab's stacks, with the services that it asks; `more` are fields of Ask."""
    with serving_services(request) as needs:
        environment = stack_environment(stack, middleware, needs.environment)
        return trace_application(RequestSpec(stack.lab.application, request.path, **more), environment, ROOT, within_s)


def trace_application(
    ask: RequestSpec, environment: Mapping[str, str], folder: Path, within_s: float, interpreter: Interpreter = OURS
) -> Trace:
    """Ask in a process of its own, started in `folder`. LabError says in a sentence what went wrong there."""
    with work_folder("trace") as work:
        question, answer = (work / name for name in ("ask.json", "answer.json"))
        replace(ask, time_limit_s=within_s, hides=hidden_from(folder)).write(question)
        words = bootstrap.command(interpreter.program, "child", str(question), str(answer))
        found = run_child(words, answer, ask.app, environment, folder, within_s + WRITES_WITHIN_S)
    if found is None:
        raise NeverEnded(
            f"{ask.method} {ask.path} of {ask.app} did not end within {within_s:g} s: give it longer with --time-limit"
            + ("." if ask.leave_after_s else ", or let the client go with --leave-after.")
        )
    seen = from_json(found["trace"])
    if seen.problem and (seen.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR and found["log"]:
        return replace(seen, problem=f"{seen.problem} The end of what it printed:\n{found['log']}")
    return seen


def hidden_from(folder: Path) -> str:
    """The folder of the lab's own packages, which a project must not find; unless it is the project's."""
    return "" if folder == ROOT else str(ROOT)


def run_child(
    command: Sequence[str], answer: Path, app: str, environment: Mapping[str, str], folder: Path, within_s: float
) -> dict[str, Any] | None:
    """What a process of the tracer writes; None where it writes nothing in time. Nothing of it goes on running."""
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
    found: dict[str, Any] = json.loads(answer.read_text())
    found["log"] = process.log_tail()
    if "error" in found:
        hint = f": {nearest(found['word'], found['known'])}" if found.get("word") else ""
        raise ChildFailed(found["error"] + hint, found["exit_code"])
    return found


def _ended(app: str, process: Process) -> LabError:
    """Why there is no answer: an interpreter that is too old says so itself."""
    said = process.log_tail()
    if said.startswith(bootstrap.TOO_OLD):
        return NotRun(f"{said.removeprefix(bootstrap.TOO_OLD)}: name another interpreter with --python.")
    end = f" The end of what it printed:\n{said}" if said else ""
    return LabError(f"{app} ended its process {process.end_text} before it answered.{end}")
