"""`lab notebooks`: JupyterLab on the course, at its first lesson."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from bench.base.errors import MissingDependency
from bench.base.files import ROOT
from bench.learn.live_cell import LIVE_VARIABLE

PACKAGE = "jupyterlab"
FIRST = "notebooks/00_start_here.ipynb"
SETTINGS = Path(__file__).parent / "jupyter_settings"
"""Of JupyterLab: no news from the network, and no question about them before the first lesson."""


def require_installed() -> None:
    """MissingDependency, with the command that helps, where JupyterLab is absent."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingDependency(
            f"`lab notebooks` needs the package {PACKAGE}, which is not installed: "
            f"run `python -m pip install {PACKAGE}`."
        )


def command(port: int, *, browser: bool) -> list[str]:
    """JupyterLab on loopback with the whole project in its tree, opened at the first lesson."""
    # Jupyter refuses root unless told; in a container there is often nobody else.
    root = ["--allow-root"] if os.geteuid() == 0 else []
    return [
        *(sys.executable, "-m", PACKAGE, f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{FIRST}"),
        # Else Ctrl-C asks whether it was meant, and the address drowns in what JupyterLab tells of itself.
        *(
            "--ServerApp.answer_yes=True",
            "--log-level=WARN",
            f"--ServerApp.port={port}",
            *([] if browser else ["--no-browser"]),
            *root,
        ),
    ]


def environment(*, live: bool) -> dict[str, str]:
    """What JupyterLab and its kernels are told: the kernel is this Python's, also where a user has one of the name."""
    settings = os.pathsep.join(filter(None, (str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH"))))
    told = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_PATH": settings}
    return {**os.environ, **told, **({LIVE_VARIABLE: "1"} if live else {})}


def become_jupyterlab(port: int, *, browser: bool, live: bool) -> NoReturn:
    """Become JupyterLab: Ctrl-C and the exit code are its own. `live` lets the live cells measure."""
    require_installed()
    os.chdir(ROOT)
    words = command(port, browser=browser)
    os.execve(words[0], words, environment(live=live))
