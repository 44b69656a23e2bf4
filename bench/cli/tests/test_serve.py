"""`lab serve`: prints a command that can be copied, serves, reloads, and leaves nothing when it ends."""

import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import httpx
import psutil
import pytest

from bench.base import programs
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left, end, lab, running
from bench.model.servers import HOST

WATCHED = ROOT / "labs" / "common" / "gauge.py"


@contextmanager
def serving(stack: str, port: int, *options: str) -> Iterator[tuple[Popen[str], str]]:
    """`lab serve` that answers, and the first line it printed."""
    with running(sys.executable, "-m", "bench", "serve", stack, "--port", str(port), *options) as popen:
        assert popen.stdout
        first = popen.stdout.readline().strip()
        assert popen.stderr
        assert any("ready" in line for line in popen.stderr)  # before that `lab` still waits for its server
        assert asked(port, "/hello")
        yield popen, first


def asked(port: int, path: str) -> httpx.Response | None:
    """The answer; None while nobody answers."""
    try:
        return httpx.get(f"http://{HOST}:{port}{path}", trust_env=False, timeout=30)
    except httpx.TransportError:
        return None


def test_the_printed_command_can_be_copied_and_ctrl_c_leaves_nothing(mark: str) -> None:
    port, other = free_port(), free_port()
    with serving("async_asgi@uvicorn", port, "--middleware", "sync_only", "--cpus", "0") as (popen, command):
        words = shlex.split(command)
        assert "LAB_MIDDLEWARE=sync_only" in words
        assert words[-1] == "labs.async_asgi.asgi:application"
        with running("sh", "-c", command.replace(f"--port {port}", f"--port {other}")) as copied:
            assert eventually(lambda: asked(other, "/hello"), within_s=30)
            for path in ("/hello", "/fan_out?n=2&ms=10"):
                answers = [asked(where, path) for where in (port, other)]
                assert [answer.content for answer in answers if answer] == [answers[0].content] * 2  # type: ignore[union-attr]
                assert {answer.headers["x-lab-middleware"] for answer in answers if answer} == {"sync_only"}
            for process in psutil.Process(copied.pid).children(recursive=True):
                process.kill()
        status, _, err = end(popen, signal.SIGINT)
    assert status == 130
    assert err.endswith("lab: interrupted.\n")
    assert "Traceback" not in err
    assert_nothing_is_left(mark, port, other)


@pytest.mark.skipif(not programs.find_program("nginx"), reason="needs nginx: ./scripts/system-packages gets it")
def test_a_front_answers_on_the_port_and_is_gone_with_it(mark: str) -> None:
    port = free_port()
    with serving("nginx/async_asgi@uvicorn", port) as (popen, command):
        words = shlex.split(command)
        behind = int(words[words.index("--port") + 1])
        answers = [asked(where, "/hello") for where in (port, behind)]
        assert [answer.headers["server"].partition("/")[0] for answer in answers if answer] == ["nginx", "uvicorn"]
        assert end(popen, signal.SIGINT)[0] == 130
    assert_nothing_is_left(mark, port, behind)


def test_a_taken_port_is_one_sentence_with_its_owner_and_exit_code_3(mark: str) -> None:
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
        done = lab("serve", "async_asgi@uvicorn", "--port", str(port))
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"Port {port} on {HOST} is taken by pid {os.getpid()} " in done.stderr
    assert "--port" in done.stderr
    assert_nothing_is_left(mark)


def test_a_server_that_ends_by_itself_ends_lab_serve_too(mark: str) -> None:
    port = free_port()
    with serving("bare_asgi@uvicorn", port) as (popen, _):
        servers = [p for p in psutil.Process(popen.pid).children(recursive=True) if str(port) in p.cmdline()]
        for process in servers:
            process.kill()
        _, err = popen.communicate(timeout=30)
    assert popen.returncode == 1
    assert "lab: The server ended by itself with status -9" in err
    assert_nothing_is_left(mark, port)


@pytest.fixture
def touched() -> Iterator[Path]:
    """A file of the labs whose times are put back afterwards."""
    before = WATCHED.stat()
    yield WATCHED
    os.utime(WATCHED, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_reload_starts_again_when_a_file_changes(mark: str, touched: Path) -> None:
    ports = [free_port(), free_port()]
    uvicorn = serving("async_asgi@uvicorn", ports[0], "--reload")
    gunicorn = serving("sync_wsgi@gthread:2", ports[1], "--reload")
    with uvicorn as (with_uvicorn, command), gunicorn as (with_gunicorn, other_command):
        assert "--reload" in command
        assert "--reload" in other_command
        before = pids_that_stay(ports)
        for port, pid in zip(ports, before, strict=True):
            assert any(starts_again(port, pid, touched) for _ in range(3))
        assert [end(popen, signal.SIGINT)[0] for popen in (with_uvicorn, with_gunicorn)] == [130, 130]
    assert_nothing_is_left(mark, *ports, within_s=5)


def pids_that_stay(ports: Sequence[int]) -> list[int | None]:
    """The processes that answer, once they do so for a second: what watches files may look once in that time."""
    for _ in range(5):
        before = [pid_at(port) for port in ports]
        time.sleep(1.2)
        if None not in before and [pid_at(port) for port in ports] == before:
            return before
    pytest.fail("The servers start again and again, though no file changes.")


def starts_again(port: int, pid: int | None, touched: Path) -> bool:
    """Change the file and wait; what had not looked at it yet, on a busy machine, sees no change and needs another."""
    if pid_at(port) not in (None, pid):
        return True
    os.utime(touched)
    return eventually(lambda: pid_at(port) not in (None, pid), within_s=8)


def pid_at(port: int) -> int | None:
    """The process that answers; None while nobody does."""
    answer = asked(port, "/whoami")
    return answer.json()["pid"] if answer else None
