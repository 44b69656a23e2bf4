"""The doors: what they say on a machine that lacks something, and that the list of them is right."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.record import ROOT

SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.suffix != ".md")
TOOLS = ("sh", "dirname", "cat", "cksum", "echo", "rm", "uname", "env")


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A checkout without .venv, and beside it `bin` with a shell's tools and neither Python nor uv."""
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    (checkout / "scripts").mkdir(parents=True)
    tools.mkdir()
    for name in ("requirements.lock", "pyproject.toml", "scripts/set-up", "scripts/demo"):
        shutil.copy(ROOT / name, checkout / name)
    for tool in TOOLS:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    return checkout


def add_python(machine: Path, script: str) -> None:
    python = machine.parent / "bin" / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def demo(machine: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine.parent / "bin"), "HOME": str(machine)}
    return subprocess.run(
        [machine / "scripts" / "demo"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_without_python_the_demo_names_the_command_that_helps(bare_machine: Path) -> None:
    done = demo(bare_machine)
    assert done.returncode == 3
    assert done.stderr.startswith("lab: Python is not installed")
    assert "apt-get install python3" in done.stderr
    assert done.stderr.count("\n") == 1


def test_too_old_a_python_is_named(bare_machine: Path) -> None:
    add_python(bare_machine, 'case "$1" in --version) echo "Python 3.8.10";; *) exit 1;; esac')
    done = demo(bare_machine)
    assert done.returncode == 3
    assert "Python 3.8.10 is too old" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_venv_module_its_package_is_named(bare_machine: Path) -> None:
    add_python(
        bare_machine,
        'case "$*" in *version_info\\ \\<*) exit 0;; *print*) echo 3.12;; *) exit 1;; esac',
    )
    done = demo(bare_machine)
    assert done.returncode == 3
    assert "apt-get install python3.12-venv" in done.stderr
    assert not (bare_machine / ".venv").exists()


def test_every_script_is_listed_executable_and_parses() -> None:
    cells = re.findall(r"^\| (`.+?`) \|", (ROOT / "scripts" / "README.md").read_text(), re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert sorted(listed) == sorted(script.name for script in SCRIPTS)
    for script in SCRIPTS:
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)


def test_an_up_to_date_set_up_does_nothing() -> None:
    if not any((ROOT / ".venv").glob(".lab-set-up*")):
        pytest.skip("this .venv was not made by ./scripts/set-up: run ./scripts/test")
    done = subprocess.run([ROOT / "scripts" / "set-up"], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout + done.stderr == ""
