"""The lessons run through, say what their committed notebooks say, and take the reader's own run."""

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from bench import lessons, notebooks, record
from bench.errors import UsageError

SOURCES = notebooks.sources()
GRAMMAR = ("Question", "Predict", "Run", "See", "Explain", "What this cannot tell", "Exercise", "Check", "In practice")
lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def test_there_are_lessons() -> None:
    assert SOURCES


@lesson
def test_the_committed_notebook_is_what_its_source_says_now(source: Path) -> None:
    assert notebooks.is_fresh(source)


@lesson
def test_a_lesson_follows_the_grammar(source: Path) -> None:
    text = source.read_text()
    places = [text.index(part) for part in GRAMMAR]
    assert places == sorted(places)


@lesson
def test_code_cells_are_short(source: Path) -> None:
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [cell.id for cell in notebook.cells if cell.cell_type == "code" and cell.source.count("\n") >= 15] == []


@lesson
def test_a_notebook_has_pictures_and_tells_no_time_path_or_patch_version(source: Path) -> None:
    made = source.with_suffix(".ipynb").read_text()
    assert "image/png" in made
    assert str(record.ROOT) not in made
    assert '"version"' not in made
    assert '"execution"' not in made


def test_a_lesson_can_show_the_reader_s_own_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = replace(record.load(record.REFERENCE / "io_wait"), started_at="2001-01-01T00:00:00+00:00")
    record.save(mine, tmp_path)
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(tmp_path))
    assert lessons.run_to_show("io_wait").started_at.startswith("2001")


def test_a_run_of_another_experiment_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lessons.RESULTS_VARIABLE, str(record.REFERENCE / "first_look"))
    with pytest.raises(UsageError, match="needs one of io_wait"):
        lessons.run_to_show("io_wait")


def test_the_difference_of_one_view_is_shown_alone() -> None:
    shown = lessons.difference_in("wait", "sync_wsgi", "async_asgi")
    assert "-         time.sleep(ms / 1000)" in shown
    assert "+         await asyncio.sleep(ms / 1000)" in shown
    assert "fan_out" not in shown


def test_a_prediction_is_set_beside_the_measurement() -> None:
    assert "0.50 times" in lessons.compare(50, 100, "requests/s")
    assert "No prediction yet" in lessons.compare(None, 100, "requests/s")


def test_nothing_is_measured_unless_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(lessons.LIVE_VARIABLE, raising=False)
    assert lessons.measure_live("io_wait") is None
    assert lessons.LIVE_VARIABLE in capsys.readouterr().out


def test_the_live_cell_measures_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(lessons.LIVE_VARIABLE, "1")
    options = ("--stack", "async_asgi@uvicorn", "--users", "2", "--repeats", "1", "--duration", "0.5")
    run = lessons.measure_live("io_wait", *options, folder=tmp_path / "live")
    assert run
    assert {trial.stack for trial in run.trials} == {"async_asgi@uvicorn"}
