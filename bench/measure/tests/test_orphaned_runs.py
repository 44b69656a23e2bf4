"""A run has its folder to itself from before its first trial, or it is refused in one sentence."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bench.base import files
from bench.base.errors import ExitCode, LabError, UsageError
from bench.base.polling import eventually
from bench.cli import reproduce
from bench.cli.main import main
from bench.learn import live_cell
from bench.measure import orphaned_runs, runner
from bench.measure.tests.processes import abandon, assert_nothing_is_left, end, running
from bench.model import run_store
from bench.model.tests import runs
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Reason, Trial

RUN = ("run", "first_look", "--stack", "bare_asgi@uvicorn", "--workload", "hello", "--users", "2", "--repeats", "2")
RACERS = 8


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results/local of our own, on a machine that is not busy."""
    monkeypatch.setattr(run_store, "LOCAL", tmp_path / "local")
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    return tmp_path / "local"


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials take no time."""

    def run_trial(plan: TrialPlan, keep: Path) -> Trial:
        return replace(planned_trial(plan), verdict="not-run", reasons=[Reason("not-run", "Nothing is measured here.")])

    monkeypatch.setattr(runner, "run_trial", run_trial)


@pytest.mark.usefixtures("unmeasured")
def test_runs_of_the_same_second_have_two_folders(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Stopped":
            return cls(2031, 5, 6, 7, 8, 9)

    monkeypatch.setattr(orphaned_runs, "datetime", Stopped)
    assert [main(RUN), main(RUN)] == [ExitCode.NOT_RUN] * 2
    name = "first_look-quick-20310506-070809"
    assert sorted(os.listdir(results)) == [name, f"{name}-2", "latest"]
    for folder in (name, f"{name}-2"):
        assert run_store.load_run(results / folder).status == "complete"
        assert sorted(os.listdir(results / folder)) == ["report.html", "run.json"]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("is_folder", [True, False])
def test_a_run_is_finished_and_reported_also_where_latest_is_not_ours(
    is_folder: bool, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.mkdir()
    (results / "latest").mkdir() if is_folder else (results / "latest").write_text("precious")
    assert main(RUN) == ExitCode.NOT_RUN
    (folder,) = results.glob("first_look-*")
    assert (folder / "report.html").exists()
    assert (results / "latest").is_dir() == is_folder
    assert f"latest does not lead to this run (there is something else of that name): `lab report {folder.name}`" in (
        capsys.readouterr().err
    )


def test_of_many_that_claim_a_folder_at_once_one_has_it(tmp_path: Path) -> None:
    together, done, won, refused = threading.Barrier(RACERS), threading.Barrier(RACERS), [], []

    def race() -> None:
        with ExitStack() as held:
            together.wait(30)
            try:
                held.enter_context(orphaned_runs.claim(tmp_path / "run"))
                won.append(1)
            except UsageError as error:
                refused.append(str(error))
            done.wait(30)

    threads = [threading.Thread(target=race) for _ in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, RACERS - 1)
    assert all(f"{tmp_path / 'run'}" in sentence and sentence.endswith("with --out.") for sentence in refused)
    assert os.listdir(tmp_path / "run") == []


def test_a_folder_that_another_process_writes_a_run_to_is_refused(
    mark: str, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    monkeypatch.setenv("LAB_RESULTS_DIR", str(results))
    with running(sys.executable, "-m", "bench", *RUN, "--duration", "30", "--out", str(folder)) as other:
        assert eventually((folder / orphaned_runs.MARKER).exists, within_s=40)
        assert main([*RUN, "--out", str(folder)]) == ExitCode.USAGE
        status, _, err = end(other, signal.SIGTERM)
    assert (status, run_store.load_run(folder).status) == (ExitCode.INTERRUPTED, "aborted"), err
    said = f"lab: Another process of the lab writes to {folder} now: choose another folder with --out.\n"
    assert capsys.readouterr().err == said
    assert_nothing_is_left(mark)


@pytest.mark.parametrize("name", ["report.html", "requests", orphaned_runs.MARKER])
def test_a_folder_with_files_of_the_user_s_that_a_run_would_write_over_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("precious")
    assert main([*RUN, "--out", str(tmp_path)]) == ExitCode.USAGE
    assert capsys.readouterr().err == f"lab: {tmp_path} already holds {name}: choose another folder with --out.\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir() if path.is_file()] == [(name, "precious")]


@pytest.mark.usefixtures("unmeasured")
def test_a_folder_of_a_run_that_was_killed_before_its_first_trial_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    abandon(tmp_path / "run", orphaned_runs.MARKER)
    assert main([*RUN, "--out", str(tmp_path / "run")]) == ExitCode.NOT_RUN
    assert run_store.load_run(tmp_path / "run").status == "complete"


@pytest.mark.usefixtures("unmeasured")
def test_a_folder_with_other_files_of_the_user_s_is_taken_and_they_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    assert main([*RUN, "--out", str(tmp_path)]) == ExitCode.NOT_RUN
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "report.html", "run.json"]


def test_a_reproduction_is_not_made_of_runs_that_were_there(tmp_path: Path) -> None:
    earlier = run_store.save_run(
        runs.run_of([runs.trial_of("async_asgi@uvicorn")]), tmp_path / "first_look"
    ).read_bytes()
    with pytest.raises(UsageError, match="already holds first_look: choose another folder with --out"):
        reproduce.main(["first_look", "--out", str(tmp_path)])
    assert (tmp_path / "first_look" / "run.json").read_bytes() == earlier
    assert os.listdir(tmp_path) == ["first_look"]


def test_a_live_cell_does_not_show_a_run_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live_cell.LIVE_VARIABLE, "1")
    run_store.save_run(runs.run_of([runs.trial_of("async_asgi@uvicorn")]), tmp_path / "run")
    with pytest.raises(LabError, match=r"Nothing was measured: lab: .* already holds a run"):
        live_cell.measure("io_wait", users=[2], folder=tmp_path / "run")


@pytest.mark.usefixtures("unmeasured")
def test_a_run_whose_first_trial_is_interrupted_gives_its_folder_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(plan: TrialPlan, keep: Path) -> Trial:
        assert orphaned_runs.abort_orphaned_runs([tmp_path]) == []
        signal.raise_signal(signal.SIGHUP)
        raise AssertionError

    monkeypatch.setattr(runner, "run_trial", interrupted)
    assert main([*RUN, "--out", str(tmp_path / "run")]) == ExitCode.INTERRUPTED
    assert run_store.load_run(tmp_path / "run").status == "aborted"
    assert sorted(os.listdir(tmp_path / "run")) == ["report.html", "run.json"]


def test_measuring_the_reference_again_removes_no_run(tmp_path: Path) -> None:
    kept = tmp_path / "results" / "local" / "reference" / "io_wait" / "run.json"
    for program in (tmp_path / "scripts" / "set-up", tmp_path / ".venv" / "bin" / "lab"):
        program.parent.mkdir(parents=True)
        program.symlink_to(str(shutil.which("true")))
    shutil.copy(files.ROOT / "scripts" / "reference", tmp_path / "scripts")
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    subprocess.run([tmp_path / "scripts" / "reference", "io_wait"], capture_output=True, timeout=30)
    assert kept.read_text() == "precious"
