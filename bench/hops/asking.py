"""Asking an application once, in a process of its own and within a time limit."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import ExitCode, LabError
from bench.hops.ask import Ask
from bench.hops.trace import Trace, from_json
from bench.needs import serving_needs
from bench.record import ROOT
from bench.servers import Process, stack_environment, start, work_folder
from bench.stacks import Stack
from bench.workloads import Request

TIME_LIMIT_S = 30.0
# -P: the project's folder is looked into for the project alone, not for what we import ourselves.
PYTHON = ("python", "-P")


class NeverEnded(LabError):
    """The request, or loading the application, took longer than the time limit."""

    exit_code = ExitCode.INVALID


class Child(LabError):
    """What the process that asks says of its end."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = ExitCode(exit_code)


def trace_of(
    stack: Stack, request: Request, middleware: Sequence[str] = (), within_s: float = TIME_LIMIT_S, **more: Any
) -> Trace:
    """A request of one of the lab's stacks, with the services that it asks; `more` are fields of Ask."""
    with serving_needs(request) as needs:
        environment = stack_environment(stack, middleware, needs.environment)
        return traced(Ask(stack.lab.application, request.path, **more), environment, ROOT, within_s)


def traced(ask: Ask, environment: Mapping[str, str], folder: Path, within_s: float) -> Trace:
    """Ask in a process of its own, started in `folder`. LabError says in a sentence what went wrong there."""
    with work_folder("trace") as work:
        question, answer, log = (work / name for name in ("ask.json", "answer.json", "log"))
        ask.write(question)
        command = [*PYTHON, "-m", "bench.hops.once", str(question), str(answer)]
        popen = start(command, environment=finding_us(environment), cpus=(), log=log, folder=folder)
        process = Process(command, popen, log, [])
        try:
            popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise NeverEnded(
                f"{ask.method} {ask.path} of {ask.app} did not end within {within_s:g} s: give it longer with "
                f"--time-limit, or let the client go with --leave-after."
            ) from None
        finally:
            process.stop(within_s=0)
        return _read(answer, ask, process)


def finding_us(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that is started in another folder."""
    paths = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": paths}


def _read(answer: Path, ask: Ask, process: Process) -> Trace:
    if not answer.exists():
        said = process.log_tail()
        end = f" The end of what it printed:\n{said}" if said else ""
        raise LabError(f"{ask.app} ended its process with status {process.exit_status} before it answered.{end}")
    found: dict[str, Any] = json.loads(answer.read_text())
    if "error" in found:
        raise Child(found["error"], found["exit_code"])
    return from_json(found["trace"])
