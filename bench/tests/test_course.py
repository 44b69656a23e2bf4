"""`lab notebooks`: JupyterLab opens on the course, and where it is missing a sentence says so."""

import importlib.util
import json
import os
import re
import signal
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.arguments import build_parser
from bench.cli import main
from bench.errors import ExitCode
from bench.learn import course
from bench.learn.live import LIVE_VARIABLE
from bench.record import ROOT
from bench.servers import free_port
from bench.stacks import parse_stack
from bench.tests.processes import assert_nothing_is_left, end, eventually, running
from labs.exercises.project.names import EXERCISES


def test_without_jupyterlab_a_sentence_names_the_command_that_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["notebooks"]) == ExitCode.NOT_RUN
    said = capsys.readouterr().err
    assert said.startswith("lab: ")
    assert "python -m pip install jupyterlab" in said
    assert said.count("\n") == 1


def test_the_course_begins_at_its_first_lesson() -> None:
    assert (ROOT / course.FIRST).exists()
    assert course.FIRST in " ".join(course.command(8888, browser=True))
    assert "--no-browser" not in course.command(8888, browser=True)


TEACHING = (ROOT / "notebooks" / "TEACHING.md").read_text()


def part(heading: str) -> str:
    """A part of the plan, from its heading to the next."""
    return TEACHING.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_minutes_of_the_short_plan_follow_each_other_and_are_ninety() -> None:
    spans = [tuple(map(int, span)) for span in re.findall(r"^\| (\d+)–(\d+) \|", part("Ninety minutes"), re.MULTILINE)]
    assert spans[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert spans[-1][1] == 90


def test_the_minutes_of_the_long_plan_add_up_with_its_breaks() -> None:
    plan = part("Half a day")
    said = re.search(r"\((\d+) minutes\) with two breaks", plan)
    assert said
    assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.MULTILINE))) == int(said[1])
    assert plan.count("| break |") == 2


def test_the_long_plan_has_every_lesson_once_and_in_order_and_every_exercise() -> None:
    plan = part("Half a day")
    lessons = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
    assert re.findall(r"\]\((\w+)\.ipynb\)", plan) == lessons
    assert set(re.findall(r"lab check (\w+)", plan)) == set(EXERCISES)


def test_what_the_plans_name_is_there() -> None:
    for script in re.findall(r"`\./(scripts/\w+)", TEACHING):
        assert (ROOT / script).exists(), script
    for command in re.findall(r"`lab ([^`]+)`", TEACHING):
        words = command.split()
        if words == ["trace", "--app"]:
            words.append("project.asgi:application")
        assert build_parser().parse_args(words).command == words[0]
        if words[0] == "run":
            assert (ROOT / "bench" / "experiments" / f"{words[1]}.toml").exists(), command
        if words[0] == "serve":
            parse_stack(words[1])
    for lesson, heading in (
        ("03_sync_inside", "One blocking line"),
        ("08_within_a_request", "Where gather does not overlap"),
        ("04_hops", "What it costs"),
    ):
        assert f'"{heading}"' in TEACHING
        assert f"# {heading}\n" in (ROOT / "notebooks" / f"{lesson}.py").read_text()


def test_live_cells_measure_only_where_that_is_asked_for() -> None:
    assert LIVE_VARIABLE not in course.environment(live=False)
    assert course.environment(live=True)[LIVE_VARIABLE] == "1"


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
        assert asked(port, f"api/contents/{course.FIRST}?content=0", token)["type"] == "notebook"
        asked(port, "api/kernels", token, {"name": "python3", "path": str(Path(course.FIRST).parent)})
        children = [child.cmdline() for child in psutil.Process(popen.pid).children()]
        began_s = time.monotonic()
        _, out, err = end(popen, signal.SIGINT)
    assert [words[0] for words in children if "ipykernel_launcher" in words] == [sys.executable]
    assert f":{port}/lab/tree/{course.FIRST}" in out + err
    assert "(y/[n])" not in out + err
    assert time.monotonic() - began_s < 20
    assert_nothing_is_left(mark, port)
