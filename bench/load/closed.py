"""The closed loop, a Locust file: N users, each asks, waits for the answer and asks again.

Run by `trial.py` as a subprocess and never imported by it, because importing Locust patches the process:

    python -m locust -f bench/load/closed.py --headless --host URL --users N --spawn-rate N \
        --lab-path /wait?ms=100 --lab-warmup 1 --lab-duration 3 --lab-folder FOLDER

Every answer that completes inside the window is recorded in microseconds, whenever it was asked for; ramp-up and
warm-up are not. Files in FOLDER: `go` (made by the caller: the server is ready), `window.json` (start and end in
monotonic seconds, written when all users are there), one `recording-PID.json` per process that runs users.
"""

import gc
import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.runners import MasterRunner, WorkerRunner

from bench.record import encode_histogram, new_histogram

NS_PER_S = 1_000_000_000
TIMEOUT_S = 60.0
GO_POLL_S = 0.005


class Recorder:
    """What one process saw between `start_ns` and `end_ns`."""

    def __init__(self, start_ns: int, end_ns: int, body: bytes | None) -> None:
        self.start_ns, self.middle_ns, self.end_ns = start_ns, (start_ns + end_ns) // 2, end_ns
        self.body = body
        self.histogram = new_histogram()
        self.completed_halves = [0, 0]
        self.errors: Counter[str] = Counter()
        self.issued = self.carried_in = 0
        self.late_sent_ns: list[int] = []

    def issue(self, sent_ns: int) -> None:
        """A request is about to leave."""
        self.issued += self.start_ns <= sent_ns < self.end_ns

    def answer(self, sent_ns: int, latency_ms: float, response: Any, exception: BaseException | None) -> None:
        """A request has ended. Latencies are of right answers only; the others are counted by class."""
        now_ns = time.monotonic_ns()
        if now_ns < self.start_ns:
            return
        if now_ns >= self.end_ns:
            if sent_ns < self.end_ns:
                self.late_sent_ns.append(sent_ns)
            return
        self.carried_in += sent_ns < self.start_ns
        error = error_class(response, exception, self.body)
        if error:
            self.errors[error] += 1
        else:
            self.completed_halves[now_ns >= self.middle_ns] += 1
            self.histogram.record_value(max(1, round(latency_ms * 1000)))

    def recording(self, open_sent_ns: list[int]) -> dict[str, Any]:
        """All of it as JSON data. What was still open at the end is kept with the age of the oldest."""
        in_flight = [sent_ns for sent_ns in self.late_sent_ns + open_sent_ns if sent_ns < self.end_ns]
        return {
            "start_s": self.start_ns / NS_PER_S,
            "end_s": self.end_ns / NS_PER_S,
            "carried_in": self.carried_in + sum(sent_ns < self.start_ns for sent_ns in in_flight),
            "issued": self.issued,
            "completed_halves": self.completed_halves,
            "errors": dict(self.errors),
            "in_flight": len(in_flight),
            "in_flight_oldest_us": (self.end_ns - min(in_flight, default=self.end_ns)) // 1000,
            "histogram": encode_histogram(self.histogram),
        }


def error_class(response: Any, exception: BaseException | None, body: bytes | None) -> str | None:
    """The class under which a failed answer is counted, such as `status 503` or `wrong body`; None where right."""
    status = getattr(response, "status_code", 0)
    if status and status != 200:
        return f"status {status}"
    if exception is not None:
        return type(exception).__name__
    return "wrong body" if body is not None and response.content != body else None


class Closed(FastHttpUser):
    """One user with a connection of its own and no think time."""

    network_timeout = connection_timeout = TIMEOUT_S
    max_retries = 0  # a retry would hide a closed connection
    sent_ns = 0

    def context(self) -> dict[str, Any]:
        return {"sent_ns": self.sent_ns}

    @task
    def ask(self) -> None:
        self.sent_ns = time.monotonic_ns()
        if load.recorder:
            load.recorder.issue(self.sent_ns)
        self.client.get(load.path, name="request", allow_redirects=False)
        self.sent_ns = 0

    def on_start(self) -> None:
        load.users.append(self)
        gevent.sleep(random.uniform(0, load.options.lab_spread))


class Load:
    """The state of this load process: when all users are there, measure one window, write it down, leave."""

    path: str
    recorder: Recorder | None = None

    def __init__(self) -> None:
        self.users: list[Closed] = []
        self.waiting_for = 0

    def set_up(self, environment: Any, **_: Any) -> None:
        """Wire this process as the only one, the master, or a worker."""
        self.environment, self.options = environment, environment.parsed_options
        self.runner = environment.runner
        self.path = self.options.lab_path
        self.folder = Path(self.options.lab_folder)
        if isinstance(self.runner, WorkerRunner):
            self.runner.register_message("lab_window", self.on_window)
            return
        if isinstance(self.runner, MasterRunner):
            self.runner.register_message("lab_recorded", self.on_recorded)
        environment.events.spawning_complete.add_listener(self.on_all_users_there)
        wait_for(self.folder / "go")

    def on_all_users_there(self, user_count: int, **_: Any) -> None:
        """Fix the window for everybody."""
        start_ns = time.monotonic_ns() + int(self.options.lab_warmup * NS_PER_S)
        end_ns = start_ns + int(self.options.lab_duration * NS_PER_S)
        write(self.folder / "window.json", {"start_s": start_ns / NS_PER_S, "end_s": end_ns / NS_PER_S})
        if isinstance(self.runner, MasterRunner):
            self.waiting_for = self.runner.worker_count
            self.runner.send_message("lab_window", {"start_ns": start_ns, "end_ns": end_ns})
        else:
            gevent.spawn(self.measure, start_ns, end_ns)

    def on_window(self, environment: Any, msg: Any, **_: Any) -> None:
        gevent.spawn(self.measure, msg.data["start_ns"], msg.data["end_ns"])

    def on_recorded(self, environment: Any, msg: Any, **_: Any) -> None:
        self.waiting_for -= 1
        if self.waiting_for == 0:
            self.runner.quit()

    def measure(self, start_ns: int, end_ns: int) -> None:
        """Record until the end of the window, then write the recording and leave."""
        spare_the_collector()
        body = self.options.lab_body.encode() if self.options.lab_body else None
        self.recorder = recorder = Recorder(start_ns, end_ns, body)
        gevent.sleep((end_ns - time.monotonic_ns()) / NS_PER_S)
        open_sent_ns = [user.sent_ns for user in self.users if user.sent_ns]
        write(self.folder / f"recording-{os.getpid()}.json", recorder.recording(open_sent_ns))
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message("lab_recorded", {})
        else:
            self.runner.quit()

    def on_request(
        self, context: dict[str, Any], response_time: float, response: Any, exception: Any, **_: Any
    ) -> None:
        if self.recorder:
            self.recorder.answer(context["sent_ns"], response_time, response, exception)


def spare_the_collector() -> None:
    """Take all users out of the garbage collector's sight: a full collection stops this process for long enough
    to stand in the latencies as the server's. What is made from here on is collected as ever.
    """
    gc.collect()
    gc.freeze()


def wait_for(path: Path) -> None:
    """Until the file exists. Locust is loaded while the server boots, so that a trial takes less time."""
    while not path.exists():
        gevent.sleep(GO_POLL_S)


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a file that is either absent or whole."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(data))
    partial.rename(path)


load = Load()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--lab-path", required=True, help="path and query that every user asks for")
    parser.add_argument("--lab-body", default="", help="the one right answer; empty: any")
    parser.add_argument("--lab-warmup", type=float, required=True, help="seconds before the window")
    parser.add_argument("--lab-duration", type=float, required=True, help="seconds of the window")
    parser.add_argument("--lab-spread", type=float, default=0.0, help="users start at random within so many seconds")
    parser.add_argument("--lab-folder", required=True, help="where go, window and recordings are")


events.init.add_listener(load.set_up)
events.request.add_listener(load.on_request)
