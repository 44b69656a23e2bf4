"""Imports an exercise's file, or calls its function, in a process of its own (`child.py`)."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from bench.learn.exercises.visits import NotYet, Subject
from bench.measure.processes import Process, start, work_folder
from bench.model.servers import Interface

IMPORT_WITHIN_S = 10.0


def require_importable(subject: Subject, doors: Sequence[Interface]) -> None:
    """NotYet if a server with this file would not come up behind one of the doors."""
    _run_child(subject, "what stands outside of the views", {"function": None, "doors": list(doors)})


def call_function(subject: Subject, function: str, calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Call the function of the file once for each set of arguments, in another process. Raises NotYet."""
    return _run_child(subject, f"`{function}`", {"function": function, "calls": list(calls)})


def _run_child(subject: Subject, what: str, question: dict[str, Any]) -> list[Any]:
    """`what` is busy if the process does not end in time."""
    file = subject.file.name
    with work_folder("exercise") as work:
        question_file, answer, log = (work / name for name in ("question.json", "answer.json", "log"))
        question_file.write_text(json.dumps({"module": subject.module, "file": str(subject.file), **question}))
        command = ["python", "-m", "bench.learn.exercises.child", str(question_file), str(answer)]
        popen = start(command, environment=subject.environment, cpus=(), log=log)
        process = Process(command, popen, log, [])
        try:
            popen.wait(IMPORT_WITHIN_S)
        except subprocess.TimeoutExpired:
            seen = f"{file}: {what} was still busy after {IMPORT_WITHIN_S:g} s."
            raise NotYet(seen, "Look for a loop or a wait that nothing ends.") from None
        finally:
            process.stop(within_s=0)
        if not answer.exists():
            seen = f"{file} ended its process with status {process.exit_status}."
            raise NotYet(seen, "Look for what in it could do that, such as `exit`.")
        found: dict[str, Any] = json.loads(answer.read_text())
    if "error" in found:
        look_at = f"Correct that first; `git diff labs/exercises/{file}` shows what has changed."
        raise NotYet(f"{file} cannot be used, {found['error']}.", look_at)
    return list(found["answers"])
