"""Tests and marks that are not there are refused in one line, also where tests run in parallel."""

import subprocess
import sys

import pytest

from bench.base.files import ROOT


@pytest.mark.parametrize("processes", ["0", "auto"])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-m", "not livee", __file__], "there is no mark 'livee': `pytest --markers` lists all."),
        (["bench/nothing"], "bench/nothing is not there: give a file or folder of tests, such as bench/analyse."),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(processes: str, words: list[str], told: str) -> None:
    command = [sys.executable, "-m", "pytest", "-n", processes, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (done.stdout + done.stderr).strip().startswith(f"ERROR: {told}")
