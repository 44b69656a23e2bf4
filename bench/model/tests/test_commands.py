"""The commands of a run: what chance chose has a name in its place, and each command is kept once."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bench.base.errors import DamagedRun
from bench.measure.load.launcher import LoadSpec, commands
from bench.measure.services import upstream_command
from bench.model import run_json, run_record, run_store
from bench.model.commands import Commands, normalise, share
from bench.model.load import Closed, Open, WindowLoad
from bench.model.run_record import Run
from bench.model.servers import SERVERS
from bench.model.stacks import parse_stack
from bench.model.tests import runs
from bench.model.trial_plan import Engine

STACKS = ("sync_wsgi@gthread:8", "async_asgi@uvicorn")
LOADS: dict[str, WindowLoad] = {"closed": Closed(5), "open": Open(9.0)}


def of_trial(stack: str, port: int, load: str = "closed", folder: str = "/tmp/lab-1", processes: int = 1) -> Commands:
    """What a trial runs whose server got this port, its upstream the next one."""
    asked = LoadSpec(
        f"http://127.0.0.1:{port}", "/wait?ms=100", b'{"waited_ms": 100}', LOADS[load], warmup_s=1, duration_s=2
    )
    return {
        "server": parse_stack(stack).command(port),
        "load": commands(asked, Path(folder), Engine(processes))[0],
        "upstream": upstream_command(port + 1),
    }


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("server", SERVERS)
def test_two_trials_of_a_stack_have_the_same_commands(server: str, load: str) -> None:
    lab = "sync_wsgi" if "wsgi" in SERVERS[server].interfaces else "async_asgi"
    stack = f"{lab}@{server}{':8' if SERVERS[server].takes_threads else ''}"
    first = normalise(of_trial(stack, 43210, load, "/tmp/lab-1"), "/tmp/lab-1")
    assert first == normalise(of_trial(stack, 51234, load, "/tmp/lab-2"), "/tmp/lab-2")
    text = " ".join(word for words in first.values() for word in words)
    assert (text.count("PORT"), text.count("FOLDER")) == (3, 1)
    assert not [number for number in ("43210", "43211", "/tmp") if number in text]


def test_two_trials_with_load_processes_have_the_same_commands() -> None:
    first, second = (normalise(of_trial(STACKS[0], 43210, processes=2)) for _ in range(2))
    assert first == second
    assert "MASTER_PORT" in first["load"]


def test_a_number_that_only_looks_like_the_port_stays() -> None:
    load = ["python", "--url", "http://127.0.0.1:40000", "--path", "/feed?ms=40000", "--connections", "40000"]
    found = normalise({"server": ["serve", "--port", "40000", "--most", "140000"], "load": load})
    assert found["server"] == ["serve", "--port", "PORT", "--most", "140000"]
    assert found["load"] == ["python", "--url", "http://127.0.0.1:PORT", *load[3:]]


def test_the_server_s_port_is_not_taken_from_the_address_of_the_upstream() -> None:
    load = ["python", "--upstream", "http://127.0.0.1:40000", "--url", "http://127.0.0.1:50000"]
    words = {"server": ["serve", "--port", "50000"], "load": load, "upstream": ["serve", "--port", "40000"]}
    found = normalise(words)
    assert found["server"] == found["upstream"] == ["serve", "--port", "PORT"]
    assert found["load"][2::2] == ["http://127.0.0.1:PORT"] * 2


def test_behind_a_front_the_load_and_the_server_have_ports_of_their_own() -> None:
    load = ["python", "--url", "http://127.0.0.1:40000"]
    found = normalise({"server": ["serve", "--port", "50000"], "load": load}, behind=50000)
    assert found["server"] == ["serve", "--port", "PORT"]
    assert found["load"] == ["python", "--url", "http://127.0.0.1:FRONT_PORT"]


def test_the_address_of_a_server_that_was_there_before_stays() -> None:
    load = of_trial(STACKS[0], 8000)["load"]
    assert normalise({"load": load}) == {"load": load}


def test_a_trial_without_commands_has_none() -> None:
    assert normalise({}) == {}
    assert share([("a@b", {})]) == ({}, [{}])


def test_commands_of_one_name_that_differ_are_all_kept() -> None:
    trials: list[tuple[str, Commands]] = [
        ("load 2", {"server": ["c"], "load": ["a"]}),
        ("x@y", {"server": ["a"], "load": ["b"]}),
        ("x@y", {"server": ["b"], "load": ["a"]}),
        ("x@y", {"server": ["a"], "load": ["c"]}),
    ]
    shared, names = share(trials)
    assert [{part: shared[name] for part, name in its.items()} for its in names] == [its for _, its in trials]
    assert sorted(shared) == ["load", "load 2", "load 3", "load 4", "x@y", "x@y 2"]
    assert [its["server"] for its in names] == ["load 2", "x@y", "x@y 2", "x@y"]


def sweep() -> Run:
    """Of two stacks, one trial with nothing started."""
    run = runs.sweep(STACKS, users=(10, 50))
    return replace(run, trials=[*run.trials, runs.trial_of(STACKS[0], repeat=9, commands={})])


def test_run_json_has_each_command_once_and_every_trial_finds_its_own(tmp_path: Path) -> None:
    path = run_store.save_run(sweep(), tmp_path)
    data = json.loads(path.read_bytes())
    assert data["commands"].keys() == {*STACKS, "load"}
    assert path.read_bytes().count(b'"--headless"') == 1
    assert not [trial for trial in data["trials"] if "commands" in trial]
    assert data["trials"][-1]["command_names"] == {}
    assert [trial.commands for trial in run_store.load_run(tmp_path).trials] == [
        trial.commands for trial in sweep().trials
    ]


def in_schema_2(run: Run) -> bytes:
    """As the lab wrote it then: with its commands in each trial, and the digest last."""
    blank = msgspec.json.encode(replace(run, schema=2, sha256=""))
    return blank.replace(b'"sha256":""', b'"sha256":"%s"' % run_json.digest_of(blank).encode())


def of_schema_2() -> Run:
    """Each trial with a port of its own."""
    trials = [
        replace(trial, commands=of_trial(trial.stack, 40000 + 10 * place)) for place, trial in enumerate(sweep().trials)
    ]
    return replace(sweep(), schema=2, trials=trials)


def test_a_run_of_schema_2_is_read_and_differs_in_its_commands_alone(tmp_path: Path) -> None:
    old = of_schema_2()
    (tmp_path / "run.json").write_bytes(in_schema_2(old))
    run = run_store.load_run(tmp_path)
    assert run == run_json.from_schema_2(replace(old, sha256=run.sha256))
    assert run.schema == run_record.SCHEMA
    assert replace(run, schema=2, sha256="", trials=old.trials) == old
    for was, trial in zip(old.trials, run.trials, strict=True):
        assert replace(trial, commands=was.commands) == was
        assert trial.commands == normalise(was.commands)


def test_a_run_of_schema_2_stays_the_same_once_it_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(in_schema_2(of_schema_2()))
    before = run_store.load_run(tmp_path)
    data = json.loads(run_store.save_run(before, tmp_path).read_bytes())
    assert (data["schema"], data["commands"].keys()) == (run_record.SCHEMA, {*STACKS, "load", "upstream"})
    again = run_store.load_run(tmp_path)
    assert again.sha256 != before.sha256
    assert replace(again, sha256=before.sha256) == before


def test_a_field_that_an_older_run_does_not_have_is_not_added(tmp_path: Path) -> None:
    content = in_schema_2(of_schema_2()).replace(b'"overlaps":false,', b"")
    digest = b'"sha256":"%s"' % run_json.digest_of(content).encode()
    (tmp_path / "run.json").write_bytes(content[: content.rindex(b'"sha256"')] + digest + b"}")
    data = json.loads(run_store.save_run(run_store.load_run(tmp_path), tmp_path).read_bytes())
    assert not [trial for trial in data["trials"] if "overlaps" in trial]
    assert run_json.to_json(run_store.load_run(tmp_path)) == (tmp_path / "run.json").read_bytes()


def test_a_run_of_schema_2_that_was_edited_is_refused() -> None:
    content = in_schema_2(of_schema_2())
    with pytest.raises(DamagedRun, match="was changed after it was written"):
        run_json.from_json(content.replace(b"--headless", b"--headed"), "run.json")


@pytest.mark.parametrize("name", sorted(path.parent.name for path in run_store.REFERENCE.glob("*/run.json")))
def test_a_committed_run_has_one_command_for_each_stack(name: str) -> None:
    data = json.loads((run_store.REFERENCE / name / "run.json").read_bytes())
    assert data["schema"] == run_record.SCHEMA
    assert {trial["stack"]: trial["command_names"]["server"] for trial in data["trials"]} == {
        stack: stack for stack in data["plan"]["stacks"]
    }
    loads = [words for name, words in data["commands"].items() if name.startswith("load")]
    assert len(set(map(tuple, loads))) == len(loads)
