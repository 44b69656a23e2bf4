"""A server, a workload, an experiment and a lesson are one entry each: whatever else knows of them follows it."""

import ast
import json
import os
import platform
import shutil
import signal
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb

from bench.base.errors import ExitCode, UsageError
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.cli import checklist, readme
from bench.cli.main import main
from bench.cli.tests.made_up import ENTRY, WATCHED
from bench.learn import build_notebooks
from bench.measure import machine, processes, variables
from bench.measure.ports import free_port
from bench.measure.readiness import serving_stack
from bench.measure.tests.processes import assert_nothing_is_left, end, running
from bench.measure.tests.windows import valid_run
from bench.model import experiment, run_store
from bench.model.experiment import experiment_names, load_experiment
from bench.model.fronts import FILE, FRONTS, Front
from bench.model.load import Leaving
from bench.model.servers import HOST, SERVERS
from bench.model.stacks import STACKS, parse_stack
from bench.model.tests import runs
from bench.model.trial_matrix import Overrides, trials_of
from bench.model.workloads import WORKLOADS, Workload, parse_request
from bench.show.figures.stack_style import LINES, look_of
from bench.show.figures.throughput import throughput_vs_users

SMALL = ("--users", "2", "--repeats", "1", "--duration", "1.0", "--profile", "quick")


def listed(what: str, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The rows of one table of `lab list --json`, by name."""
    assert main(["list", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)[what]}


def measured(folder: Path, *words: str) -> Path:
    """The folder of a small run that `lab run` makes here; again where a busy machine made a trial invalid."""
    return valid_run(folder, lambda at: main(["run", *words, *SMALL, "--out", str(at)]))


def document_in(folder: Path) -> dict[str, Any]:
    """What its run.json holds."""
    return dict(json.loads((folder / "run.json").read_bytes()))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up server, added by its entry."""
    monkeypatch.setitem(SERVERS, ENTRY.name, ENTRY)


@pytest.mark.usefixtures("made_up")
def test_a_server_serves_with_the_command_of_its_entry_and_without_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MADE_UP_DELAY", "1")
    assert "MADE_UP_DELAY" in variables.find_foreign()["cleared"]
    for text in ENTRY.examples:
        stack = parse_stack(text)
        assert stack.name == text
        with serving_stack(stack, grace_s=0) as server:
            assert server.command == [
                *("python", "-m", "bench.cli.tests.made_up", "serve", "--interface", stack.lab.interface),
                *(["--threads", "3"] if stack.budget.threads else []),
                *("--listen", f"{HOST}:{server.port}", stack.lab.application),
            ]
            assert "MADE_UP_DELAY" not in set().union(*(each.environ() for each in server.family()))
            assert httpx.get(f"{server.url}/hello", trust_env=False).json() == {"message": "hello"}
    assert (parse_stack("sync_wsgi@made_up:3").request_slots, parse_stack("async_asgi@made_up").request_slots) == (
        3,
        None,
    )


def test_lab_serve_starts_a_server_again_when_a_file_changes(mark: str) -> None:
    before, port = WATCHED.stat(), free_port()

    def ended() -> int | None:
        """How many callers of this program's life were inside a view; None while nobody answers."""
        try:
            return int(httpx.get(f"http://{HOST}:{port}/whoami", trust_env=False).json()["inside_ended"])
        except httpx.TransportError:
            return None

    lab = (sys.executable, "-m", ENTRY.program, "lab")
    with running(*lab, "serve", "sync_wsgi@made_up:3", "--port", str(port), "--reload") as popen:
        assert popen.stdout
        assert "--again" in popen.stdout.readline()
        assert eventually(lambda: ended() == 0, within_s=30)
        assert httpx.get(f"http://{HOST}:{port}/wait?ms=0", trust_env=False).json() == {"waited_ms": 0}
        assert ended() == 1
        try:
            os.utime(WATCHED)
            assert eventually(lambda: ended() == 0, within_s=30)
        finally:
            os.utime(WATCHED, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert end(popen, signal.SIGINT)[0] == ExitCode.INTERRUPTED
    assert_nothing_is_left(mark, port)


@pytest.mark.usefixtures("made_up")
def test_a_server_that_cannot_reload_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVERS, ENTRY.name, replace(ENTRY, reload="It never does."))
    with pytest.raises(UsageError, match="It never does"):
        parse_stack("sync_wsgi@made_up:3").command(8000, reload=True)


@pytest.mark.live
@pytest.mark.usefixtures("made_up")
def test_a_run_keeps_the_versions_of_a_server_and_the_doctor_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = document_in(measured(tmp_path, "first_look", "--stack", "sync_wsgi@made_up:3", "--workload", "hello"))
    assert run["environment"]["packages"]["h11"] == metadata.version("h11")
    assert [(trial["stack"], trial["verdict"] in ("ok", "degraded")) for trial in run["trials"]] == [
        ("sync_wsgi@made_up:3", True)
    ]
    assert run["commands"]["sync_wsgi@made_up:3"][2] == ENTRY.program
    capsys.readouterr()
    found = machine.versions
    monkeypatch.setattr(machine, "versions", lambda: {**found(), "h11": None})
    assert main(["doctor", "--json"]) == ExitCode.NOT_RUN
    checks = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["h11"]["state"], checks["server made_up"]["seen"]) == ("missing", "without h11")


@pytest.mark.usefixtures("made_up")
def test_a_server_is_drawn_as_its_entry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {(look.colour, look.marker, str(look.line)) for look in (look_of(stack.name) for stack in STACKS)}
    for text in ENTRY.examples:
        look, lab = look_of(text), parse_stack(text).lab
        assert look.line == LINES["dotted"]
        assert look.marker in lab.markers
        assert rgb_to_hsv(to_rgb(look.colour))[0] == pytest.approx(rgb_to_hsv(to_rgb(lab.colour))[0], abs=0.02)
        assert (look.colour, look.marker, str(look.line)) not in known
        run = runs.sweep((text, "sync_wsgi@gthread:64"), claims=())
        assert look.colour in throughput_vs_users(run, "wait?ms=100").svg()
        with monkeypatch.context() as changed:
            changed.setitem(SERVERS, ENTRY.name, replace(ENTRY, shade=0.0))
            assert look_of(text) == replace(look, colour=look_of(text).colour) != look
            changed.setitem(SERVERS, ENTRY.name, replace(ENTRY, marker=0))
            assert look_of(text) == replace(look, marker=look_of(text).marker) != look


@pytest.mark.usefixtures("made_up")
def test_a_server_is_listed_in_readme_and_by_lab_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert "| `made_up:T` | WSGI, ASGI | a server of this test's own |" in readme.servers()
    assert listed("servers", capsys)["made_up:T"]["interface"] == "wsgi, asgi"


FORWARDER = """
import asyncio

async def copy(reader, writer):
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()

async def serve(reader, writer):
    behind = await asyncio.open_connection("$host", $behind)
    await asyncio.gather(copy(reader, behind[1]), copy(behind[0], writer))

async def main():
    server = await asyncio.start_server(serve, "$host", $port)
    await server.serve_forever()

asyncio.run(main())
"""
FRONT = Front(
    name="made_up_front",
    note="a front of this test's own",
    program=sys.executable,
    arguments=("-I", f"{{folder}}/{FILE}"),
    configuration=Template(FORWARDER),
    version="--version",
    accounts=(),
    variables=("MADE_UP_FRONT_",),
    shade=-0.2,
    line="dotted",
)


def test_a_front_stands_before_a_stack_is_listed_and_drawn_as_its_entry_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FRONTS, FRONT.name, FRONT)
    monkeypatch.setenv("MADE_UP_FRONT_DELAY", "1")
    assert "MADE_UP_FRONT_DELAY" in variables.find_foreign()["cleared"]
    stack = parse_stack(f"{FRONT.name}/sync_wsgi@gthread:2")
    with serving_stack(stack, grace_s=0) as server:
        assert server.front
        assert server.front.command[-1].endswith(FILE)
        assert "MADE_UP_FRONT_DELAY" not in set().union(*(each.environ() for each in server.front.family()))
        assert httpx.get(f"{server.url}/hello", trust_env=False).json() == {"message": "hello"}
    assert machine.front_versions([FRONT]) == {FRONT.name: platform.python_version()}
    assert f"| `{FRONT.name}/` | in front of either | a front of this test's own |" in readme.servers()
    assert listed("fronts", capsys)[f"{FRONT.name}/"]["note"] == FRONT.note
    look, plain = look_of(stack.name), look_of("sync_wsgi@gthread:2")
    assert (look.marker, look.line) == (plain.marker, LINES["dotted"])
    assert look.colour != plain.colour


def test_every_server_is_asked_by_the_contract_test() -> None:
    assert {stack.server.name for stack in STACKS} == set(SERVERS)
    assert [stack.name for stack in STACKS] == [text for server in SERVERS.values() for text in server.examples]
    assert all(stack.name in stack.server.examples for stack in STACKS)


SHOUT = Workload(
    "shout",
    "says a word n times",
    lambda parameters: b'{"said": "%s"}' % (b"ho" * parameters["n"]),
    lambda parameters, lab: 0.0,
    {"n": 3},
    quick={"n": 1},
    connection_loads=(Leaving,),
)
VIEW = """

{define} shout(request: HttpRequest) -> HttpResponse:
    return answer(said="ho" * number(request, "n", default=3))
"""
TWINS = {"sync_wsgi": "def", "async_asgi": "async def"}


@pytest.fixture
def shout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up workload: its entry, and its view in both twins of a copy of the labs, which are served."""
    copy = shutil.copytree(ROOT / "labs", tmp_path / "labs", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    for lab, define in TWINS.items():
        with (copy / lab / "views.py").open("a") as file:
            file.write(VIEW.format(define=define))
    (tmp_path / "bench").symlink_to(ROOT / "bench")
    defaults = processes.start.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "folder", tmp_path)
    monkeypatch.setitem(WORKLOADS, "shout", SHOUT)


@pytest.mark.usefixtures("shout")
def test_a_workload_is_served_asked_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stacks = ("sync_wsgi@gthread:2", "sync_asgi@uvicorn", "async_asgi@uvicorn")
    folder = measured(tmp_path, "first_look", "--stack", ",".join(stacks), "--workload", "shout?n=2")
    written = document_in(folder)["trials"]
    assert {(trial["workload"], trial["parameters"]["n"]) for trial in written} == {("shout", 2)}
    trials = run_store.load_run(folder).trials
    assert {trial.stack for trial in trials if trial.is_measured and trial.request == "shout?n=2"} == set(stacks)
    capsys.readouterr()
    with serving_stack(parse_stack("async_asgi@uvicorn"), grace_s=0) as server:
        assert ", /shout, /ready" in httpx.get(f"{server.url}/nothing", trust_env=False).json()["error"]


@pytest.mark.usefixtures("shout")
def test_a_workload_is_listed_and_makes_the_loads_that_its_entry_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert "| `/shout` | says a word n times | `n` 1 to 100 (3) |" in readme.workloads()
    assert listed("workloads", capsys)["shout"] == {"name": "shout", "parameters": {"n": 3}, "does": SHOUT.does}
    plans = trials_of(load_experiment("gone"), "quick", Overrides(requests=("shout",), connections=(5,)))
    assert {plan.request.name for plan in plans} == {"shout?n=3"}
    assert plans[0].request.quick.name == "shout?n=1"
    assert main(["run", "held", "--workload", "shout", "--connections", "5", "--profile", "quick"]) == ExitCode.USAGE
    refused = " ".join(capsys.readouterr().err.split())
    assert "Only feed can be held" in refused
    assert "checkout_across_hops and shout. Only hold can come in waves." in refused


@pytest.mark.parametrize("lab", TWINS)
def test_a_workload_is_an_entry_and_two_views(lab: str) -> None:
    views = ast.parse((ROOT / "labs" / lab / "views.py").read_text()).body
    names = [view.name for view in views if isinstance(view, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [name for name in names if name != "contact"] == list(WORKLOADS)


DRAFT = """
title = "A made-up experiment"
question = "Does a draft need a reference run?"
reference = false

[profiles.quick]
repeats = 1
warmup_s = 0.3
duration_s = 0.5

[[matrix]]
stacks = ["async_asgi@uvicorn"]
requests = ["hello"]
users = [2]
"""


@pytest.fixture
def draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up experiment: its file, beside all others."""
    folder = shutil.copytree(experiment.FOLDER, tmp_path / "experiments")
    (folder / "a_draft.toml").write_text(DRAFT)
    monkeypatch.setattr(experiment, "FOLDER", folder)
    checklist._experiments.cache_clear()


@pytest.mark.live
@pytest.mark.usefixtures("draft")
def test_a_draft_is_measured_and_listed_and_asked_for_no_reference_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert listed("experiments", capsys)["a_draft"]["title"] == "A made-up experiment (draft)"
        assert "| `a_draft` | Does a draft need a reference run? | draft |" in readme.experiments()
        assert "a_draft" not in readme.runs() + readme.findings()
        pages, written = dict.fromkeys(experiment_names(drafts=False), True), list[str]()
        monkeypatch.setattr(readme, "is_page_fresh", pages.pop)
        monkeypatch.setattr(readme, "write_page", written.append)
        monkeypatch.setattr(readme, "FILES", ())
        monkeypatch.setattr(readme, "write_hops", lambda: None)
        monkeypatch.setattr(readme, "CLAIM_PAGES", tmp_path / "claims")
        readme.render_all()
        assert (readme.stale(), pages, written) == ([], {}, experiment_names(drafts=False))
        assert checklist.restarts_enough()[0]
    finally:
        checklist._experiments.cache_clear()
    run = document_in(measured(tmp_path, "a_draft"))
    assert (run["title"], [trial["stack"] for trial in run["trials"]]) == (
        "A made-up experiment",
        ["async_asgi@uvicorn"],
    )


def test_whatever_is_no_draft_has_a_reference_run_and_no_draft_has_one() -> None:
    committed = sorted(path.parent.name for path in run_store.REFERENCE.glob("*/run.json"))
    assert experiment_names(drafts=False) == committed


def test_a_lesson_is_listed_and_the_plan_says_that_it_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = readme.lessons_not_planned()
    folder = shutil.copytree(build_notebooks.FOLDER, tmp_path / "notebooks", ignore=shutil.ignore_patterns("*.ipynb"))
    (folder / "99_made_up.py").write_text("# %% [markdown]\n# # Made up: what is one file?\n#\n# **Question.** This.\n")
    monkeypatch.setattr(build_notebooks, "FOLDER", folder)
    assert readme.lessons().endswith("\n- [99_made_up](99_made_up.ipynb): Made up: what is one file?")
    assert readme.lessons_not_planned() == f"{before.removesuffix('.')}, [99_made_up](99_made_up.ipynb)."
    for name in ("notebooks/README.md", "notebooks/TEACHING.md"):
        assert ROOT / name in readme.FILES
        assert "[99_made_up](99_made_up.ipynb)" in readme.rendered((ROOT / name).read_text())


def test_the_notation_of_a_request_is_read_back() -> None:
    for workload in WORKLOADS.values():
        request = parse_request(workload.name)
        assert parse_request(request.name) == request
        assert parse_request(request.quick.name) == request.quick
