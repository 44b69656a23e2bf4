"""The closed loop, a Locust file: N users, each of whom sends a request, waits for the answer and sends the next.

Run by `launcher.py` as a subprocess and never imported by it, because importing Locust patches the process:

    python -m locust -f bench/measure/load/closed.py --headless --host URL --users N --spawn-rate N \
        --lab-path /wait?ms=100 --lab-warmup 1 --lab-duration 3 --lab-folder FOLDER

Every answer that completes inside the window is recorded in microseconds, whenever it was asked for; ramp-up and
warm-up are not. Files in FOLDER: `go` (made by the caller: the server is ready), `window.json` (start and end in
monotonic seconds, written when all users are there), `stop` (made by the caller: end the window now), one
`recording-N.json` per process that runs users. Workers, here or on other machines, get all of it from the master and
hand their recording to it as a message; only the master writes: see `distributed.py`.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import gevent
from geventhttpclient import client as http_client
from geventhttpclient import response as http_response
from locust import FastHttpUser, constant_throughput, events, runners, task
from locust import __version__ as locust_version
from locust.contrib.fasthttp import FastResponse, LocustUserAgent

from bench.base.bounded_http import MOST_BYTES
from bench.measure.load import distributed, driver, mix
from bench.measure.load.driver import HEARTBEAT_S, NS_PER_S
from bench.measure.load.mix import MixedRequest, read_mix
from bench.model.histograms import encode_histogram, new_histogram
from bench.model.trial_record import column_s

TIMEOUT_S = 60.0
SILENCE_NS = 200_000_000  # this long without any answer is written down; whose fault it was is judged later

OPTIONS: dict[str, tuple[str | float, str]] = {
    "path": ("", "path and query of every request"),
    "body": ("", "the one right answer; empty: any"),
    "mix": ("", "file of the requests to send instead of that path"),
    "rate-each": (0.0, "requests/s that each user is held back to; 0: not"),
    "warmup": (0.0, "seconds before the window"),
    "duration": (0.0, "seconds of the window"),
    "spread": (0.0, "users start at random within so many seconds"),
    "folder": ("", "where go, window, stop and recordings are"),
}


class Recorder:
    """What one process saw between `start_ns` and `end_ns` (monotonic). `body`: the one right answer, None for any."""

    def __init__(self, start_ns: int, end_ns: int, body: bytes | None) -> None:
        self.start_ns, self.middle_ns, self.end_ns = start_ns, (start_ns + end_ns) // 2, end_ns
        self.body = body
        self.histogram = new_histogram()
        self.every_ns = int(column_s((end_ns - start_ns) / NS_PER_S) * NS_PER_S)
        self.answered = [0] * self._columns()
        self.answered_halves = [0, 0]
        self.errors: Counter[str] = Counter()
        self.issued = self.carried_in = self.waited_ns = 0
        self.late_sent_ns: list[int] = []
        self.last_ns = start_ns
        self.silences_ns: list[tuple[int, int]] = []
        self.stalls_ns: list[tuple[int, int]] = []
        self.cpu_from_s = self.cpu_to_s = 0.0

    def _columns(self) -> int:
        return -((self.start_ns - self.end_ns) // self.every_ns)

    def issue(self, sent_ns: int) -> None:
        """Count a request that is about to leave."""
        self.issued += self.start_ns <= sent_ns < self.end_ns

    def answer(
        self,
        sent_ns: int,
        latency_ms: float,
        response: Any,
        exception: BaseException | None,
        asked: MixedRequest | None = None,
    ) -> None:
        """Record a request that has ended: the latency of a right answer, the class of any other.

        `asked`: which of a mix it was.
        """
        now_ns = time.monotonic_ns()
        if now_ns < self.start_ns:
            return
        if now_ns >= self.end_ns:
            if sent_ns < self.end_ns:
                self.late_sent_ns.append(sent_ns)
            return
        self.carried_in += sent_ns < self.start_ns
        self.waited_ns += now_ns - max(sent_ns, self.start_ns)
        error = error_class(response, exception, self.body) or mixed_error(response, asked)
        if error:
            self.errors[error] += 1
            return
        self._note_silence(now_ns)
        self.answered[(now_ns - self.start_ns) // self.every_ns] += 1
        self.answered_halves[now_ns >= self.middle_ns] += 1
        self.histogram.record_value(max(1, round(latency_ms * 1000)))

    def _note_silence(self, now_ns: int) -> None:
        if now_ns - self.last_ns > SILENCE_NS:
            self.silences_ns.append((self.last_ns, now_ns))
        self.last_ns = now_ns

    def beat(self, meant_ns: int, now_ns: int) -> None:
        """Record a stall if the heartbeat came at `now_ns` long after `meant_ns`."""
        if now_ns - meant_ns > driver.STALL_NS:
            self.stalls_ns.append((meant_ns, now_ns))

    def cut(self, now_ns: int) -> None:
        """End the window early."""
        self.end_ns = min(self.end_ns, max(now_ns, self.start_ns + 1))

    def recording(self, open_sent_ns: list[int]) -> dict[str, Any]:
        """Return all of it as JSON data. `open_sent_ns`: when the requests were sent that have no answer yet."""
        self._note_silence(self.end_ns)
        in_flight = [sent_ns for sent_ns in self.late_sent_ns + open_sent_ns if sent_ns < self.end_ns]
        still_waiting_ns = sum(self.end_ns - max(sent_ns, self.start_ns) for sent_ns in in_flight)
        return {
            "duration_s": (self.end_ns - self.start_ns) / NS_PER_S,
            "waited_s": (self.waited_ns + still_waiting_ns) / NS_PER_S,
            "carried_in": self.carried_in + sum(sent_ns < self.start_ns for sent_ns in in_flight),
            "issued": self.issued,
            "completed": sum(self.answered),
            "answered_halves": self.answered_halves,
            "answered": self.answered[: self._columns()],
            "answered_every_s": self.every_ns / NS_PER_S,
            "errors": dict(self.errors),
            "in_flight": len(in_flight),
            "in_flight_oldest_us": (self.end_ns - min(in_flight, default=self.end_ns)) // 1000,
            "histogram": encode_histogram(self.histogram),
            "silences": driver.cut_to_window(self.silences_ns, self.start_ns, self.end_ns),
            "stalls": driver.cut_to_window(self.stalls_ns, self.start_ns, self.end_ns),
            "cpu_s": self.cpu_to_s - self.cpu_from_s,
            "engine": f"locust {locust_version}",
        }


def error_class(response: Any, exception: BaseException | None, body: bytes | None) -> str | None:
    """Return the class under which a wrong answer is counted (`status 503`, `wrong body`); None if it is right."""
    status = getattr(response, "status_code", 0)
    if status and status != 200:
        return f"status {status}"
    if isinstance(exception, TooLong):
        return "wrong body"
    if exception is not None:
        return driver.exception_class(exception)
    return "wrong body" if body is not None and response.content != body else None


def mixed_error(response: Any, asked: MixedRequest | None) -> str | None:
    """Return the class of an answer that cannot be that of the page which was asked for; None if it may be."""
    return None if asked is None or asked.is_right(response.content) else "wrong body"


# There is no public way to keep a GET from being sent again when its connection was closed under it, which would hide
# the failure; `max_retries` is about something else. `test_faults` notices should the name go.
http_client._may_retry_after_send_error = lambda method: False


class TooLong(http_response.HTTPParseError):
    """An answer that is longer than any right one, headers included."""


class UndecodedResponse(FastResponse):
    """An answer as it came: no lab compresses, and what is unpacked has no bound."""

    def _content(self) -> bytes:
        assert self._response
        content: bytes = self._response.read()
        self.release()
        return content


def feed_within_bound(response: Any, data: bytes) -> None:
    """Feed the parser what was received, up to a bound: the library itself has none."""
    response.fed_bytes = getattr(response, "fed_bytes", 0) + len(data)
    if response.fed_bytes > load.most_bytes:
        raise TooLong
    feed(response, data)


feed = http_response.HTTPResponse.feed
http_response.HTTPResponse.feed = feed_within_bound  # type: ignore[method-assign, assignment]
LocustUserAgent.response_type = UndecodedResponse


class ClosedUser(FastHttpUser):
    """One user with a connection of its own: no think time, or held back to a rate."""

    network_timeout = connection_timeout = TIMEOUT_S
    max_retries = 0
    sent_ns = 0
    asked: MixedRequest | None = None

    def context(self) -> dict[str, Any]:
        """Return what `on_request` gets with each answer: when the request was sent, in monotonic ns, and which."""
        return {"sent_ns": self.sent_ns, "asked": self.asked}

    @task
    def ask(self) -> None:
        """Send one request and wait for its answer."""
        self.asked = asked = next(self.turns)
        self.sent_ns = time.monotonic_ns()
        if load.recorder:
            load.recorder.issue(self.sent_ns)
        self.client.request(asked.method, asked.path, name="request", allow_redirects=False, headers=load.headers)
        self.sent_ns = 0

    def on_start(self) -> None:
        """Register the user, then wait a random part of `--lab-spread` before its first request."""
        load.users.append(self)
        self.turns = load.turns_of_user()
        gevent.sleep(random.uniform(0, load.options.lab_spread))


class LoadProcess:
    """The state of this load process: when all users are there, measure one window, hand it in, leave."""

    recorder: Recorder | None = None
    master: distributed.Master | None = None
    worker: distributed.Worker | None = None

    def __init__(self) -> None:
        self.users: list[ClosedUser] = []
        self.is_open = False
        self.most_bytes, self.headers, self.round = MOST_BYTES, dict[str, str](), list[MixedRequest]()

    def set_up(self, environment: Any, **_: Any) -> None:
        """Wire this process as the only one, the master, or a worker."""
        self.options, self.runner = environment.parsed_options, environment.runner
        if self.options.lab_mix:
            asked = read_mix(Path(self.options.lab_mix))
            self.headers, self.round, self.most_bytes = dict(asked.headers), asked.round(), mix.MOST_BYTES
        if isinstance(self.runner, runners.WorkerRunner):
            self.worker = distributed.Worker(self.runner, lambda: self.measure(*self.window_from_now()), self.cut)
            return
        self.folder = Path(self.options.lab_folder)
        environment.events.spawning_complete.add_listener(self.on_all_users_there)
        if isinstance(self.runner, runners.MasterRunner):
            self.master = distributed.Master(self.runner, self.options, self.folder)
        driver.wait_for(self.folder / "go")
        if self.master:
            self.master.wait_for_workers()

    def on_test_start(self, environment: Any, **_: Any) -> None:
        """Check the target and set the rate: a worker knows the master's options and host from here on."""
        if self.worker:
            self.worker.check_target(environment.host or "")
        if self.options.lab_rate_each:
            ClosedUser.wait_time = constant_throughput(self.options.lab_rate_each)

    def turns_of_user(self) -> Iterator[MixedRequest]:
        """Return what a user asks for, without end: a mix from a random place on, or always the one path."""
        requests = self.round or [MixedRequest(self.options.lab_path)]
        first = random.randrange(len(requests))
        return cycle([*requests[first:], *requests[:first]])

    def on_all_users_there(self, user_count: int, **_: Any) -> None:
        """Fix the window, once: Locust says it again where it moves the users of a worker that has left."""
        if self.is_open:
            return
        self.is_open = True
        start_ns, end_ns = self.window_from_now()
        driver.write_json(self.folder / "window.json", {"start_s": start_ns / NS_PER_S, "end_s": end_ns / NS_PER_S})
        if self.master:
            self.master.open_window()
        else:
            gevent.spawn(self.measure, start_ns, end_ns)

    def window_from_now(self) -> tuple[int, int]:
        """Return the window's start and end in ns by this process's clock, if the warm-up begins now."""
        start_ns = time.monotonic_ns() + int(self.options.lab_warmup * NS_PER_S)
        return start_ns, start_ns + int(self.options.lab_duration * NS_PER_S)

    def cut(self) -> None:
        """End the window now."""
        if self.recorder:
            self.recorder.cut(time.monotonic_ns())

    def measure(self, start_ns: int, end_ns: int) -> None:
        """Record until the end of the window, then hand in the recording and leave."""
        driver.spare_the_collector()
        body = self.options.lab_body.encode() if self.options.lab_body else None
        self.recorder = recorder = Recorder(start_ns, end_ns, body)
        self.beat_through(recorder)
        recording = recorder.recording([user.sent_ns for user in self.users if user.sent_ns])
        if self.worker:
            self.worker.hand_in(recording)
        else:
            driver.write_json(self.folder / "recording-1.json", recording)
            self.runner.quit()

    def beat_through(self, recorder: Recorder) -> None:
        """Wake often to the end of the window: a late wake-up shows that this process was held up."""
        gevent.sleep(max(0.0, (recorder.start_ns - time.monotonic_ns()) / NS_PER_S))
        recorder.cpu_from_s = time.process_time()
        beat_ns = int(HEARTBEAT_S * NS_PER_S)
        now_ns = time.monotonic_ns()
        while now_ns < recorder.end_ns:  # from one wake-up to the next: no moment between two is left out
            gevent.sleep(min(HEARTBEAT_S, (recorder.end_ns - now_ns) / NS_PER_S))
            meant_ns, now_ns = now_ns + beat_ns, time.monotonic_ns()
            recorder.beat(meant_ns, now_ns)
            if not self.worker and (self.folder / "stop").exists():
                self.cut()
        recorder.cpu_to_s = time.process_time()

    def on_request(
        self, context: dict[str, Any], response_time: float, response: Any, exception: Any, **_: Any
    ) -> None:
        """Record an answer, if the window has begun."""
        if self.recorder:
            self.recorder.answer(context["sent_ns"], response_time, response, exception, context["asked"])


load = LoadProcess()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the lab's options to Locust's command line."""
    for name, (default, text) in OPTIONS.items():
        parser.add_argument(f"--lab-{name}", type=type(default), default=default, help=text)


# Locust's own measure of this goes by the wall clock, which may step; `distributed.Worker` looks after it.
runners.MASTER_HEARTBEAT_TIMEOUT = 10**9
events.init.add_listener(load.set_up)
events.test_start.add_listener(load.on_test_start)
events.request.add_listener(load.on_request)
