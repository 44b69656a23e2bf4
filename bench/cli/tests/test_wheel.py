"""`pip install django-asgi-lab`: the lab outside of a clone has what it shows, and writes where it is called."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from bench.base.errors import ExitCode
from bench.base.files import ROOT

PROJECT = ROOT / "labs" / "to_try" / "should_stay"
MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made by the locked hatchling without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in which the wheel is installed, beside the packages that the tests have."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=100)
    (packages,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth, which name this clone, stay out
    return folder / "bin" / "python"


def lab(python: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-m", "bench", *words]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=110, check=False)


def test_a_wheel_has_what_the_lab_shows_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    kept = ("requirements.lock", "results/reference/claims.json", "results/reference/io_wait/run.json")
    assert {f"bench/kept/{name}" for name in (*kept, "notebooks/lab.mplstyle")} <= set(names)
    assert {"bench/show/report.html.j2", "bench/show/lanes/lanes.js", "labs/common/templates/page.html"} <= set(names)
    assert not [name for name in names if "/tests/" in name or name.endswith(".sqlite3")]
    assert wheel.stat().st_size < MOST_BYTES


def test_an_installed_lab_shows_what_is_kept(python: Path, tmp_path: Path) -> None:
    listed = lab(python, tmp_path, "list", "--json")
    assert "async_asgi" in {each["name"] for each in json.loads(listed.stdout)["labs"]}, listed.stderr
    claim = lab(python, tmp_path, "claims", "A1")
    assert claim.returncode == ExitCode.FINE, claim.stderr
    assert "it depends" in claim.stdout
    verified = lab(python, tmp_path, "verify", "io_wait")
    assert verified.returncode == ExitCode.FINE, verified.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_in_a_clone_only_is_said_in_one_sentence(python: Path, tmp_path: Path) -> None:
    done = lab(python, tmp_path, "site")
    assert (done.returncode, len(done.stderr.splitlines())) == (ExitCode.NOT_RUN, 1), done.stderr
    assert "run it in a clone" in done.stderr


@pytest.mark.live
def test_an_installed_lab_traces_a_project(python: Path) -> None:
    done = lab(python, PROJECT, "trace", "--app", "mysite.asgi:application", "/", "--json")
    assert done.returncode == ExitCode.FINE, done.stderr
    assert json.loads(done.stdout)["summary"].startswith("Left the loop")


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_installed_lab_tries_a_project(python: Path, tmp_path: Path) -> None:
    done = lab(python, tmp_path, "try", str(PROJECT), "/", "--users", "4", "--threads", "4", "--json")
    assert done.returncode in (ExitCode.FINE, ExitCode.INVALID), done.stderr
    assert json.loads(done.stdout)["paths"]
    assert list((tmp_path / "results" / "local").glob("try-should_stay-*/report.html"))
