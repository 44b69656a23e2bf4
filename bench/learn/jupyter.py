"""`lab notebooks`: JupyterLab with the reader's own copy of the course, opened at its first lesson."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from bench.base.errors import MissingDependency
from bench.base.files import HOME, KEPT, write_atomically
from bench.learn.live_cell import LIVE_VARIABLE

PACKAGE = "jupyterlab"
COPIES = "results/local/notebooks"
FIRST = f"{COPIES}/00_start_here.ipynb"
SETTINGS = Path(__file__).parent / "jupyter_settings"
"""Of JupyterLab: no news from the network, and no question about news before the first lesson."""


def copy_lessons(folder: Path) -> None:
    """Copy each lesson into the folder without its outputs, which give away what there is to predict.

    A copy that is there stays as the reader left it. Raises OSError if the disk does not take one.
    """
    import nbformat  # JupyterLab has it; `lab` starts sooner without it

    folder.mkdir(parents=True, exist_ok=True)
    for lesson in sorted((KEPT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        copy = folder / lesson.name
        if not copy.exists():
            notebook = nbformat.read(lesson, as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            write_atomically(copy, f"{nbformat.writes(notebook)}\n".encode())


def command(port: int, *, browser: bool) -> list[str]:
    """JupyterLab on loopback with the whole project in its file browser, opened at the first lesson."""
    return [
        *(sys.executable, "-m", PACKAGE, f"--ServerApp.root_dir={HOME}", f"--LabApp.default_url=/lab/tree/{FIRST}"),
        # Otherwise Ctrl-C asks for confirmation, and JupyterLab's messages hide the address.
        *("--ServerApp.answer_yes=True", "--log-level=WARN", f"--ServerApp.port={port}"),
        *([] if browser else ["--no-browser"]),
        # Jupyter refuses root without this; in a container there is often no other user.
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def environment(*, live: bool) -> dict[str, str]:
    """The variables of JupyterLab and its kernels. The kernel is this Python's, even if the user has another."""
    settings = os.pathsep.join(filter(None, (str(SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH"))))
    ours = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_PATH": settings}
    return {**os.environ, **ours, **({LIVE_VARIABLE: "1"} if live else {})}


def become_jupyterlab(port: int, *, browser: bool, live: bool) -> NoReturn:
    """Replace this process by JupyterLab, which handles Ctrl-C itself. `live` lets the live cells measure.

    Raises MissingDependency, with the command that installs it, if JupyterLab is absent.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingDependency(
            f"`lab notebooks` needs the package {PACKAGE}, which is not installed: "
            f"run `python -m pip install {PACKAGE}`."
        )
    os.chdir(HOME)
    copy_lessons(HOME / COPIES)
    words = command(port, browser=browser)
    os.execve(words[0], words, environment(live=live))
