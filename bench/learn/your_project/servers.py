"""Servers for the project, in its own interpreter: the packages they need, installed beside it, and one that runs.

The packages go to a folder of the lab's for each Python, and nothing into the project's environment.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.base.console import relative_to_here
from bench.base.errors import NotRun
from bench.base.files import LOCAL
from bench.base.markers import hold_marker, is_held
from bench.learn.your_project.model import Door
from bench.learn.your_project.overlay import Overlay
from bench.measure.environment_maker import NotInstalled, locked_versions, reason_of, run_installer
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import READY_WITHIN_S, RunningServer, listens_within
from bench.model.servers import HOST, SERVERS, Budget, Needs
from bench.trace.inside import bootstrap
from bench.trace.interpreter import Interpreter

FOLDER = LOCAL / "servers"
KINDS = {"wsgi": "gthread", "asgi": "uvicorn"}
"""The server behind each door, of SERVERS."""
DONE, MARKER = ".complete", ".made-by-the-lab"
INSTALLED_WITHIN_S = 300.0
TAG = "import sys, sysconfig; print(sys.implementation.cache_tag + '-' + (sysconfig.get_config_var('SOABI') or 'any'))"


def packages_for(interpreter: Interpreter, say: Callable[[str], None] = lambda line: None) -> Path:
    """Return the folder with the servers for this Python; install them there the first time, which `say` is told.

    Raises NotRun where that cannot be done.
    """
    folder = FOLDER / _tag(interpreter.program)
    if (folder / DONE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if is_held(folder / MARKER):
        raise NotRun(f"Another lab installs servers to {folder}: wait for it to end.")
    say(f"installing servers for this Python, once: {relative_to_here(folder)}")
    with hold_marker(folder, MARKER):
        _install(interpreter.program, folder)
        (folder / DONE).touch()
    return folder


def _tag(program: str) -> str:
    """Return the name of a Python's version and kind of binary. Raises NotRun where it does not answer."""
    try:
        answer = subprocess.run([program, "-I", "-c", TAG], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        raise NotRun(f"{program} does not answer as a Python does: name another one with --python.") from None
    return re.sub(r"[^\w.-]", "_", answer.stdout.strip())


def _install(program: str, folder: Path) -> None:
    """Install for another Python with uv, else with our own pip, since theirs may have none; as requirements.lock pins.

    Where the pinned versions have no file for that Python, in other versions.
    """
    packages = list(dict.fromkeys(name for kind in KINDS.values() for name in SERVERS[kind].packages))
    uv = shutil.which("uv")
    how = [uv, "pip", "install"] if uv else [sys.executable, "-m", "pip", "--python", program, "install", "--no-input"]
    where = ["--target", str(folder), *(["--python", program] if uv else ["--upgrade"])]
    command = [*how, "--quiet", "--only-binary", ":all:", *where, *packages]
    with work_folder("install") as work:
        constraints = work / "constraints.txt"
        constraints.write_text("\n".join(locked_versions().values()))
        try:
            run_installer([*command, "--constraint", str(constraints)], work / "log", INSTALLED_WITHIN_S)
        except NotInstalled:
            _install_any(command, program, work / "log")


def _install_any(command: Sequence[str], program: str, log: Path) -> None:
    try:
        run_installer(command, log, INSTALLED_WITHIN_S)
    except NotInstalled as error:
        raise NotRun(f"Servers for {program} could not be installed: {reason_of(str(error))}.") from None


@contextmanager
def serving(
    overlay: Overlay,
    door: Door,
    budget: Budget,
    *,
    cpus: Sequence[int] = (),
    needs: Needs = (),
    packages: Path | None = None,
) -> Iterator[RunningServer]:
    """Serve a door on a free port of loopback, until the end of the block. Raises NotRun where it does not come up.

    `overlay`: with copies of the databases in its plan. That it listens does not say that its workers are warm.
    """
    kind, port = SERVERS[KINDS[door]], free_port()
    planned = overlay.planned(packages=str(packages or packages_for(overlay.project.interpreter)))
    bind = (word.format(host=HOST, port=port) for word in kind.bind)
    words = [kind.program, *kind.arguments(budget, door, needs), *bind, planned.application(door)]
    command = bootstrap.command(overlay.project.interpreter.program, "overlay.serving", "main", *words)
    where: dict[str, Any] = {"environment": planned.environment, "folder": overlay.project.root}
    server = RunningServer.start(command, log=planned.folder / "server.log", cpus=cpus, adopts=True, **where)
    server.port = port
    try:
        if not listens_within(server, port, READY_WITHIN_S):
            ended = f"ended {server.end_text}" if server.exit_status is not None else "does not listen"
            raise NotRun(f"{kind.name} {ended}. The end of its log:\n{server.log_tail()}")
        yield server
    finally:
        server.stop()
