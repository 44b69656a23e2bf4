"""The process that imports an exercise, or calls its function.

    python -m bench.learn.exercises.child QUESTION.json ANSWER.json

It is a process of its own, because a learner's file may hang, print, change its process or end it. QUESTION.json holds
`module` and `file` of the exercise, and either the `function` to call with `calls` or None. With None the exercise is
imported as part of its Django project, and the page that shows that a server is up is requested behind each of `doors`.
ANSWER.json holds `answers`, or `error` with what was raised and where.
"""

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


def request_page(doors: Sequence[str]) -> None:
    """Import the project as a server does, and request its page; raises what the file raises meanwhile."""
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


def describe(error: BaseException, file: Path) -> str:
    """The error as `ValueError in line 12 behind WSGI: its message`, with the innermost line of that file."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    line = line_of(error, file)
    where = (f" in line {line}" if line else "") + "".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}{where}: {' '.join(said.split())}".rstrip(": .")


def line_of(error: BaseException, file: Path) -> int | None:
    """Return the innermost line of the file that the error came from; None if it came from elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == file.resolve():
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == file.resolve()]
    return lines[-1] if lines else None


def main() -> None:
    """Read the question, import or call the exercise, and write the answer; see the module."""
    question_file, answer_file = map(Path, sys.argv[1:3])
    question = json.loads(question_file.read_text())
    found: dict[str, Any] = {"answers": []}
    try:
        if question["function"] is None:
            request_page(question["doors"])
        else:
            function = getattr(import_module(question["module"]), question["function"])
            found["answers"] = [function(**arguments) for arguments in question["calls"]]
    except (Exception, SystemExit) as error:  # a learner's file may raise anything
        found = {"error": describe(error, Path(question["file"]))}
    answer_file.write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
