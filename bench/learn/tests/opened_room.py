"""A room that is open, for tests: its frames, its controls, its process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from bench.base.files import ROOT
from bench.measure.ports import free_port
from bench.measure.tests.processes import TIME_LIMIT_S

WITHIN_S = 30.0
Frame = dict[str, Any]


@dataclass(frozen=True)
class OpenedRoom:
    """`lab room` in a process of its own."""

    popen: subprocess.Popen[str]
    url: str
    port: int

    def frames(self) -> Iterator[Frame]:
        """Frame after frame, from now on."""
        with httpx.stream("GET", f"{self.url}frames", timeout=WITHIN_S, trust_env=False) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    def until(self, holds: Callable[[Frame], object], within_s: float = WITHIN_S) -> Frame:
        """The first frame of which that holds. All others before it are looked at as well."""
        deadline_s, last = time.monotonic() + within_s, {}
        for last in self.frames():
            if holds(last):
                return last
            if time.monotonic() > deadline_s:
                break
        raise AssertionError(last)

    def during(self, for_s: float) -> list[Frame]:
        """All frames of so many seconds."""
        frames = self.frames()
        first = next(frames)
        seen = [first]
        while seen[-1]["at_s"] - first["at_s"] < for_s:
            seen.append(next(frames))
        return seen

    def post(self, what: str, data: object) -> httpx.Response:
        return httpx.post(f"{self.url}{what}", json=data, timeout=WITHIN_S, trust_env=False)

    def change(self, **settings: object) -> None:
        answer = self.post("change", settings)
        assert answer.status_code == 200, answer.text

    @property
    def process(self) -> psutil.Process:
        """The room's own process, under `lab room`."""
        (process,) = psutil.Process(self.popen.pid).children()
        return process


@contextmanager
def open_room(*arguments: str) -> Iterator[OpenedRoom]:
    """`lab room` on a free port until the end of the block, ended by Ctrl-C."""
    port = free_port()
    command = [sys.executable, "-m", "bench", "room", "--no-browser", "--port", str(port), *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stdout
            address = popen.stdout.readline().strip()
            assert address, popen.communicate()[1]
            yield OpenedRoom(popen, address, port)
            popen.send_signal(signal.SIGINT)
            popen.wait(TIME_LIMIT_S)
        finally:
            popen.kill()


def all_serve(frame: Frame) -> bool:
    """Whether every lane has a server that is ready."""
    return bool(frame["lanes"]) and all(lane["state"] == "serving" for lane in frame["lanes"])
