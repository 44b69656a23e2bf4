"""A machine that has what a test gives it: a checkout without .venv, and beside it `bin` with a shell's tools."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.base.files import ROOT

TOOLS = (
    *("sh", "cat", "chmod", "cksum", "dirname", "echo", "env", "find", "grep", "ln"),
    *("ls", "mkdir", "mv", "rm", "rmdir", "sed", "sleep", "tail", "uname", "wc"),
)

# Every call of a tool is a line in `calls`. The one numbered $STOP_AT ends all of its process group.
COUNTED = """#!/bin/sh
set -f
echo ${{0##*/}} $* >>"$HOME/calls"
[ -z "${{STOP_AT:-}}" ] || [ "$({wc} -l <"$HOME/calls")" -lt "$STOP_AT" ] || kill -KILL 0
"""
# Python, pip and uv, as far as set-up uses them. What pip has begun and not ended stays half-made: it "is satisfied".
INSTALLER = """
case "$*" in
    *fcntl*) exec {python} "$@" ;;
    *get_version*) echo 1.2 ;;
    *base_prefix*) echo "made by $0" ;;
    -c*) exit 0 ;;
    --version) echo "Python 3.12.0" ;;
    *"pip install"*)
        case "$0" in
            */uv) ;;
            *) [ -e .venv/has-pip ] || { echo "No module named pip"; exit 1; } ;;
        esac
        [ ! -e "$HOME/installing" ] || . "$HOME/installing"
        [ ! -e .venv/half-made ] || exit 0
        : >.venv/half-made
        cat /dev/null
        rm .venv/half-made
        : >.venv/bin/lab
        chmod +x .venv/bin/lab ;;
    *venv*)
        mkdir -p .venv/bin
        ln -sf "$HOME/bin/python3" .venv/bin/python
        cat /dev/null
        : >.venv/has-pip ;;
esac
"""


class BareMachine:
    """`home` has `a checkout` (with a space, as paths may have), `bin` and `calls`, the tools that were run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.checkout = home / "a checkout"
        self.venv = self.checkout / ".venv"
        (home / "bin").mkdir()
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout / name)
        for tool in TOOLS:
            self.add(tool, f'exec {shutil.which(tool)} "$@"')

    def add(self, name: str, script: str) -> None:
        """Put a program into `bin`, by the lines of a shell script."""
        program = self.home / "bin" / name
        program.write_text(COUNTED.format(wc=shutil.which("wc")) + script + "\n")
        program.chmod(0o755)

    def add_installer(self, name: str) -> None:
        """Put a `python3` or `uv` into `bin` that pretends to make a .venv."""
        self.add(name, INSTALLER.replace("{python}", sys.executable))

    def while_installing(self, script: str) -> None:
        """Have each `pip install` run these lines of shell first."""
        (self.home / "installing").write_text(script + "\n")

    def start(self, script: str = "set-up", *arguments: str, **variables: object) -> subprocess.Popen[str]:
        """Start a script in a process group of its own, with no variables but these, PATH and HOME."""
        command = [str(self.checkout / "scripts" / script), *arguments]
        environment = {"PATH": str(self.home / "bin"), "HOME": str(self.home)} | texts(variables)
        return subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
        )

    def run(self, script: str = "set-up", *arguments: str, **variables: object) -> tuple[int, str]:
        """Start a script, wait for its end; its exit status and what it said on stderr."""
        return ended(self.start(script, *arguments, **variables))

    def calls(self) -> list[str]:
        """The tools that were run since this was last asked, each with its arguments."""
        path = self.home / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


def texts(variables: Mapping[str, object]) -> dict[str, str]:
    return {name: os.fspath(value) if isinstance(value, Path) else str(value) for name, value in variables.items()}


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and stderr of what ends within 30 seconds; TimeoutExpired, and its end, when it does not."""
    try:
        _, said = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, said
