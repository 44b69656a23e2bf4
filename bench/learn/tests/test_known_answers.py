"""Three projects whose answer is known beforehand: one should switch, one should stay, and of one nobody can tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import ExitCode
from bench.base.files import ROOT
from bench.cli import try_project
from bench.cli.main import main
from bench.learn.your_project import load

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

PROJECTS = ROOT / "labs" / "to_try"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have windows as short as tell these answers apart, and results in a folder of the test's."""
    monkeypatch.setattr(load, "WARM_UP_S", 0.5)
    monkeypatch.setattr(load, "WINDOW_S", 1.0)
    monkeypatch.setattr(load, "MOST_RESTARTS", 3)
    monkeypatch.setattr(try_project, "LOCAL", tmp_path / "results")
    return tmp_path


def tried(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, dict[str, Any]]:
    """Try a copy of a project. Returns the exit code and the JSON document."""
    project = shutil.copytree(PROJECTS / name, folder / name)
    before = sorted(project.rglob("*"))
    monkeypatch.setattr("sys.argv", ["lab", "try", str(project), *words, "--json"])
    code = main()
    assert sorted(project.rglob("*")) == before
    return code, json.loads(capsys.readouterr().out)


def is_told(code: int, answer: dict[str, Any], value: str) -> bool:
    """Whether that is the answer; on a machine that is too busy to tell, whether it says so."""
    if "Other programs kept" in answer["sure"] and answer["value"] == "cannot tell":
        return code == ExitCode.INVALID
    return (code, answer["value"]) == (ExitCode.FINE, value)


@pytest.mark.slow
def test_a_project_that_waits_on_few_threads_should_switch(
    brief: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("/", "--users", "48", "--threads", "4")
    code, found = tried("should_switch", brief, capsys, monkeypatch, *words)
    answer = found["answer"]
    assert is_told(code, answer, "switch"), answer
    assert answer["ratio"]["estimate"] > 2
    assert answer["limiter"].startswith("its 4 threads")
    assert found["terms"]["today"]["place"] == "Procfile:1"
    (page,) = (brief / "results").glob("try-should_switch-*/report.html")
    assert f"should_switch: {answer['value']}" in page.read_text()
    assert json.loads(page.with_name("answer.json").read_text()) == found


@pytest.mark.slow
def test_a_project_of_small_pages_under_seven_middlewares_should_stay(
    brief: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("/", "/sums", "--users", "16", "--threads", "8")
    code, found = tried("should_stay", brief, capsys, monkeypatch, *words)
    answer = found["answer"]
    assert is_told(code, answer, "stay"), answer
    assert answer["ratio"]["estimate"] < 1
    assert "hops x" in answer["mends"][0]["worth"]
    cpu_us = {arm["role"]: arm["cpu_us"] for arm in found["arms"]}
    assert cpu_us["asgi"] > 1.5 * cpu_us["today"]


def test_a_project_without_one_plain_answer_cannot_be_told(
    brief: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = tried("cannot_tell", brief, capsys, monkeypatch, "/", "/throttled", "/busy")
    assert (code, found["answer"]["value"]) == (ExitCode.INVALID, "cannot tell")
    because = found["answer"]["because"]
    assert all(cause in because for cause in ("302 Found", "429", "'Too many requests'"))
    assert found["arms"] == []
