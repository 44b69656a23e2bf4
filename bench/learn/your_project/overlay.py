"""Processes in the project's own environment, with the plan of `trace/inside/overlay` laid over its settings.

Nothing is installed into that environment, and nothing is written to the project's folder.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bench.base.errors import LabError, NotRun, UsageError
from bench.learn.your_project.model import Project
from bench.measure.processes import work_folder
from bench.trace.inside import bootstrap
from bench.trace.inside.overlay.plan import VARIABLE, Plan
from bench.trace.tracer import hidden_from, run_child

LOADED_WITHIN_S = 60.0
PACKAGE = f"{bootstrap.NAME}.overlay"


@dataclass(frozen=True)
class Overlay:
    """A project with a plan, and a folder for what its processes write. It lasts as long as `laying_over`."""

    project: Project
    plan: Plan
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of its processes: the user's, and where the plan is."""
        # No bytecode: it would be written beside the project's own files.
        return {**os.environ, VARIABLE: str(self.folder / "plan.json"), "PYTHONDONTWRITEBYTECODE": "1"}

    def application(self, door: str) -> str:
        """Return the application behind a door as `module:attribute`, for the tracer or a server that we started."""
        return f"{PACKAGE}.doors:{door}"

    def planned(self, **changed: Any) -> "Overlay":
        """Return the same project with another plan, in a folder and with cache keys of its own."""
        folder = Path(mkdtemp(dir=self.folder))
        plan = replace(self.plan, folder=str(folder), prefix=f"lab-try-{folder.name}-", **changed)
        (folder / "plan.json").write_text(json.dumps(asdict(plan)))
        return Overlay(self.project, plan, folder)

    def run(self, module: str, entry: str, question: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run a function of `trace/inside/overlay` in a process of the project's and return what it writes.

        `question` is handed to it as a file. Raises UsageError where it refuses what was asked, and NotRun for all
        else that goes wrong there, with its sentence.
        """
        folder = Path(mkdtemp(dir=self.folder))
        asked, answer = folder / "ask.json", folder / "answer.json"
        asked.write_text(json.dumps(question or {}))
        words = (str(answer), str(asked))
        command = bootstrap.command(self.project.interpreter.program, f"overlay.{module}", entry, *words)
        name = self.project.settings or self.plan.asgi or self.plan.wsgi
        within_s = LOADED_WITHIN_S + (question or {}).get("within_s", 0.0)
        try:
            found = run_child(command, answer, name, self.environment, self.project.root, within_s)
        except UsageError:
            raise
        except LabError as error:
            raise NotRun(str(error)) from None
        if found is None:
            raise NotRun(f"Loading {name} did not end within {within_s:.0f} s: see what it waits for.")
        return found


@contextmanager
def laying_over(project: Project, **planned: Any) -> Iterator[Overlay]:
    """Make the folder and the first plan; `planned` are fields of Plan."""
    with work_folder("try") as folder:
        hides = hidden_from(project.root)
        plan = Plan(project.settings, project.wsgi, project.asgi, hides=hides)
        yield Overlay(project, plan, folder).planned(**planned)
