"""`lab`: a user's mistake is one sentence and exit code 2, and --json means one document and nothing else."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base.console import console
from bench.base.errors import ExitCode
from bench.cli.main import main
from bench.cli.saved_runs import exit_code_of
from bench.measure import machine
from bench.measure.runner import new_run
from bench.measure.tests.processes import assert_nothing_is_left, lab
from bench.measure.tests.windows import valid_run
from bench.model import run_record, run_store
from bench.model.servers import SERVERS
from bench.model.stacks import LABS, STACKS
from bench.model.trial_matrix import Overrides
from bench.model.trial_plan import planned_trial
from bench.model.workloads import WORKLOADS

RUN = ("run", "first_look")
TINY = ("--stack", "async_asgi@uvicorn", "--workload", "hello", "--users", "2", "--repeats", "1", "--duration", "0.5")
MISTAKES = [
    ("serve async_agsi@uvicorn", "async_asgi"),
    ("serve async_asgi@uvicron", "uvicorn"),
    ("serve async_asgi", "uvicorn"),
    ("serve async_asgi@gthread:4", "gthread speaks WSGI but async_asgi is ASGI"),
    ("serve sync_wsgi@gthread", "gthread:64"),
    ("serve sync_wsgi@gthread:0", "Budget '0'"),
    ("serve sync_wsgi@gthread:", "Budget ''"),
    ("serve async_asgi@uvicorn:4", ":x4 for 4 processes"),
    ("serve async_asgi@uvicorn --port 0", "'0' is not a whole number from 1 to 65535"),
    ("serve async_asgi@uvicorn --port 65536", "from 1 to 65535"),
    ("serve async_asgi@uvicorn --cpus 4000", "Core 4000 is not usable here"),
    ("serve async_asgi@uvicorn --middleware startprojekt", "startproject"),
    ("diff sync_wsgi async_agsi", "async_asgi"),
    ("diff sync_wsgi ../bench", "Unknown lab"),
    ("run first_lok", "first_look"),
    ("run ../first_look", "first_look"),
    ("run first_look --profile quik", "quick"),
    ("run first_look --stack sync_wgsi@sync", "sync_wsgi"),
    ("run first_look --workload wiat", "wait"),
    ("run first_look --workload wait?ms=10001", "from 0 to 10000"),
    ("run first_look --workload wait?s=1", "it takes ms"),
    ("run first_look --workload fan_out?n=0", "from 1 to 100"),
    ("run first_look --stack bare_asgi@uvicorn --workload burn", "answer hello and wait only"),
    ("run first_look --users 0", "from 1 to 10000"),
    ("run first_look --users 10,10001", "'10001' is not a whole number from 1 to 10000"),
    ("run first_look --users -1", "--users"),
    ("run first_look --users many", "'many' is not a whole number"),
    ("run first_look --repeats 101", "from 1 to 100"),
    ("run first_look --duration 0", "'0' is not a number of seconds"),
    ("run first_look --duration nan", "'nan' is not a number of seconds"),
    ("run first_look --duration 3601", "up to 3600"),
    ("run first_look --seed -1", "--seed"),
    ("run first_look --load-processes 65", "from 1 to 64"),
    ("run first_look --engine wrkk", "Unknown --engine 'wrkk': did you mean wrk?"),
    ("run first_look --engine wrk --expect-workers 2", "wrk runs on this machine alone"),
    ("run held --engine wrk", "wrk drives only closed loops"),
    ("run first_look --middleware bothh", "both"),
    ("run first_look --colour", "--colour"),
    ("run first_look --environment Py313", "'Py313' is no name of an environment"),
    ("run first_look --server-cores 64", "--server-cores 64 is more than the"),
    ("run first_look --server-cores 0", "from 1 to 64"),
    (
        "run first_look --stack sync_wsgi@gthread:8 --target http://127.0.0.1:9 --environment default",
        "The server at --target has an environment already",
    ),
    ("report no_such_run", "There is no run 'no_such_run'"),
    ("lsit", "list"),
    ("", "COMMAND"),
]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` takes SIGTERM for its process; give it back to pytest."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def assert_one_sentence(stderr: str, *parts: str) -> None:
    assert stderr.endswith("\n")
    assert len(stderr.splitlines()) == 1, stderr
    assert stderr.startswith("lab: ")
    assert stderr.rstrip()[-1] in ".?", stderr
    for part in parts:
        assert part in stderr


@pytest.mark.parametrize(("line", "part"), MISTAKES)
def test_a_mistake_is_one_sentence_and_exit_code_2(line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(line.split())
    seen = capsys.readouterr()
    assert (status, seen.out) == (ExitCode.USAGE, "")
    assert_one_sentence(seen.err, part)


def test_a_mistake_shows_no_traceback_in_a_process_of_its_own() -> None:
    done = lab("run", "first_lok")
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_sentence(done.stderr, "Unknown experiment 'first_lok': did you mean first_look?")


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("precious")
    assert main([*RUN, "--out", str(tmp_path)]) == ExitCode.USAGE
    assert_one_sentence(capsys.readouterr().err, "already holds a run", "--out")
    assert (tmp_path / "run.json").read_text() == "precious"


def test_a_run_is_looked_for_by_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "io_wait").mkdir()
    (tmp_path / "io_wait" / "run.json").write_text("{}")
    monkeypatch.setattr(run_store, "LOCAL", tmp_path)
    assert main(["report", "io_wiat"]) == ExitCode.USAGE
    assert_one_sentence(capsys.readouterr().err, "did you mean io_wait")


def test_lab_list_shows_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    seen = capsys.readouterr()
    for name in [*LABS, *SERVERS, *WORKLOADS, "first_look"]:
        assert name in seen.out
    assert seen.err == ""


def test_lab_list_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    seen = capsys.readouterr()
    listed = json.loads(seen.out)
    assert [row["name"] for row in listed["labs"]] == list(LABS)
    assert [row["name"] for row in listed["stacks"]] == [stack.name for stack in STACKS]
    assert {row["name"] for row in listed["workloads"]} == set(WORKLOADS)
    assert seen.err == ""


@pytest.mark.live
def test_lab_doctor_as_json_is_one_document_with_remedies(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    seen = capsys.readouterr()
    found = json.loads(seen.out)
    assert status == (ExitCode.FINE if found["fit"] else ExitCode.NOT_RUN)
    assert {"checklist: equal cores", "file descriptors", "other load", "django", "python"} <= {
        row["name"] for row in found["checks"]
    }
    assert all(row["remedy"] for row in found["checks"] if row["state"] != "fine")
    assert seen.err == ""


@pytest.mark.live
def test_a_missing_package_is_a_doctors_finding_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.measure.machine.PACKAGES", ("django", "no-such-package"))
    assert main(["doctor", "--json"]) == ExitCode.NOT_RUN
    checks = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["no-such-package"]["state"] == "missing"
    assert "pip install no-such-package" in checks["no-such-package"]["remedy"]


@pytest.mark.live
def test_a_server_of_an_extra_may_be_absent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = machine.versions()
    monkeypatch.setattr(machine, "versions", lambda: {**found, "granian": None})
    main(["doctor", "--json"])
    checks = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert [checks[name]["state"] for name in ("granian", "server granian")] == ["warning", "warning"]
    assert "pip install -e '.[servers]'" in checks["granian"]["remedy"]


def test_lab_diff_shows_the_essence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "sync_wsgi", "async_asgi"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "- time.sleep(ms / 1000)" in lines
    assert "+ await asyncio.sleep(ms / 1000)" in lines
    assert "--- labs/sync_wsgi/views.py" in lines
    assert "+++ labs/async_asgi/views.py" in lines


def test_a_lab_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "sync_wsgi", "sync_wsgi"]) == 0
    assert capsys.readouterr().out == ""


def test_lab_and_python_m_bench_are_the_same_command() -> None:
    script = Path(sys.executable).with_name("lab")
    if not script.exists():
        pytest.skip("lab is not installed beside this Python: run ./scripts/set-up test")
    done = subprocess.run([script, "list", "--json"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, lab("list", "--json").stdout)


def test_a_run_as_json_is_one_document_that_can_be_shown_again(
    mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []

    def made_in(folder: Path) -> int:
        runs.append(lab(*RUN, *TINY, "--json", "--out", str(folder)))
        return runs[-1].returncode

    folder = valid_run(tmp_path, made_in)
    done = runs[-1]
    data = json.loads(done.stdout)
    (row,) = data.pop("rows")
    assert (row["stack"], row["throughput_per_s"]) == ("async_asgi@uvicorn", data["trials"][0]["throughput_per_s"])
    assert data == json.loads((folder / "run.json").read_bytes())
    assert (data["status"], len(data["trials"])) == ("complete", 1)
    assert "async_asgi@uvicorn hello 2 users" in done.stderr
    assert str(folder / "report.html") in done.stderr
    assert_nothing_is_left(mark)
    (folder / "report.html").unlink()
    assert main(["report", str(folder), "--json"]) == 0
    assert capsys.readouterr().out == done.stdout
    assert (folder / "report.html").stat().st_size > 0
    assert main(["report", str(folder), "--markdown"]) == 0
    assert "async_asgi@uvicorn" in capsys.readouterr().out


def run_with(status: Any, *verdicts: Any) -> run_record.Run:
    planned, ordered = new_run("first_look", "quick", Overrides(seed=1))
    trials = [replace(planned_trial(ordered[0]), verdict=verdict) for verdict in verdicts]
    return replace(planned, status=status, trials=trials)


@pytest.mark.parametrize(
    ("status", "verdicts", "code"),
    [
        ("complete", ["ok", "degraded"], 0),
        ("complete", ["ok", "not-run"], 3),
        ("complete", ["ok", "invalid", "not-run"], 4),
        ("aborted", ["invalid", "aborted"], 130),
    ],
)
def test_the_exit_code_says_the_worst(status: str, verdicts: list[str], code: int) -> None:
    assert exit_code_of(run_with(status, *verdicts)) == code


def test_a_budget_between_colons_is_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("sync_wsgi@gthread:100: planned")
    assert capsys.readouterr().out == "sync_wsgi@gthread:100: planned\n"
