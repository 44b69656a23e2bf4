"""`lab notebooks`: JupyterLab opens on the course, and where it is missing a sentence says so."""

import importlib.util
import json
import os
import re
import signal
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.base.errors import ExitCode
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.cli.main import main
from bench.learn import jupyter
from bench.learn.live_cell import LIVE_VARIABLE
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left, end, running


def test_without_jupyterlab_a_sentence_names_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["notebooks"]) == ExitCode.NOT_RUN
    said = capsys.readouterr().err
    assert said.startswith("lab: ")
    assert "python -m pip install jupyterlab" in said
    assert said.count("\n") == 1


def test_the_reader_works_on_copies_that_give_nothing_away_and_that_stay(tmp_path: Path) -> None:
    lessons = {path.name: path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")}
    jupyter.copy_lessons(tmp_path)
    copies = {path.name: json.loads(path.read_text())["cells"] for path in tmp_path.iterdir()}
    kept = {name: json.loads(text)["cells"] for name, text in lessons.items()}
    assert copies.keys() == kept.keys()
    for name, cells in kept.items():
        assert [cell["source"] for cell in copies[name]] == [cell["source"] for cell in cells]
        assert any(cell.get("outputs") for cell in cells)
        assert not any(cell.get("outputs") for cell in copies[name])
    first = tmp_path / Path(jupyter.FIRST).name
    first.write_text("the reader's")
    jupyter.copy_lessons(tmp_path)
    assert first.read_text() == "the reader's"
    assert {path.name: path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")} == lessons


def test_the_course_begins_at_its_first_lesson() -> None:
    assert (ROOT / "notebooks" / Path(jupyter.FIRST).name).exists()
    assert jupyter.FIRST in " ".join(jupyter.command(8888, browser=True))
    assert "--no-browser" not in jupyter.command(8888, browser=True)


def test_live_cells_measure_only_where_that_is_asked_for() -> None:
    assert LIVE_VARIABLE not in jupyter.environment(live=False)
    assert jupyter.environment(live=True)[LIVE_VARIABLE] == "1"


def asked(port: int, path: str, token: str = "", data: dict[str, str] | None = None) -> Any:
    """What JupyterLab answers; None where it does not yet."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}",
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"token {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)
    except OSError:
        return None


def disabled_at(port: int, token: str) -> list[str]:
    """The extensions that JupyterLab's page is told to leave out."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/lab?token={token}", timeout=20) as response:
        config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', response.read().decode(), re.DOTALL)
    return list(json.loads(config[1])["disabledExtensions"]) if config else []


def kernels_of(pid: int) -> list[list[str]]:
    """The commands of a process' children that are kernels by now."""
    commands = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            commands.append(child.cmdline())
    return [words for words in commands if "ipykernel_launcher" in words]


def test_jupyterlab_opens_the_first_lesson_in_this_python_until_ctrl_c(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "python"
    stranger.write_text("#!/bin/sh\nexit 9\n")
    stranger.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    port = free_port()
    with running(sys.executable, "-m", "bench", "notebooks", "--no-browser", "--port", str(port)) as popen:
        assert eventually(lambda: asked(port, "api"), 40)
        token = json.loads((tmp_path / f"jpserver-{popen.pid}.json").read_text())["token"]
        assert asked(port, f"api/contents/{jupyter.FIRST}?content=0", token)["type"] == "notebook"
        assert "@jupyterlab/apputils-extension:announcements" in disabled_at(port, token)
        asked(port, "api/kernels", token, {"name": "python3", "path": str(Path(jupyter.FIRST).parent)})
        assert eventually(lambda: kernels_of(popen.pid), 40)
        kernels = kernels_of(popen.pid)
        began_s = time.monotonic()
        _, out, err = end(popen, signal.SIGINT)
    assert [words[0] for words in kernels] == [sys.executable]
    assert f":{port}/lab/tree/{jupyter.FIRST}" in out + err
    assert "(y/[n])" not in out + err
    assert time.monotonic() - began_s < 20
    assert_nothing_is_left(mark, port)
