"""The process in which an exercise is imported first, and called where it is a function.

    python -m bench.learn.exercises.child QUESTION.json ANSWER.json

A process of its own, because a learner's file may hang, print, change its process or end it. QUESTION.json holds the
exercise's `module` and `file`, and either the `function` to call with `calls` or None: then it is imported as part of
its Django project, and the page by which a server is known to be up is asked behind each of `doors`. ANSWER.json holds
`answers`, or `error` with what was raised and where.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

PROJECT = ("labs.exercises.project.asgi", "labs.exercises.project.urls")
PAGE = "/ready"


def answers_to(module: str, function: str, calls: list[dict[str, Any]]) -> list[Any]:
    """What the function gives for each call."""
    call = getattr(import_module(module), function)
    return [call(**arguments) for arguments in calls]


def ask_project(doors: Sequence[str]) -> None:
    """Import it as a server does, and ask its page; raises what the file raises meanwhile."""
    for name in PROJECT:
        import_module(name)
    from django.conf import settings
    from django.test import AsyncClient, Client

    settings.ALLOWED_HOSTS = ["testserver"]
    for door in doors:
        try:
            answer = asyncio.run(AsyncClient().get(PAGE)) if door == "asgi" else Client().get(PAGE)
        except Exception as error:
            error.add_note(f" behind {door.upper()}")
            raise
        if answer.status_code != 200 or b'"instance"' not in answer.content:
            raise RuntimeError(f"behind {door.upper()} {PAGE}, which is not its own, answers something else")


def told(error: BaseException, file: Path) -> str:
    """`ValueError in line 12 behind WSGI: what it says`, the line being the last one of that file."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    line = line_of(error, file)
    where = (f" in line {line}" if line else "") + "".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}{where}: {' '.join(said.split())}".rstrip(": .")


def line_of(error: BaseException, file: Path) -> int | None:
    """Return the line of the file where the error came from, the innermost one; None where it was not there."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == file.resolve()
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == file.resolve():
        return error.lineno
    return lines[-1] if lines else None


def main() -> None:
    """Read the question, import or call the exercise, and write the answer; see the module."""
    question, answered = map(Path, sys.argv[1:3])
    asked = json.loads(question.read_text())
    found: dict[str, Any] = {"answers": []}
    try:
        if asked["function"] is None:
            ask_project(asked["doors"])
        else:
            found["answers"] = answers_to(asked["module"], asked["function"], asked["calls"])
    except (Exception, SystemExit) as error:  # whatever a learner's file may run into
        found = {"error": told(error, Path(asked["file"]))}
    answered.write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
