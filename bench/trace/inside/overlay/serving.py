"""The process of a server that serves one door: `main` with the server's own words, as `python -m` would run it.

Server packages come from the plan's folder, in the lab's versions, so that every project is served by the same ones.
What these need besides comes from the project's environment where it has it.
"""

import multiprocessing
import runpy
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from ..app_loader import Refused
from .doors import prepare

SERVERS = ("gunicorn", "uvicorn", "uvloop", "httptools")


class ServerFinder:
    """Finds the packages of servers in one folder, before any other."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a server's package; None for everything else, also for what is inside of one."""
        return PathFinder.find_spec(name, [self.folder]) if name in SERVERS else None


def main() -> None:
    """Run a server: PROGRAM WORD ..."""
    sys.argv[:] = sys.argv[1:]
    try:
        plan = prepare()
    except Refused as error:
        sys.exit(f"lab: {error}")
    if plan.packages:
        sys.meta_path.insert(0, ServerFinder(plan.packages))
    _fork_uvicorn()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _fork_uvicorn() -> None:
    """Let uvicorn fork its processes: a new interpreter would know nothing of the plan."""
    with suppress(ImportError):
        subprocess: Any = __import__("uvicorn._subprocess", fromlist=["spawn"])
        subprocess.spawn = multiprocessing.get_context("fork")
