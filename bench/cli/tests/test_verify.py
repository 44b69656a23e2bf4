"""`lab verify`: three-valued findings become exit codes that can be told apart."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import ExitCode
from bench.cli import verify
from bench.cli.main import main
from bench.measure import runner
from bench.model import experiment, run_store, trial_matrix
from bench.model.run_record import Assertion, Run
from bench.model.tests import runs

LOOP, THREADS = {"stack": "async_asgi@uvicorn"}, {"stack": "sync_wsgi@gthread:8"}
TRUE = Assertion("the loop serves more", LOOP, THREADS)
FALSE = Assertion("the loop serves less", LOOP, THREADS, expect="less")
OPEN = Assertion("what was not measured", {"stack": "sync_wsgi@sync"}, THREADS)


def run_with(*claims: Assertion) -> Run:
    trials = [runs.trial_of(side["stack"], users=400, repeat=i) for side in (LOOP, THREADS) for i in range(3)]
    return runs.run_of(trials, claims)


@pytest.mark.parametrize(
    ("claims", "code", "means"),
    [
        ([TRUE, TRUE], ExitCode.FINE, "all claims are supported (exit code 0)"),
        ([TRUE, FALSE, OPEN], ExitCode.FAILED, "a claim is refuted (exit code 1)"),
        ([TRUE, OPEN], ExitCode.INVALID, "not all can be decided (exit code 4)"),
    ],
)
def test_the_exit_code_tells_supported_refuted_and_cannot_tell_apart(
    claims: list[Assertion], code: ExitCode, means: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_store.save_run(run_with(*claims), tmp_path)
    assert main(["verify", str(tmp_path)]) == code
    out = " ".join(capsys.readouterr().out.split())
    assert means in out
    assert all(claim.says in out for claim in claims)
    assert main(["verify", str(tmp_path), "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], len(found["findings"])) == (code, len(claims))


def test_markdown_begins_with_the_verdict_and_names_machine_and_versions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_with(TRUE, FALSE)
    environment = {"cpu": "A CPU", "cores": 2, "system": "Linux 6.1", "packages": {"django": "5.2.1"}}
    run_store.save_run(replace(run, environment=environment), tmp_path)
    assert main(["verify", str(tmp_path), "--markdown"]) == ExitCode.FAILED
    text = capsys.readouterr().out
    assert "a claim is refuted (exit code 1).**" in text.splitlines()[0]
    assert "A CPU, 2 cores, Linux 6.1" in text
    assert "django 5.2.1" in text
    assert "| **refuted** | the loop serves less |" in text


def test_a_run_without_claims_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_store.save_run(run_with(), tmp_path)
    assert main(["verify", str(tmp_path)]) == ExitCode.USAGE
    seen = capsys.readouterr()
    assert (seen.out, len(seen.err.splitlines())) == ("", 1)
    assert "claims nothing" in seen.err


def test_an_interrupted_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(TRUE)
    run_store.save_run(replace(run, status="aborted", plan=replace(run.plan, trials=20)), tmp_path)
    assert main(["verify", str(tmp_path)]) == ExitCode.FINE
    assert "This run was interrupted: 6 of 20 trials" in capsys.readouterr().out
    assert "not finished" in verify.incomplete(replace(run, status="running"))


def test_without_a_name_the_latest_run_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_store, "LOCAL", tmp_path)
    run_store.save_run(run_with(TRUE), tmp_path / "latest")
    assert main(["verify"]) == 0


def test_the_help_says_what_the_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "4 no claim refuted but some undecided" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", experiment.experiment_names(drafts=False))
def test_the_reference_profile_holds_every_claim_and_the_quick_one_most(name: str) -> None:
    claims = experiment.load_experiment(name).claims
    planned = {
        profile: runner.new_run(name, profile, trial_matrix.Overrides(seed=1))[0].plan.claims
        for profile in ("quick", "reference")
    }
    assert planned["reference"] == claims != []
    assert 2 * len(planned["quick"]) > len(claims)


def test_a_wish_drops_the_claims_about_rows_it_leaves_out() -> None:
    wishes = trial_matrix.Overrides(users=(10,), seed=1)
    planned, _ = runner.new_run("first_look", "quick", wishes)
    assert 0 < len(planned.plan.claims) < len(experiment.load_experiment("first_look").claims)
    assert all(side["users"] == 10 for claim in planned.plan.claims for side in (claim.left, claim.right or {}))


@pytest.mark.parametrize("name", ["fan_out", "first_look", "io_wait", "no_wait"])
def test_a_claim_names_its_row_and_no_absolute_rate(name: str) -> None:
    for claim in experiment.load_experiment(name).claims:
        sides = claim.order or [claim.left, *([claim.right] if claim.right else [])]
        assert all({"stack", "request", "users"} <= side.keys() for side in sides), claim.says
        assert claim.order or claim.right or claim.measure == "server.threads_max", claim.says
