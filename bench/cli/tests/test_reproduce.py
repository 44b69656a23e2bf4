"""`scripts/reproduce`: measured here, verified, set beside the reference; nothing but claims is compared."""

import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import ExitCode, UsageError
from bench.base.polling import eventually
from bench.cli import reproduce
from bench.measure.tests.processes import assert_nothing_is_left, end, left_of, running
from bench.model import environments, experiment, run_store, trial_record
from bench.model.run_record import Assertion, Run
from bench.model.tests import runs

LOOP, THREADS = "async_asgi@uvicorn", "sync_wsgi@gthread:8"
CLAIM = Assertion("the loop serves more", {"stack": LOOP}, {"stack": THREADS})
MORE, LESS, ALIKE = (300.0, 303.0, 306.0), (30.0, 30.3, 30.6), (95.0, 101.0, 107.0)
END_WITHIN_S = 20.0


def run_of(rates: Sequence[float], *claims: Assertion) -> Run:
    """Threads at 100 requests/s, and the loop at these rates."""
    trials = [runs.trial_of(LOOP, repeat=i, throughput_per_s=rate) for i, rate in enumerate(rates)]
    trials += [runs.trial_of(THREADS, repeat=i, throughput_per_s=100.0 + i) for i in range(3)]
    return runs.run_of(trials, claims, experiment="first_look")


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results/reference of our own, where no job has a summary."""
    monkeypatch.setattr(run_store, "REFERENCE", tmp_path / "reference")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path / "reference"


def measuring(monkeypatch: pytest.MonkeyPatch, found: dict[str, Run | int]) -> list[str]:
    """Let `lab run` leave these runs, or end with these codes; returns the names in the order asked."""
    asked: list[str] = []

    def lab_run(name: str, profile: str, folder: Path, *options: str) -> int:
        asked.append(" ".join([name, *options[:1]]))
        run = found.get(name, ExitCode.FAILED)
        if isinstance(run, int):
            return run
        run_store.save_run(run, folder)
        return ExitCode.FINE

    monkeypatch.setattr(reproduce, "lab_run", lab_run)
    return asked


@pytest.mark.parametrize(
    ("here", "there", "agreement", "code"),
    [
        (MORE, MORE, "agrees", ExitCode.FINE),
        (LESS, MORE, "differs", ExitCode.FAILED),
        (MORE, LESS, "differs", ExitCode.FAILED),
        (LESS, LESS, "agrees", ExitCode.FAILED),
        (ALIKE, MORE, "undecided here", ExitCode.INVALID),
        (MORE, ALIKE, "reference undecided", ExitCode.FINE),
    ],
)
def test_each_claim_agrees_or_differs_or_cannot_be_told(
    here: tuple[float, ...],
    there: tuple[float, ...],
    agreement: str,
    code: ExitCode,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_store.save_run(run_of(there, Assertion("an older sentence", {"stack": LOOP})), reference / "first_look")
    measuring(monkeypatch, {"first_look": run_of(here, CLAIM)})
    assert reproduce.main(["first_look", "--out", str(tmp_path / "out")]) == code
    text = capsys.readouterr().out
    assert f"| {agreement} | the loop serves more |" in text
    assert f"(exit code {int(code)})" in text
    assert (tmp_path / "out" / "summary.md").read_text() == text.removesuffix("\n")


@pytest.mark.usefixtures("reference")
def test_without_a_reference_the_summary_says_so_and_the_claims_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring(monkeypatch, {"first_look": run_of(MORE, CLAIM)})
    assert reproduce.main(["first_look", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "Nothing to compare with: " in text
    assert "| no reference | the loop serves more |" in text


FEW = MORE[:2]


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize(("minutes", "code", "times"), [("10", ExitCode.FINE, 1), ("0", ExitCode.INVALID, 0)])
def test_what_is_undecided_gets_more_restarts_until_it_is_decided_or_the_time_is_spent(
    minutes: str,
    code: ExitCode,
    times: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = measuring(monkeypatch, {"first_look": run_of(FEW, CLAIM), "io_wait": run_of(MORE, CLAIM)})
    given = ["first_look", "io_wait", "--out", str(tmp_path / "out"), "--more", minutes]
    assert reproduce.main(given) == code
    assert asked == ["first_look", "io_wait", *["first_look --undecided"] * times]
    assert f"| {3 * times} | 0 |" in capsys.readouterr().out


@pytest.mark.usefixtures("reference")
def test_what_restarts_do_not_decide_is_left_undecided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = measuring(monkeypatch, {"first_look": run_of(ALIKE, CLAIM)})
    assert reproduce.main(["first_look", "--out", str(tmp_path / "out")]) == ExitCode.INVALID
    assert len(asked) == 1 + reproduce.MOST_MORE


@pytest.mark.usefixtures("reference")
def test_the_summary_says_what_other_programs_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(MORE, CLAIM)
    other = trial_record.Reason("other-load", "Other programs kept 1.0 cores busy.")
    disturbed = [replace(run.trials[0], verdict="degraded", reasons=[other]), *run.trials[1:]]
    measuring(monkeypatch, {"first_look": replace(run, trials=disturbed)})
    reproduce.main(["first_look", "--out", str(tmp_path / "out"), "--more", "0"])
    assert "1 of 6 trials were disturbed by other programs" in capsys.readouterr().out


@pytest.mark.usefixtures("reference")
def test_a_run_that_fails_does_not_keep_the_others_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = measuring(monkeypatch, {"first_look": ExitCode.FAILED, "io_wait": run_of(MORE, CLAIM)})
    assert reproduce.main(["first_look", "io_wait", "--out", str(tmp_path / "out")]) == ExitCode.FAILED
    assert asked == ["first_look", "io_wait"]
    text = capsys.readouterr().out
    assert "`lab run` ended with 1 and left no run" in text
    assert "## io_wait" in text


@pytest.mark.usefixtures("reference")
def test_an_interruption_ends_it_with_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Run | int] = {"first_look": run_of(MORE, CLAIM), "io_wait": ExitCode.INTERRUPTED}
    asked = measuring(monkeypatch, found)
    names = ["first_look", "io_wait", "no_wait"]
    assert reproduce.main([*names, "--out", str(tmp_path / "out")]) == ExitCode.INTERRUPTED
    assert asked == names[:2]
    assert "the loop serves more" in capsys.readouterr().out


@pytest.mark.parametrize(("verdict", "code"), [("invalid", ExitCode.INVALID), ("not-run", ExitCode.NOT_RUN)])
@pytest.mark.usefixtures("reference")
def test_invalid_and_unmade_trials_have_their_codes(
    verdict: trial_record.Verdict,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = run_of(MORE, CLAIM)
    spoiled = runs.without_numbers(runs.trial_of("sync_wsgi@sync"), verdict, runs.NO_BOOT)
    measuring(monkeypatch, {"first_look": replace(run, trials=[*run.trials, spoiled])})
    assert reproduce.main(["first_look", "--out", str(tmp_path / "out")]) == code
    assert f"(exit code {int(code)})" in capsys.readouterr().out


@pytest.mark.usefixtures("reference")
def test_the_job_s_summary_is_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.md"
    job.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(job))
    measuring(monkeypatch, {"first_look": run_of(MORE, CLAIM)})
    reproduce.main(["first_look", "--out", str(tmp_path / "out")])
    assert job.read_text() == "before\n" + capsys.readouterr().out.removesuffix("\n")


@pytest.mark.parametrize("arguments", [["first_lok"], ["first_look", "--profile", "quik"]])
def test_a_misspelt_name_is_refused_before_anything_is_measured(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        reproduce.main([*arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_it_leaves_nothing_running(how: signal.Signals, mark: str, tmp_path: Path) -> None:
    """The one test that measures: `lab run` has started its server and load when we end."""
    command = [sys.executable, "-m", "bench.cli.reproduce", "first_look", "no_wait", "--out", str(tmp_path)]
    with running(*command) as popen:
        assert eventually(lambda: len(left_of(mark)) >= 4, END_WITHIN_S)
        status, out, err = end(popen, how)
    assert_nothing_is_left(mark, within_s=END_WITHIN_S if how is signal.SIGINT else 5.0)
    assert run_store.load_run(tmp_path / "first_look").status == "aborted"
    assert "no_wait" not in err
    if how is signal.SIGINT:
        assert status == ExitCode.INTERRUPTED
        assert "Interrupted: what follows" in out
        assert (tmp_path / "summary.md").exists()


def test_what_lacks_an_environment_is_left_out_and_says_the_command(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "environments")
    monkeypatch.setattr(experiment, "experiment_names", lambda: ["first_look", "versions"])
    run_store.save_run(run_of(MORE, CLAIM), reference / "first_look")
    asked = measuring(monkeypatch, {"first_look": run_of(MORE, CLAIM)})
    assert reproduce.main(["--out", str(tmp_path / "out")]) == ExitCode.FINE
    assert asked == ["first_look"]
    said = capsys.readouterr().out
    assert "- Not run. There is no environment 'django52': run `lab env add django52 --python python3.13" in said
    assert reproduce.main(["versions", "--out", str(tmp_path / "asked")]) == ExitCode.FAILED
    assert asked == ["first_look", "versions"]  # by its name it is measured, and `lab run` says what it lacks
