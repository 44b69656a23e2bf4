"""Variables of the user's shell: cleared for what is measured, or kept and named; a user's own application has them."""

import json
import os
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import django
import pytest

from bench.cli.main import main
from bench.measure import machine, variables
from bench.measure.load.launcher import running_load
from bench.measure.processes import Process, start
from bench.measure.readiness import serving_stack
from bench.measure.services import serving_upstream
from bench.measure.tests.windows import OPEN, planned
from bench.measure.variables import clean_environment
from bench.measure.window_trial import WindowTrial
from bench.model.trial_plan import Engine

CHANGING = {
    "an interpreter": (
        "PYTHONTRACEMALLOC",
        "PYTHONASYNCIODEBUG",
        "PYTHONMALLOC",
        "PYTHON_GIL",
        "COVERAGE_PROCESS_START",
    ),
    "an allocator": ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD", "MIMALLOC_VERBOSE"),
    "an event loop": ("UV_THREADPOOL_SIZE", "GEVENT_LOOP", "ASGI_THREADS", "GEVENT_RESOLVER"),
    "a server": (
        "GRANIAN_WORKERS",
        "HYPERCORN_CONFIG",
        "SENDFILE",
        "LISTEN_FDS",
        "WEB_CONCURRENCY",
        "AUTOBAHN_USE_NVX",
        "RUST_BACKTRACE",
    ),
    "a driver": ("AIOHTTP_NO_EXTENSIONS", "PROPCACHE_NO_EXTENSIONS", "PSYCOPG_IMPL", "PGOPTIONS", "LOCUST_RUN_TIME"),
    "an application": ("OTEL_TRACES_EXPORTER", "DD_TRACE_ENABLED", "DJANGO_SETTINGS_MODULE"),
}
HARMLESS = {"PYTHONTRACEMALLOC": "25", "MALLOC_PERTURB_": "165", "UV_THREADPOOL_SIZE": "1", "OMP_NUM_THREADS": "1"}
LOADED = "import os, pathlib; pathlib.Path(os.environ['WHERE_IT_WAS_LOADED'], str(os.getpid())).touch()"


@pytest.fixture(autouse=True)
def _none_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests set what they ask about."""
    for name in variables.find_foreign()["cleared"] + variables.find_foreign()["kept"] + ["LAB_DATABASE_URL"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("what", CHANGING)
def test_what_changes_a_measured_process_is_cleared_and_named(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHANGING[what]:
        monkeypatch.setenv(name, "1")
    assert not clean_environment({}).keys() & set(CHANGING[what])
    assert machine.describe_machine()["variables"] == {"cleared": sorted(CHANGING[what]), "kept": []}


def test_server_load_and_upstream_do_not_see_what_would_slow_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "loaded").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LOADED)
    for name, value in {**HARMLESS, "PYTHONPATH": str(tmp_path / "site")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WHERE_IT_WAS_LOADED", str(tmp_path / "loaded"))
    with ExitStack() as running:
        server = running.enter_context(serving_stack(planned("sync_wsgi@gthread:2").stack, grace_s=0))
        upstream = running.enter_context(serving_upstream())
        loads = [
            running.enter_context(
                running_load(WindowTrial(planned(**load)).spec(server.url), tmp_path, engine=Engine(), cpus=())
            )
            for load in ({}, OPEN)
        ]
        started: list[Process] = [server, upstream, *(process for load in loads for process in load.processes)]
        seen = [member.environ().keys() for process in started for member in process.family()]
    assert len(seen) >= 5
    assert not set().union(*seen) & {*HARMLESS, "PYTHONPATH"}
    assert list((tmp_path / "loaded").iterdir()) == []


@pytest.mark.live
def test_what_an_interpreter_may_need_is_kept_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = str(Path(django.__file__).parents[1])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")
    monkeypatch.setenv("PYTHONPATH", packages)
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    assert clean_environment({})["LD_LIBRARY_PATH"] == "/opt/python/lib"
    assert clean_environment({})["PYTHONPATH"] == packages
    assert machine.describe_machine()["variables"] == {
        "cleared": ["PYTHONDEVMODE"],
        "kept": ["LD_LIBRARY_PATH", "PYTHONPATH"],
    }
    assert variables.find_warnings()[0].startswith("LD_LIBRARY_PATH, PYTHONPATH may change what is measured")
    main(["doctor", "--json"])
    line = next(row for row in json.loads(capsys.readouterr().out)["checks"] if row["name"] == "variables")
    assert line["seen"] == "cleared for what is measured: PYTHONDEVMODE; kept: LD_LIBRARY_PATH, PYTHONPATH"


def test_variables_of_libpq_lead_to_a_database_of_the_users_and_not_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "PGSSLMODE" not in clean_environment({})
    monkeypatch.setenv("LAB_DATABASE_URL", "postgresql://me@there/shop")
    assert clean_environment({})["PGSSLMODE"] == "require"
    assert "LAB_DATABASE_URL" not in clean_environment({})


def test_values_are_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_API_KEY", "a secret")
    assert "a secret" not in json.dumps(machine.describe_machine())


@pytest.mark.live
def test_an_application_of_the_users_has_the_environment_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONTRACEMALLOC", "2")
    log = tmp_path / "log"
    asked = ["python", "-c", "import tracemalloc; print(tracemalloc.get_traceback_limit())"]
    start(asked, environment=os.environ, cpus=(), log=log).wait(20)
    start(asked, environment={}, cpus=(), log=log).wait(20)
    assert log.read_text().split() == ["2", "1"]


def test_a_lab_that_is_slowed_itself_says_so() -> None:
    assert variables.find_warnings() == []
    tracemalloc.start()
    try:
        assert variables.find_warnings() == [
            "This `lab` runs with tracemalloc, which slows its readings; servers and load run without."
        ]
    finally:
        tracemalloc.stop()
