"""The doors: what they say on a machine that lacks something, and that the list of them is right."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from bench.base.files import ROOT
from bench.cli.tests.bare_machine import BareMachine

SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.suffix != ".md")


@pytest.fixture
def machine(tmp_path: Path) -> BareMachine:
    """With neither Python nor uv."""
    return BareMachine(tmp_path)


def test_without_python_the_demo_names_the_command_that_helps(machine: BareMachine) -> None:
    status, said = machine.run("demo")
    assert status == 3
    assert said.startswith("lab: Python is not installed")
    assert "apt-get install python3" in said
    assert said.count("\n") == 1


def test_too_old_a_python_is_named(machine: BareMachine) -> None:
    machine.add("python3", 'case "$1" in --version) echo "Python 3.8.10";; *) exit 1;; esac')
    status, said = machine.run("demo")
    assert status == 3
    assert "Python 3.8.10 is too old" in said
    assert said.count("\n") == 1


def test_without_the_venv_module_its_package_is_named(machine: BareMachine) -> None:
    machine.add(
        "python3",
        'case "$*" in *version_info\\ \\<*) exit 0;; *print*) echo 3.12;; *) exit 1;; esac',
    )
    status, said = machine.run("demo")
    assert status == 3
    assert "apt-get install python3.12-venv" in said
    assert not machine.venv.exists()


def test_every_script_is_listed_executable_and_parses() -> None:
    cells = re.findall(r"^\| (`.+?`) \|", (ROOT / "scripts" / "README.md").read_text(), re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]
    assert sorted(listed) == sorted(script.name for script in SCRIPTS)
    for script in SCRIPTS:
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
