"""The open loop: its schedule is fixed, its books balance whatever the server does, and it tells whose pause it was."""

import asyncio
import csv
import gzip
import itertools
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, cast

import psutil
import pytest

from bench.base.polling import eventually
from bench.base.tests.attempts import until_in
from bench.measure import cpu_placement
from bench.measure.load.driver import HEARTBEAT_S
from bench.measure.load.open_accounting import COLUMNS, silences
from bench.measure.load.open_loop import Options, Sender, schedule
from bench.measure.processes import Process
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.processes import listening
from bench.model.histograms import decode_histogram, latency_of
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.trial_record import Latency

WHERE = cpu_placement.plan(1)
HELLO = '{"message": "hello"}'
NS_PER_S = 1_000_000_000
DEFAULTS: dict[str, Any] = {
    "body": HELLO,
    "rate": 100,
    "schedule": "poisson",
    "seed": 1,
    "warmup": 0.1,
    "duration": 0.4,
}
DEFAULTS |= {"timeout": 10, "max_in_flight": 1000, "drain": 10}
FREEZE_AT_S, FREEZE_FOR_S = 1.0, 1.0
ROUNDED_S = 0.001  # a recording has its stretches in ms


@dataclass(frozen=True)
class Seen:
    """What one driver wrote, its books checked: the recording, and the rows of requests.csv.gz."""

    recording: dict[str, Any]
    rows: list[dict[str, str]]

    @property
    def outcomes(self) -> Counter[str]:
        """How often each outcome was, warm-up included."""
        return Counter(row["outcome"] for row in self.rows)

    def latency_us(self, name: str = "histogram") -> Latency:
        latency = latency_of(decode_histogram(self.recording[name]))
        assert latency
        return latency

    def count(self, name: str) -> int:
        total: int = decode_histogram(self.recording[name]).get_total_count()
        return total


@contextmanager
def driver(folder: Path, url: str, path: str, **changes: Any) -> Iterator[Process]:
    """A driver that has been let go; killed on the way out."""
    options = DEFAULTS | changes
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [
        "python",
        "-m",
        "bench.measure.load.open_loop",
        "--url",
        url,
        "--path",
        path,
        *flags,
        "--folder",
        str(folder),
    ]
    log = folder / "log"
    process = Process.start(command, cpus=WHERE.load, log=log)
    try:
        (folder / "go").touch()
        yield process
    finally:
        process.stop(within_s=0)


def ended(process: Process, folder: Path) -> Seen:
    """What it wrote by its own end, where the books of recording and rows balance and agree."""
    assert process.popen.wait(timeout=30) == 0, process.log_tail()
    assert not list(folder.glob("*.partial"))
    seen = Seen(json.loads((folder / f"recording-{process.pid}.json").read_text()), rows_of(folder))
    assert_books_balance(seen)
    return seen


def rows_of(folder: Path) -> list[dict[str, str]]:
    with gzip.open(folder / "requests.csv.gz", "rt", newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        return list(reader)


def assert_books_balance(seen: Seen) -> None:
    books = seen.recording
    window_us = books["duration_s"] * 1e6
    counted = Counter(row["outcome"] for row in seen.rows if 0 <= int(row["intended_us"]) < window_us)
    assert counted == +Counter(
        {"ok": books["completed"], "timed out": books["timed_out"], "dropped": books["dropped"]}
        | {"in flight": books["in_flight"], **books["errors"]}
    )
    assert books["issued"] == counted.total()
    assert seen.count("histogram") == seen.count("histogram_from_send") == counted["ok"]
    assert seen.count("histogram_censored") == counted["timed out"] + counted["dropped"] + counted["in flight"]
    in_time = sum(row["outcome"] == "ok" and 0 <= int(row["done_us"]) < window_us for row in seen.rows)
    assert sum(books["answered"]) == sum(books["answered_halves"]) == in_time


def asked(folder: Path, url: str, path: str, **changes: Any) -> Seen:
    with driver(folder, url, path, **changes) as process:
        return ended(process, folder)


def window_of(folder: Path) -> tuple[float, float]:
    """Start and end in monotonic seconds, as soon as they are known."""
    assert eventually((folder / "window.json").exists, within_s=20)
    window = json.loads((folder / "window.json").read_text())
    return window["start_s"], window["end_s"]


def sleep_until(at_s: float) -> None:
    time.sleep(max(0, at_s - time.monotonic()))


def freeze(processes: list[psutil.Process], folder: Path) -> tuple[float, float]:
    """Let nothing of them run for a second in the middle of the window. Returns from when to when, in seconds of it."""
    start_s, _ = window_of(folder)
    sleep_until(start_s + FREEZE_AT_S)
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        frozen_at_s = time.monotonic()
        time.sleep(FREEZE_FOR_S)
        return frozen_at_s - start_s, time.monotonic() - start_s
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def while_frozen(
    folder: Path, url: str, which: Callable[[Process], list[psutil.Process]], **changes: Any
) -> tuple[float, float, Seen]:
    """From when to when these did not run, given the driver's process, and what it wrote."""
    with driver(folder, url, "/hello", schedule="constant", **changes) as process:
        return *freeze(which(process), folder), ended(process, folder)


def longest(spans: list[tuple[float, float]]) -> tuple[float, float]:
    return max(spans, key=lambda span: span[1] - span[0])


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving_stack(parse_stack("bare_asgi@uvicorn"), cpus=WHERE.server, grace_s=0) as server:
        yield server


def test_a_schedule_is_a_function_of_its_seed() -> None:
    assert schedule("poisson", 100, 1, 10) == schedule("poisson", 100, 1, 10)
    assert schedule("poisson", 100, 1, 10) != schedule("poisson", 100, 2, 10)
    assert schedule("constant", 100, 1, 10) == schedule("constant", 100, 2, 10)


def test_a_constant_schedule_is_evenly_spaced_and_ends_with_its_span() -> None:
    assert schedule("constant", 4, 0, 1) == [0, NS_PER_S // 4, NS_PER_S // 2, 3 * NS_PER_S // 4]
    thirds = schedule("constant", 3, 0, 100)
    assert len(thirds) == 300
    assert {after - before for before, after in itertools.pairwise(thirds)} == {333_333_333, 333_333_334}


def test_a_poisson_schedule_has_exponential_gaps() -> None:
    sends = schedule("poisson", 100, 1, 100)
    gaps_s = [(after - before) / NS_PER_S for before, after in itertools.pairwise(sends)]
    assert sends == sorted(sends)
    assert sends[-1] < 100 * NS_PER_S
    assert abs(len(sends) - 10_000) < 4 * 100  # the count's standard deviation is its root
    assert mean(gaps_s) == pytest.approx(0.01, rel=0.04)
    assert mean(gap_s > 0.01 for gap_s in gaps_s) == pytest.approx(0.368, abs=0.02)  # 1/e


def test_a_silence_is_a_stretch_in_which_requests_were_open_and_none_was_answered() -> None:
    def found(*flights: tuple[float, float, bool]) -> list[tuple[float, float]]:
        in_ns = [(round(sent * 1e9), round(ended * 1e9), answered) for sent, ended, answered in flights]
        return [(since / 1e9, until / 1e9) for since, until in silences(in_ns, 0, 10 * NS_PER_S)]

    assert found((1, 1.1, True), (5, 5.1, True)) == []  # nobody asked in between
    assert found((1, 2, True)) == [(1, 2)]
    assert found((1, 2, False), (1.5, 3, False)) == [(1, 3)]  # a timeout is no answer
    assert found((1, 2, True), (1.1, 1.5, True)) == [(1, 1.5), (1.5, 2)]
    assert found((-3, 1, True), (9, 12, True)) == [(0, 1), (9, 10)]  # only what lies in the window
    assert found((12, 15, True)) == []


def test_right_answers_are_completed_and_their_latency_includes_the_wait(server: RunningServer, tmp_path: Path) -> None:
    seen = asked(tmp_path, server.url, "/wait?ms=100", body='{"waited_ms": 100}', duration=0.9)
    offsets_ns = schedule("poisson", 100, 1, 1.0)
    assert seen.outcomes == {"ok": len(offsets_ns)}
    intended_us = [int(row["intended_us"]) for row in seen.rows]
    assert intended_us == pytest.approx([at_ns / 1000 - 100_000 for at_ns in offsets_ns], abs=2)
    assert all(int(row["sent_us"]) >= int(row["intended_us"]) for row in seen.rows)
    assert {(row["status"], row["bytes"]) for row in seen.rows} == {("200", "18")}
    assert seen.latency_us().p50 >= seen.latency_us("histogram_from_send").p50 >= 100_000
    assert len(seen.recording["answered"]) == 5
    assert seen.recording["duration_s"] == pytest.approx(0.9)
    assert seen.recording["cpu_s"] > 0


@pytest.mark.parametrize(("path", "error"), [("/hello", "wrong body"), ("/nothing", "status 404")])
def test_an_answer_that_is_not_right_is_counted_by_class(
    path: str, error: str, server: RunningServer, tmp_path: Path
) -> None:
    seen = asked(tmp_path, server.url, path, body="hullo")
    assert seen.outcomes.keys() == {error}
    assert seen.recording["errors"] == {error: seen.recording["issued"]}


def test_refused_connections_are_counted_with_their_errno(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    seen = asked(tmp_path, f"http://{HOST}:{port}", "/hello")
    assert seen.outcomes.keys() == {"ClientConnectorError ECONNREFUSED"}
    assert seen.recording["lateness_us"]["p50"] > 0


def test_a_request_without_an_answer_in_time_is_timed_out(server: RunningServer, tmp_path: Path) -> None:
    seen = until_in(
        tmp_path,
        lambda seen: int(seen.rows[0]["sent_us"]) < 100_000,
        lambda folder: asked(folder, server.url, "/wait?ms=3000", timeout=0.25),
    )
    assert seen.outcomes.keys() == {"timed out"}
    assert seen.latency_us("histogram_censored").p50 >= 245_000  # timers count whole milliseconds
    assert seen.recording["silences"]


def test_what_is_open_after_the_drain_is_censored_with_its_age(server: RunningServer, tmp_path: Path) -> None:
    seen = asked(tmp_path, server.url, "/wait?ms=5000", drain=0.3)
    assert seen.outcomes.keys() == {"in flight"}
    assert {(row["done_us"], row["status"], row["bytes"]) for row in seen.rows} == {("", "", "")}
    first_us = next(int(row["intended_us"]) for row in seen.rows if int(row["intended_us"]) >= 0)
    assert 700_000 - first_us <= seen.recording["in_flight_oldest_us"]
    assert seen.latency_us("histogram_censored").p50 >= 300_000


def test_a_request_beyond_the_bound_is_dropped_and_never_delayed(server: RunningServer, tmp_path: Path) -> None:
    seen = until_in(
        tmp_path,
        lambda seen: not seen.recording["stalls"],
        lambda folder: asked(folder, server.url, "/wait?ms=1000", body="", max_in_flight=5),
    )
    assert seen.outcomes == {"ok": 5, "dropped": len(seen.rows) - 5}
    assert {row["sent_us"] for row in seen.rows if row["outcome"] == "dropped"} == {""}
    assert seen.recording["dropped"] > 0


def test_a_kept_connection_that_closes_is_a_failure_and_is_not_asked_again(tmp_path: Path) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        with connection:
            for answer in (f"HTTP/1.1 200 OK\r\nContent-Length: {len(HELLO)}\r\n\r\n{HELLO}", ""):
                received.append(connection.recv(10_000))
                connection.sendall(answer.encode())

    with listening(serve) as url:
        seen = asked(tmp_path, url, "/hello", rate=20, schedule="constant", duration=0.9)
    assert seen.outcomes.keys() == {"ok", "ServerDisconnectedError"}
    assert len([request for request in received if request]) == len(seen.rows) == 20


def test_a_frozen_server_shows_in_the_latencies_and_as_a_silence(server: RunningServer, tmp_path: Path) -> None:
    frozen_at_s, thawed_at_s, seen = until_in(
        tmp_path,
        lambda frozen: (
            frozen[1] < 4 and not any(to_s - at_s > FREEZE_FOR_S / 2 for at_s, to_s in frozen[2].recording["stalls"])
        ),
        lambda folder: while_frozen(folder, server.url, lambda driver: server.family(), duration=4),
    )
    assert seen.outcomes == {"ok": 410}
    assert seen.latency_us().p99 >= 800_000
    at_s, to_s = longest(seen.recording["silences"])
    assert at_s < frozen_at_s + 0.4 < thawed_at_s <= to_s + ROUNDED_S
    assert all(to_s - at_s < FREEZE_FOR_S for at_s, to_s in seen.recording["stalls"])


def test_a_frozen_driver_says_that_it_was_its_own_pause(server: RunningServer, tmp_path: Path) -> None:
    frozen_at_s, thawed_at_s, seen = until_in(
        tmp_path,
        lambda frozen: frozen[1] < 3,
        lambda folder: while_frozen(folder, server.url, lambda driver: [psutil.Process(driver.pid)], duration=3),
    )
    assert seen.outcomes == {"ok": 310}
    assert seen.latency_us().p99 >= 800_000
    assert seen.latency_us("histogram_from_send").p50 < 500_000
    assert seen.recording["lateness_us"]["p99"] >= 800_000
    at_s, to_s = longest(seen.recording["stalls"])
    assert at_s <= frozen_at_s + HEARTBEAT_S + ROUNDED_S < thawed_at_s <= to_s + ROUNDED_S


def test_a_pause_while_the_driver_looks_for_the_stop_is_a_pause_too() -> None:
    looked_twice = asyncio.Event()

    class Folder:
        looks = 0

        def __truediv__(self, name: str) -> "Folder":
            return self

        def exists(self) -> bool:
            time.sleep(0.3)
            self.looks += 1
            if self.looks == 2:
                looked_twice.set()
            return False

    async def watched() -> list[tuple[int, int]]:
        options = Options(url=HOST, path="/", folder=cast(Path, Folder()), **DEFAULTS)
        sender = Sender(options, cast(Any, None), [])
        watching = asyncio.create_task(sender.watch())
        await looked_twice.wait()
        watching.cancel()
        return sender.stalls

    stalls = asyncio.run(watched())
    assert any(to_ns - at_ns > 0.2 * NS_PER_S for at_ns, to_ns in stalls)


@pytest.mark.parametrize("warmup_s", [0.1, 20])
def test_a_stop_cuts_the_window_short_and_the_books_still_balance(
    warmup_s: float, server: RunningServer, tmp_path: Path
) -> None:
    with driver(tmp_path, server.url, "/wait?ms=5000", warmup=warmup_s, duration=20) as process:
        sleep_until(window_of(tmp_path)[0] - warmup_s + 0.7)
        (tmp_path / "stop").touch()
        seen = ended(process, tmp_path)
    assert seen.outcomes.keys() == {"in flight"}
    assert len(seen.rows) < 20 * 100 / 2
    assert 0.1 < seen.recording["duration_s"] < 10 if warmup_s < 1 else seen.recording["duration_s"] == 0
    assert (seen.recording["issued"] > 0) == (warmup_s < 1)
