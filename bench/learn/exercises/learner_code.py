"""An exercise's file imported, or its function called, in a process of its own (`child.py`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.learn.exercises.visits import NotYet, Subject
from bench.measure.processes import Process, start, work_folder
from bench.model.servers import Interface

IMPORT_WITHIN_S = 10.0


def require_importable(subject: Subject, doors: Sequence[Interface]) -> None:
    """NotYet where a server with this file would not come up behind one of the doors."""
    _asked_child(subject, {"function": None, "doors": list(doors)})


def called(subject: Subject, function: str, calls: Sequence[dict[str, Any]]) -> list[Any]:
    """What its function gives for each call, asked in a process of its own. Raises NotYet."""
    return _asked_child(subject, {"function": function, "calls": list(calls)})


def _asked_child(subject: Subject, what: dict[str, Any]) -> list[Any]:
    with work_folder("exercise") as work:
        question, answer, log = (work / name for name in ("question.json", "answer.json", "log"))
        question.write_text(json.dumps({"module": subject.module, "file": str(subject.file), **what}))
        command = ["python", "-m", "bench.learn.exercises.child", str(question), str(answer)]
        popen = start(command, environment=subject.environment, cpus=(), log=log)
        process = Process(command, popen, log, [])
        try:
            popen.wait(IMPORT_WITHIN_S)
        except subprocess.TimeoutExpired:
            busy = f"`{what['function']}`" if what["function"] else "what stands outside of the views"
            raise NotYet(
                f"{subject.file.name}: {busy} was still busy after {IMPORT_WITHIN_S:g} s.",
                "Look for a loop or a wait that nothing ends.",
            ) from None
        finally:
            process.stop(within_s=0)
        return _answers(answer, subject, process)


def _answers(answer: Path, subject: Subject, process: Process) -> list[Any]:
    if not answer.exists():
        raise NotYet(
            f"{subject.file.name} ended its process with status {process.exit_status}.",
            "Look for what in it could do that, such as `exit`.",
        )
    found = json.loads(answer.read_text())
    if "error" in found:
        raise NotYet(
            f"{subject.file.name} cannot be used, {found['error']}.",
            f"Mend that first; `git diff labs/exercises/{subject.file.name}` shows what has changed.",
        )
    return list(found["answers"])
