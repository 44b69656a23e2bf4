"""Environments for tests. Nothing is fetched: they find the lab's packages by a `.pth` file."""

import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.measure import environment_maker
from bench.model.environments import Environment, Recipe

PACKAGES = sysconfig.get_path("purelib")


def without_fetching(command: Sequence[str], log: Path, within_s: float = 60.0) -> None:
    """In place of `environment_maker.run_installer`: only the virtual environment is made."""
    if "venv" in command:
        more = ["--without-pip"] if "-m" in command else []
        subprocess.run([*command[:-1], *more, command[-1]], check=True, timeout=60)
        for folder in Path(command[-1]).glob("lib/python*/site-packages"):
            (folder / "lab.pth").write_text(PACKAGES)


def make_environment(name: str, **recipe: Any) -> Environment:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment_maker, "run_installer", without_fetching)
        return environment_maker.add(name, Recipe(**recipe))
