"""Servers are ours, end with us, and are what the command says, whatever else the machine has to say."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psutil
import pytest

from bench.base.errors import MissingDependency, NotRun
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.measure import processes
from bench.measure.ports import free_port
from bench.measure.processes import Process, has_ended
from bench.measure.readiness import RunningServer, serving, serving_stack
from bench.measure.tests.processes import assert_nothing_is_left, at_rest, running
from bench.measure.variables import clean_environment
from bench.model.servers import HOST, SERVERS
from bench.model.stacks import parse_stack

SERVE_AND_TELL = """
import sys, time
from bench.measure.readiness import serving_stack
from bench.model.stacks import parse_stack
with serving_stack(parse_stack(sys.argv[1])) as server:
    print(server.port, *(process.pid for process in server.family()), flush=True)
    time.sleep(60)
"""


class Stranger(BaseHTTPRequestHandler):
    """Answers /ready with an instance that is not ours."""

    def do_GET(self) -> None:
        body = b'{"instance": "somebody else"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def answering_stranger() -> Iterator[int]:
    with HTTPServer((HOST, 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_stranger() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("stranger", [answering_stranger, silent_stranger])
@pytest.mark.parametrize("stack", ["async_asgi@uvicorn", "sync_wsgi@gthread:2"])
def test_a_port_that_is_taken_is_refused_with_the_pid_of_its_owner(stack: str, stranger: object, mark: str) -> None:
    assert callable(stranger)
    with stranger() as port:
        with pytest.raises(NotRun) as refusal, serving_stack(parse_stack(stack), port=port):
            pass
        assert str(refusal.value).startswith(f"Port {port} on {HOST} is taken by pid {os.getpid()} ")
        assert_nothing_is_left(mark)


def test_a_stranger_who_came_between_is_told_by_the_nonce(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.readiness.require_free", lambda port, host: None)
    for within_s in (0.5, 5.0):  # on a busy machine the stranger may be slow to answer
        monkeypatch.setattr("bench.measure.readiness.READY_WITHIN_S", within_s)
        with answering_stranger() as port:
            command = ["python", "-c", "import time; time.sleep(60)"]
            with pytest.raises(NotRun) as refusal, serving(command, port, environment={}):
                pass
        if "did not answer within" not in str(refusal.value):
            break
    assert f"Port {port} is taken by pid {os.getpid()}: what answers there is not ours." in str(refusal.value)
    assert_nothing_is_left(mark)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn_asgi", "granian", "hypercorn"])
def test_a_server_that_does_not_boot_is_told_with_the_end_of_its_log(server: str, mark: str) -> None:
    stack = parse_stack(f"async_asgi@{server}")
    port = free_port()
    command = [*stack.command(port)[:-1], "labs.no_such_lab.asgi:application"]
    with pytest.raises(NotRun) as refusal, serving(command, port, environment={}):
        pass
    assert "labs.no_such_lab" in str(refusal.value).partition("The end of its log:")[2]
    assert_nothing_is_left(mark, port)


def test_bad_settings_are_told_with_the_end_of_the_log(mark: str) -> None:
    with (
        pytest.raises(NotRun, match=r"(?s)did not boot: .*LAB_MIDDLEWARE does not know 'nonsense'"),
        serving_stack(parse_stack("async_asgi@uvicorn"), middleware=["nonsense"]),
    ):
        pass
    assert_nothing_is_left(mark)


@pytest.mark.parametrize(
    "stack", ["sync_wsgi@gthread:4x2", "async_asgi@uvicorn:x2", "async_asgi@hypercorn:x2", "sync_wsgi@uwsgi:2x2"]
)
def test_afterwards_no_process_and_no_socket_is_left(stack: str, mark: str) -> None:
    with serving_stack(parse_stack(stack)) as server:
        assert len(server.family()) >= 2
    assert_nothing_is_left(mark, server.port)


def test_after_an_interruption_no_process_and_no_socket_is_left(mark: str) -> None:
    with pytest.raises(KeyboardInterrupt), serving_stack(parse_stack("sync_wsgi@gthread:4")) as server:
        raise KeyboardInterrupt
    assert_nothing_is_left(mark, server.port)
    assert not server.log.parent.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_is_asked_by_its_signal_before_it_is_killed(how: signal.Signals, mark: str, tmp_path: Path) -> None:
    tidies_up = f"trap 'exit 7' {how.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    process = Process.start(["sh", "-c", tidies_up], log=tmp_path / "log", stop_by=how)
    try:
        assert eventually(process.log_tail, within_s=10)
    finally:
        process.stop(within_s=10)
    assert process.exit_status == 7
    assert_nothing_is_left(mark)


def test_a_server_that_ignores_sigterm_is_killed(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.processes.STOP_WITHIN_S", 0.3)
    with serving_stack(parse_stack("bare_wsgi@gthread:4")) as server:
        for process in server.family():
            process.suspend()
        server.stop(within_s=0.3)
    assert_nothing_is_left(mark, server.port)


def test_a_second_interruption_cuts_the_waiting_short_and_not_the_killing(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(within_s: float | None = None) -> int:
        monkeypatch.undo()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), serving_stack(parse_stack("bare_wsgi@gthread:4")) as server:
        monkeypatch.setattr(server.popen, "wait", interrupted)
    assert_nothing_is_left(mark, server.port, within_s=0.2)


def test_orphans_of_a_killed_server_are_ended_too(mark: str) -> None:
    with serving_stack(parse_stack("bare_asgi@uvicorn:x2")) as server:  # whose workers do not notice
        server.popen.kill()
        server.popen.wait()
    assert_nothing_is_left(mark, server.port)


@pytest.mark.parametrize(
    "stack", ["sync_wsgi@gthread:4", "async_asgi@uvicorn:x2", "sync_wsgi@granian:4", "sync_wsgi@uwsgi:4"]
)
def test_the_server_ends_by_itself_when_the_one_who_started_it_is_killed(
    stack: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # nobody is left to remove the log
    with running(sys.executable, "-c", SERVE_AND_TELL, stack) as parent:
        assert parent.stdout
        port, *pids = map(int, parent.stdout.readline().split())
        family = [psutil.Process(pid) for pid in pids]
        assert len(family) >= 2
        parent.send_signal(signal.SIGKILL)
        assert eventually(lambda: all(map(has_ended, family)), within_s=20)
    assert_nothing_is_left(mark, port)


@pytest.mark.parametrize(
    "stack", ["sync_wsgi@gthread:4", "bare_asgi@uvicorn", "bare_wsgi@granian:4", "bare_wsgi@uwsgi:4"]
)
def test_variables_of_the_shell_do_not_change_the_server(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_stack(parse_stack(stack)) as server:
        alone = at_rest(lambda: (len(server.family()), said_by(server)))
    for name, value in {
        "WEB_CONCURRENCY": "4",
        "UVICORN_WORKERS": "4",
        "UVICORN_LOG_LEVEL": "trace",
        "GUNICORN_CMD_ARGS": "--workers 3 --access-logfile -",
        "GRANIAN_FACTORY": "true",
        "UWSGI_INI": "/no/such/file",
        "LAB_INSTANCE": "not the nonce",
        "LAB_MIDDLEWARE": "nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    with serving_stack(parse_stack(stack)) as server:
        assert at_rest(lambda: (len(server.family()), said_by(server))) == alone


@pytest.fixture
def copied_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the labs, which is served: a file may change, and no other test sees it."""
    copy = shutil.copytree(ROOT / "labs", tmp_path / "labs", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    defaults = processes.start.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "folder", tmp_path)
    return copy


@pytest.mark.parametrize("stack", ["sync_wsgi@granian:2", "sync_wsgi@uwsgi:2"])
def test_a_server_of_an_extra_starts_again_when_a_view_changes(stack: str, copied_labs: Path) -> None:
    port = free_port()
    with serving(parse_stack(stack).command(port, reload=True), port, environment={}) as server:
        first = answering(server)
        assert first
        assert eventually(lambda: starts_again(server, first, copied_labs / "sync_wsgi" / "views.py"), within_s=20)


def starts_again(server: RunningServer, first: int, file: Path) -> bool:
    """Change the file and look: what had not seen it yet, on a busy machine, sees no change and needs another."""
    os.utime(file)
    return answering(server) not in (None, first)


def answering(server: RunningServer) -> int | None:
    """The process that answers; None while nobody does."""
    try:
        return int(httpx.get(f"{server.url}/whoami", trust_env=False).json()["pid"])
    except httpx.TransportError:
        return None


def said_by(server: RunningServer) -> str:
    """The end of what it printed, without the words that differ each time: numbers, addresses and times."""
    return re.sub(r"\S*\d\S*", "", server.log_tail())


def test_a_clean_environment_keeps_what_is_nobodys_business_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_USERS", "7")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "elsewhere.settings")
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    clean = clean_environment({"LAB_INSTANCE": "nonce"})
    assert not clean.keys() & {"LOCUST_USERS", "DJANGO_SETTINGS_MODULE", "PYTHONDEVMODE"}
    assert (clean["LAB_INSTANCE"], clean["PATH"]) == ("nonce", os.environ["PATH"])


class OneIsGone(UserDict[str, str]):
    """Names a variable that another thread has taken away by the time it is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter([*self.data, "PYTEST_CURRENT_TEST"])


def test_an_environment_may_change_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", OneIsGone(HOME="here"))
    assert clean_environment({"LAB_INSTANCE": "nonce"}) == {"HOME": "here", "LAB_INSTANCE": "nonce"}


@pytest.mark.parametrize(
    ("server", "command"),
    [("uvicorn", "pip install no-such-package"), ("granian", r"pip install -e '\.\[servers\]'")],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(server: str, command: str) -> None:
    stack = parse_stack(f"async_asgi@{server}")
    stack = replace(stack, server=replace(SERVERS[server], packages=(server, "no-such-package")))
    with pytest.raises(MissingDependency, match=f"no-such-package, .* run `python -m {command}`"), serving_stack(stack):
        pass
