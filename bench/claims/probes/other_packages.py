"""Probes with packages of others, and with the newest Django: each is installed into a folder that is removed again.

Raises NotRun where pip cannot install them, or a newer interpreter is not there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.base.errors import LabError, NotRun
from bench.base.files import ROOT
from bench.measure.processes import work_folder
from bench.measure.variables import clean_environment

CHILD = Path(__file__).with_name("with_packages.py")
INSTALLED_WITHIN_S, ASKED_WITHIN_S = 120, 30
NEWEST_DJANGO, NEWER_PYTHONS = "Django>=6.0", ("python3.14", "python3.13", "python3.12")


def rest_framework() -> dict[str, Any]:
    """Ask a view of Django REST framework whose `get` is async, one whose `get` is sync, and count their hops."""
    return _ask("rest_framework", ["djangorestframework"])


def ninja() -> dict[str, Any]:
    """Ask an async and a sync operation of django-ninja: where they run, and the hops of a request."""
    return _ask("ninja", ["django-ninja"])


def whitenoise() -> dict[str, Any]:
    """Ask for a static file of WhiteNoise behind ASGI: hops, the thread it is read on, the parts it leaves in."""
    return _ask("whitenoise", ["whitenoise"])


def newest_django() -> dict[str, Any]:
    """Ask the newest Django for the hops of a-methods, the scopes that it takes, and its async template methods."""
    python = next(filter(None, map(_runs, NEWER_PYTHONS)), None)
    if python is None:
        raise NotRun(f"{NEWEST_DJANGO} needs Python 3.12 or newer: install it, and put python3.12 on the path.")
    return _ask("newest_django", [NEWEST_DJANGO], python)


def _runs(name: str) -> str | None:
    """Return the path of an interpreter if it is there and runs."""
    found = [shutil.which(name), *map(str, sorted(Path.home().glob(f".pyenv/versions/*/bin/{name}"), reverse=True))]
    for program in filter(None, found):
        if subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
            return program
    return None


def _ask(what: str, requirements: list[str], python: str = sys.executable) -> dict[str, Any]:
    """Install the requirements, run the function `what` of the child with them, and return its facts."""
    with work_folder("packages") as folder:
        _install(python, folder, requirements)
        variables = clean_environment({"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"})
        command = [python, "-W", "ignore", str(CHILD), what]
        done = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, text=True, timeout=ASKED_WITHIN_S, check=False
        )
    if done.returncode:
        raise LabError(f"{what} could not be asked: {done.stderr.strip()[-300:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _install(python: str, folder: Path, requirements: list[str]) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--target", str(folder), *requirements]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=INSTALLED_WITHIN_S, check=False
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise NotRun(f"{' '.join(requirements)} cannot be installed: `{python} -m pip install` says: {why}")
