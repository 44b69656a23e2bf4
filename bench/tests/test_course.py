"""`lab notebooks`: JupyterLab opens on the course, and where it is missing a sentence says so."""

import importlib.util
import json
import signal
import sys
import urllib.request

import pytest

from bench import course
from bench.cli import main
from bench.errors import ExitCode
from bench.record import ROOT
from bench.servers import free_port
from bench.tests.processes import assert_nothing_is_left, end, eventually, running


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


def test_jupyterlab_serves_the_lessons_until_it_is_told_to_stop(mark: str) -> None:
    port, answers = free_port(), []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2) as response:
                answers.append(json.load(response))
        except OSError:
            return False
        return True

    with running(sys.executable, "-m", "bench", "notebooks", "--no-browser", "--port", str(port)) as popen:
        assert eventually(answered, 40)
        _, out, err = end(popen, signal.SIGTERM)
    assert "version" in answers[0]
    assert f":{port}/lab/tree/{course.FIRST}" in out + err
    assert_nothing_is_left(mark, port)
