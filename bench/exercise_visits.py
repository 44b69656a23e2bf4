"""What the checks of exercises share: the file that is checked, a visitor of its server, crowds, a slow service."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx

from bench.servers import Process, Server, serving_stack, start, work_folder
from bench.stacks import HOST, SERVERS, Budget, Interface, Lab, Stack
from bench.trap_ways import ERROR, Visitor
from labs.common.gauge import Gauge

EXERCISE_VARIABLE = "LAB_EXERCISE"
ANSWER_WITHIN_S = 5.0
IMPORT_WITHIN_S = 10.0
CALLERS = 5

State = Literal["pass", "not yet", "skipped"]
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """The file that is checked, a learner's or a solution, and the module that it is."""

    name: str
    module: str
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the project around it is told."""
        return {EXERCISE_VARIABLE: self.module}


@dataclass(frozen=True)
class Seen:
    """What a check saw: a sentence, the numbers in it, and where to look next unless it is a pass."""

    state: State
    seen: str
    look_at: str = ""
    numbers: Numbers = field(default_factory=dict)


class NotYet(Exception):
    """A check that can go no further; its reason is a Seen."""

    def __init__(self, seen: str, look_at: str, /, **numbers: float) -> None:
        super().__init__(seen)
        self.reason = Seen("not yet", seen, look_at, numbers)


def _stack(interface: Interface, server: str, threads: int | None) -> Stack:
    lab = Lab("exercise", "exercises.project", "async", interface, "one exercise", has_workloads=False)
    return Stack(lab, SERVERS[server], Budget(threads, 1))


ASGI, WSGI = _stack("asgi", "uvicorn", None), _stack("wsgi", "gthread", 8)


@contextmanager
def visiting(subject: Subject, stack: Stack = ASGI, /, **services: str) -> Iterator[Visitor]:
    """A visitor of a fresh server; killed afterwards, since one that hangs does not end when asked. Raises NotYet."""
    environment = {**subject.environment, **services}
    with serving_stack(stack, services=environment, grace_s=0) as server:
        visitor = Visitor(server)
        visitor.client.timeout = httpx.Timeout(ANSWER_WITHIN_S)
        with visitor.client, _failures_told(server, subject):
            yield visitor


@contextmanager
def _failures_told(server: Server, subject: Subject) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise NotYet(
            f"{_asked(error.request)} had no answer within {ANSWER_WITHIN_S:g} s.",
            "Look for a wait or a loop that nothing ends, and for what holds the thread that all need.",
        ) from None
    except httpx.HTTPStatusError as error:
        raised = error_logged(server.log.read_text(errors="replace"), subject.file)
        because = f" because of {raised}" if raised and error.response.status_code == 500 else ""
        raise NotYet(
            f"{_asked(error.request)} answers {error.response.status_code}{because}.",
            _cause_to_look_at(because),
        ) from None
    except httpx.TransportError as error:
        raise NotYet(
            f"The server broke off ({type(error).__name__}) while it was asked.",
            "Look for what could end or crash its process.",
        ) from None


def _cause_to_look_at(because: str) -> str:
    if not because:
        return "Look at `urlpatterns`: the URLs are to stay."
    return "Look at that line." if " in line " in because else "Look at what here could lead to it."


def _asked(request: httpx.Request) -> str:
    return request.url.raw_path.decode()


def error_logged(log: str, file: Path) -> str:
    """The last error in a server's log with the line of the file that led there; empty where there is none."""
    errors = ERROR.findall(log)
    lines = re.findall(rf'File "[^"]*/{re.escape(file.name)}", line (\d+)', log)
    where = f" in line {lines[-1]}" if lines else ""
    return f"`{errors[-1]}`{where}" if errors else ""


def ms_since(began_s: float) -> int:
    return int((time.monotonic() - began_s) * 1000)


@dataclass(frozen=True)
class Crowd:
    """How many of CALLERS at once were inside together at most, and the milliseconds until all had an answer."""

    wait_ms: int
    most: int
    took_ms: int

    @property
    def stood_in_line(self) -> bool:
        """Not all were inside together; or they were, but waited one after the other, which takes the sum of waits."""
        return self.most < CALLERS or self.took_ms >= CALLERS * self.wait_ms

    @property
    def numbers(self) -> Numbers:
        return {"inside_most": self.most, "crowd_ms": self.took_ms}


def crowd(visitor: Visitor, path: str, wait_ms: int) -> Crowd:
    """CALLERS who ask at once; each of them has to wait `wait_ms`."""
    visitor.census()
    with ThreadPoolExecutor(CALLERS) as pool:
        began_s = time.monotonic()
        list(pool.map(visitor.took_ms, [path] * CALLERS))
        took_ms = ms_since(began_s)
    return Crowd(wait_ms, int(visitor.census()["inside_most"]), took_ms)


def require_importable(subject: Subject) -> None:
    """NotYet where a server with this file would not come up."""
    called(subject, None, [])


def called(subject: Subject, function: str | None, calls: Sequence[dict[str, Any]]) -> list[Any]:
    """What its function gives for each call, asked in a process of its own. Raises NotYet."""
    with work_folder("exercise") as work:
        question, answer, log = (work / name for name in ("question.json", "answer.json", "log"))
        asked = {"module": subject.module, "file": str(subject.file), "function": function, "calls": list(calls)}
        question.write_text(json.dumps(asked))
        command = ["python", "-m", "bench.exercise_child", str(question), str(answer)]
        popen = start(command, environment=subject.environment, cpus=(), log=log)
        process = Process(command, popen, log, [])
        try:
            popen.wait(IMPORT_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise NotYet(
                f"{subject.file.name} was still busy after {IMPORT_WITHIN_S:g} s, before anybody had asked it anything."
                if function is None
                else f"`{function}` of {subject.file.name} was still busy after {IMPORT_WITHIN_S:g} s.",
                "Look for a loop or a wait that nothing ends.",
            ) from None
        finally:
            process.stop(within_s=0)
        return _answers(answer, subject, process)


def _answers(answer: Path, subject: Subject, process: Process) -> list[Any]:
    if not answer.exists():
        raise NotYet(
            f"{subject.file.name} ended its process with status {process.exit_status}.",
            "Look for what in it could do that, such as `exit`.",
        )
    found = json.loads(answer.read_text())
    if "error" in found:
        raise NotYet(
            f"{subject.file.name} cannot be used, {found['error']}.",
            f"Mend that first; `git diff labs/exercises/{subject.file.name}` shows what has changed.",
        )
    return list(found["answers"])


class SlowService(ThreadingHTTPServer):
    """Answers `/wait?ms=` as labs/upstream does, and counts who is with it. `url` is where."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__((HOST, 0), _SlowAnswer)
        self.gauge = Gauge()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"


class _SlowAnswer(BaseHTTPRequestHandler):
    server: SlowService

    def do_GET(self) -> None:
        ms = int(parse_qs(urlsplit(self.path).query)["ms"][0])
        with self.server.gauge.inside():
            time.sleep(ms / 1000)
        body = json.dumps({"waited_ms": ms}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""


@contextmanager
def slow_service() -> Iterator[SlowService]:
    with SlowService() as service:
        thread = Thread(target=service.serve_forever, args=[0.01])
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
