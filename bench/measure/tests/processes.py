"""Helpers for tests with real processes: bursts of requests, `lab` as a subprocess, proof that nothing is left."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from bench.base.files import ROOT
from bench.base.markers import hold_marker
from bench.base.polling import eventually
from bench.measure.ports import owner_of
from bench.measure.processes import has_ended
from bench.measure.readiness import RunningServer
from bench.model.servers import HOST

MARK = "TEST_MARK_OF_BENCH"  # an environment variable that every process of one test inherits
TIME_LIMIT_S = 60
AGREE_AFTER_S = 0.15
INSIDE_WITHIN_S = 10.0
Seen = TypeVar("Seen")
FEW_FILES = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
"""In front of a command: no trial with more users than that can begin, so that a run takes no time."""


@dataclass(frozen=True)
class Burst:
    """Answers to requests that were sent at once, in the order sent, and how long all of them took."""

    answers: list[httpx.Response]
    took_s: float


def burst(url: str, paths: Sequence[str]) -> Burst:
    """Ask all paths at once, each on a connection of its own."""
    return asyncio.run(_burst(url, paths))


async def _burst(url: str, paths: Sequence[str]) -> Burst:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30, trust_env=False) as client:
        began_s = time.monotonic()
        answers = await asyncio.gather(*(client.get(path) for path in paths))
        return Burst(list(answers), time.monotonic() - began_s)


def lab(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`lab ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A Python or shell command in the background with its output in pipes, killed on the way out."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def end(popen: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str, str]:
    """Send the signal and wait: exit status, the rest of stdout, stderr."""
    popen.send_signal(how)
    out, err = popen.communicate(timeout=TIME_LIMIT_S)
    return popen.returncode, out, err


def at_rest(look: Callable[[], Seen], within_s: float = 20.0) -> Seen:
    """What is seen once two looks in a row, a moment apart, agree: a server that is ready may still be starting."""
    seen = [look()]

    def agree() -> bool:
        time.sleep(AGREE_AFTER_S)
        seen.append(look())
        return seen[-1] == seen[-2]

    assert eventually(agree, within_s), seen
    return seen[-1]


def abandon(folder: Path, name: str) -> None:
    """Leave a marker of ours in the folder as a process does that is killed."""
    with hold_marker(folder, name):
        text = (folder / name).read_bytes()
    (folder / name).write_bytes(text)


def left_of(mark: str) -> list[psutil.Process]:
    """Processes that are alive and inherited the mark, whoever is their parent by now."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if not has_ended(process) and process.environ().get(MARK) == mark:
                left.append(process)
    return left


def assert_nothing_is_left(mark: str, *ports: int, within_s: float = 20.0) -> None:
    """No process with the mark, and nobody who listens on the ports."""
    eventually(lambda: not left_of(mark), within_s)
    assert left_of(mark) == []
    # Only who listens: a connection that somebody else opens may come from any port that is free again.
    assert [owner for port in ports if (owner := owner_of(port))] == []


def inside(server: RunningServer) -> int:
    """Callers that are in the work of a view now."""
    return int(httpx.get(f"{server.url}/whoami", trust_env=False, timeout=30).json()["inside_now"])


def all_inside(server: RunningServer, asked: Sequence["asyncio.Task[Any]"]) -> bool:
    """Whether those asked come to be inside at once, before one of them is answered."""

    def is_one_answered() -> bool:
        return any(task.done() for task in asked)

    met = eventually(lambda: inside(server) == len(asked) or is_one_answered(), INSIDE_WITHIN_S)
    return met and not is_one_answered()


def outcomes_of_sigterm(server: RunningServer, clients: int, *waits_ms: int) -> Counter[str]:
    """So many requests, SIGTERM while they are inside, and what each of them got.

    They are asked again with the next wait where a busy machine did not let all in before one was answered.
    """

    async def one(client: httpx.AsyncClient, ms: int) -> str:
        try:
            return str((await client.get(f"/wait?ms={ms}")).status_code)
        except httpx.HTTPError:
            return "lost"

    async def ask() -> Counter[str]:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            for ms in waits_ms:
                asked = [asyncio.create_task(one(client, ms)) for _ in range(clients)]
                if await asyncio.to_thread(all_inside, server, asked):
                    server.popen.send_signal(signal.SIGTERM)
                    return Counter(await asyncio.gather(*asked))
                await asyncio.gather(*asked)
        raise AssertionError("they were not inside at once")

    return asyncio.run(ask())


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a socket whose connections are given to `serve`, each in a thread."""

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server((HOST, 0), backlog=128) as listener:
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(5)
