"""Environments: made whole or not at all, and what a server that runs in one says of itself.

Nothing is fetched: in place of installing, an environment of these tests finds the lab's packages by a `.pth` file.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from bench.base.errors import ExitCode, LabError, MissingDependency, NotRun
from bench.base.markers import hold_marker
from bench.cli.main import main
from bench.measure import environment_maker
from bench.measure.contract import ask_environment
from bench.measure.environment_maker import MARKER
from bench.measure.readiness import serving_stack
from bench.measure.tests.made_environments import make_environment, without_fetching
from bench.measure.tests.windows import planned, run_until
from bench.model import environments
from bench.model.environments import Environment, Recipe, load_environment
from bench.model.stacks import parse_stack
from bench.model.trial_record import ServerEnvironment
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack

STACK = "sync_wsgi@gthread:2%here"
FREE_THREADED = os.environ.get("LAB_PYTHON_FREE_THREADED") or next(
    filter(None, map(shutil.which, ("python3.14t", "python3.13t"))), None
)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the environments of this module are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments, "FOLDER", tmp_path_factory.mktemp("environments"))
        yield environments.FOLDER


@pytest.fixture(scope="module")
def here(folder: Path) -> Environment:
    """One with the interpreter that runs this."""
    return make_environment("here")


def said_by(stack: str) -> tuple[ServerEnvironment, dict[str, str]]:
    """What a server of the stack says of itself, and the variables of its process."""
    parsed = parse_stack(stack)
    with serving_stack(parsed, grace_s=0) as server:
        said = ask_environment(server.url, parsed)
        assert said is not None
        assert said.pid in {process.pid for process in server.family()}
        return said, psutil.Process(said.pid).environ()


def test_a_server_runs_in_its_environment_and_says_so(here: Environment) -> None:
    said, _ = said_by(STACK)
    assert (said.name, said.python, said.gil) == ("here", environment_maker.describe_python("")["python"], True)
    assert {name: said.versions[name] for name in ("django", "gunicorn")} == {
        name: here.packages[name] for name in ("django", "gunicorn")
    }
    assert "pytest" not in said.versions
    assert here.program != Path(sys.executable)


def test_a_trial_keeps_what_its_server_said_and_no_path(here: Environment) -> None:
    trial = run_until(planned(STACK, "hello"))
    assert trial.environment is not None, trial.reasons
    assert (trial.stack, trial.environment.name) == (STACK, "here")
    assert trial.commands["server"][:3] == ["python%here", "-m", "gunicorn"]
    assert str(environments.FOLDER) not in msgspec.json.encode(trial).decode()


def test_an_environment_like_another_shares_it_and_has_variables_of_its_own(here: Environment) -> None:
    twin = make_environment("twin", like="here", variables={"PYTHON_GIL": "1", "PYTHONUNBUFFERED": "1"})
    said, variables = said_by("sync_wsgi@gthread:2%twin")
    assert twin.program == here.program
    assert said.variables == twin.recipe.variables == {name: variables[name] for name in said.variables}
    with pytest.raises(LabError, match="here is shared by twin: remove that first"):
        environment_maker.remove("here")
    environment_maker.remove("twin")
    assert "twin" not in environments.names()


def test_a_trace_runs_in_the_environment_of_its_stack(here: Environment) -> None:
    found = trace_stack(parse_stack("async_asgi@uvicorn%here"), parse_request("hello"))
    assert (found.status, found.ended) == (200, True)
    with pytest.raises(NotRun, match="There is no environment 'nowhere'"):
        trace_stack(parse_stack("async_asgi@uvicorn%nowhere"), parse_request("hello"))


@pytest.mark.skipif(
    not FREE_THREADED,
    reason="no free-threaded Python is on PATH: run `uv python install 3.14t`, or name one in LAB_PYTHON_FREE_THREADED",
)
def test_a_free_threaded_server_has_no_gil_unless_a_variable_asks_for_it() -> None:
    make_environment("free", python=str(FREE_THREADED))
    make_environment("locked", like="free", variables={"PYTHON_GIL": "1"})
    (free, _), (locked, _) = (said_by(f"bare_wsgi@gthread:2%{name}") for name in ("free", "locked"))
    assert (free.gil, locked.gil) == (False, True)
    assert free.python == locked.python
    assert free.python.endswith("t")


def lacking(name: str, *packages: str, **fields: Any) -> None:
    """An environment as `add` writes it, with an interpreter that is never started."""
    program = environments.program_in(name)
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    made = Environment(name, "CPython 3.13.5t", dict.fromkeys(packages, "1.0"), **fields)
    (environments.FOLDER / name / environments.FILE).write_bytes(msgspec.json.encode(made))


def test_a_stack_whose_package_is_lacking_is_not_run_with_the_command_that_helps() -> None:
    django = ("django", "dj-database-url", "django-htmx", "httpx", "uvicorn", "gunicorn", "psycopg")
    lacking("bare", *django, recipe=Recipe(python="python3.13t", django="6.1"), lacks={"uvloop": "no file of it"})
    with pytest.raises(MissingDependency) as refusal:
        parse_stack("async_asgi@uvicorn%bare").require_installed()
    assert str(refusal.value) == (
        "async_asgi@uvicorn%bare needs the package uvloop, which the environment bare lacks (no file of it): run "
        "`lab env remove bare && lab env add bare --python python3.13t --django 6.1 --with uvloop`."
    )
    parse_stack("sync_wsgi@gthread:8%bare").require_installed("psycopg")
    with pytest.raises(MissingDependency, match="sync_wsgi@gthread:8%bare needs the package nosuch"):
        parse_stack("sync_wsgi@gthread:8%bare").require_installed("nosuch")


@pytest.mark.live
@pytest.mark.parametrize(
    ("command", "code", "parts"),
    [
        ("add Py313", ExitCode.USAGE, "'Py313' is no name of an environment: write at most 32 small letters"),
        ("add ../up", ExitCode.USAGE, "'../up' is no name of an environment"),
        ("add default", ExitCode.USAGE, "default is the lab's own environment: choose another name"),
        ("add there", ExitCode.USAGE, "There is an environment there already: remove it first"),
        ("add new --python python9.9", ExitCode.USAGE, "There is no program 'python9.9': install that Python"),
        ("add new --python true", ExitCode.NOT_RUN, "true does not answer as a Python does"),
        ("add new --django six", ExitCode.USAGE, "--django six is no version such as 6.1, and no folder"),
        ("add new --django /", ExitCode.USAGE, "no folder with a checkout of Django"),
        ("add new --like there --django 6.1", ExitCode.USAGE, "--like there shares what is installed there"),
        ("add new --like nowhere", ExitCode.NOT_RUN, "There is no environment 'nowhere'"),
        ("add new --variable PYTHON_GIL", ExitCode.USAGE, "written NAME=VALUE"),
        ("add new --variable LAB_X=1", ExitCode.USAGE, "'LAB_X' cannot be set"),
        ("add", ExitCode.USAGE, "`lab env add` needs a name"),
        ("list there", ExitCode.USAGE, "`lab env list` takes no name"),
        ("show there --django 6.1", ExitCode.USAGE, "`lab env show` takes no options but --json"),
        ("show nowhere", ExitCode.NOT_RUN, "There is no environment 'nowhere'"),
        ("remove nowhere", ExitCode.NOT_RUN, "There is no environment 'nowhere'"),
        ("remove default", ExitCode.USAGE, "default is the lab's own environment and stays"),
        ("mend there", ExitCode.USAGE, "'mend'"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    command: str, code: ExitCode, parts: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if not environments.is_environment("there"):
        lacking("there")
    before = sorted(environments.FOLDER.iterdir())
    assert main(["env", *command.split()]) == code
    printed = capfd.readouterr()
    assert parts in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert sorted(environments.FOLDER.iterdir()) == before


def test_without_a_package_index_there_is_one_sentence_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_pip(command: Sequence[str], log: Path, within_s: float = 60.0) -> None:
        without_fetching(command, log) if "venv" in command else real(command, log, within_s)

    real = environment_maker.run_installer
    monkeypatch.setattr(environment_maker, "run_installer", only_pip)
    monkeypatch.setattr(shutil, "which", lambda program: None)  # no uv
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(NotRun, match=r"offline could not be made for CPython .*: .*index could not be reached"):
        environment_maker.add("offline", Recipe(packages=("no-such-package",)))
    assert not (environments.FOLDER / "offline").exists()


@pytest.mark.live
def test_what_is_interrupted_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(command: Sequence[str], log: Path) -> None:
        assert (environments.FOLDER / "half" / MARKER).exists()
        assert not environments.is_environment("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(environment_maker, "run_installer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment_maker.add("half", Recipe())
    assert not (environments.FOLDER / "half").exists()


def test_what_a_killed_one_left_does_not_count_and_gives_way(folder: Path) -> None:
    killed = (
        "import os, sys, pathlib; from bench.base.markers import hold_marker\n"
        f"with hold_marker(pathlib.Path(sys.argv[1]), {MARKER!r}): os._exit(9)"
    )
    left = folder / "left"
    (left / "bin").mkdir(parents=True)
    assert subprocess.run([sys.executable, "-c", killed, str(left)], timeout=30).returncode == 9
    assert "left" not in environments.names()
    assert not environments.is_environment("left")
    again = shutil.copytree(left, folder / "again")
    (again / MARKER).write_text((left / MARKER).read_text().replace(str(left), str(again)))
    environment_maker.remove("again")
    assert not again.exists()
    make_environment("left")
    assert "left" in environments.names()
    assert not (left / MARKER).exists()
    environment_maker.remove("left")
    assert not left.exists()


@pytest.mark.live
def test_two_at_once_of_one_name_and_a_folder_of_the_users_are_refused(folder: Path) -> None:
    (folder / "busy").mkdir()
    with hold_marker(folder / "busy", MARKER), pytest.raises(NotRun, match="Another `lab env add busy` is at work"):
        environment_maker.add("busy", Recipe())
    (folder / "theirs").mkdir()
    (folder / "theirs" / "notes.txt").touch()
    with pytest.raises(LabError, match="theirs exists and is no environment of the lab: move it away"):
        environment_maker.add("theirs", Recipe())
    assert (folder / "theirs" / "notes.txt").exists()


def test_list_and_show_are_one_document(here: Environment, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "list", "--json"]) == ExitCode.FINE
    listed = {one["name"]: one for one in json.loads(capfd.readouterr().out)}
    assert listed.keys() >= {"default", "here"}
    assert main(["env", "show", "here", "--json"]) == ExitCode.FINE
    shown = json.loads(capfd.readouterr().out)
    assert shown == listed["here"]
    assert (shown["program"], shown["command"]) == (str(here.program), "lab env add here")
    assert load_environment("default").packages["django"] == shown["packages"]["django"]


@pytest.mark.parametrize("name", ["django", "gunicorn", "psycopg"])
def test_what_is_installed_is_pinned_as_in_the_lock(name: str) -> None:
    pins = environment_maker.locked_versions()[name].splitlines()
    assert all(pin.startswith((f"{name}==", f"{name}[")) for pin in pins), pins
    assert not [pin for pin in pins if pin.endswith("\\") or "--hash" in pin]
