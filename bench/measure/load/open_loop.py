"""The open loop on aiohttp: requests leave on a schedule fixed beforehand, whatever becomes of those before them.

Run as a subprocess, because the driver wants a process and a core of its own:

    python -m bench.measure.load.open_loop --url URL --path /wait?ms=100 --body TEXT --rate 100 \
        --schedule poisson --seed 1 \
        --warmup 1 --duration 5 --timeout 10 --max-in-flight 1000 --drain 5 --folder FOLDER

Latencies run from the intended send, so that a server that stands still cannot hold back the requests that would
have found it so. Files in FOLDER: `go` and `stop` (made by the caller), `window.json` (start and end in monotonic
seconds), `requests.csv.gz` (a row for each scheduled request), `recording-PID.json` (what the window comes to).
"""

import argparse
import asyncio
import csv
import errno
import gc
import gzip
import json
import os
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import uvloop
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from bench.base.bounded_http import MOST_BYTES
from bench.measure.load.open_accounting import COLUMNS, DROPPED, NS_PER_S, OK, TIMED_OUT, OpenAccounting, Requests
from bench.measure.load.precise_timer import PreciseTimer

GO_POLL_S = 0.005
LEAD_S = 0.05
HEARTBEAT_S = 0.02
STALL_S = 0.1
STOP_DRAIN_S = 0.3
SPARE_FILES = 64
# Each costs time per request and would make no server do other work.
UNSAID_HEADERS = ("User-Agent", "Accept", "Accept-Encoding")


@dataclass(frozen=True)
class Options:
    """What to ask, when, and for how long. `body` is the one right answer; empty: any."""

    url: str
    path: str
    body: str
    rate: float
    schedule: str
    seed: int
    warmup: float
    duration: float
    timeout: float
    max_in_flight: int
    drain: float
    folder: Path


def schedule(kind: str, rate_per_s: float, seed: int, span_s: float) -> list[int]:
    """Intended sends in ns from the start: evenly spaced (`constant`) or as a Poisson process (`poisson`)."""
    span_ns = round(span_s * NS_PER_S)
    sends = _constant(rate_per_s) if kind == "constant" else _poisson(rate_per_s, random.Random(seed))
    return list(_before(span_ns, sends))


def _constant(rate_per_s: float) -> Iterator[int]:
    index = 0
    while True:
        yield round(index * NS_PER_S / rate_per_s)
        index += 1


def _poisson(rate_per_s: float, chance: random.Random) -> Iterator[int]:
    at_s = 0.0
    while True:
        at_s += chance.expovariate(rate_per_s)
        yield round(at_s * NS_PER_S)


def _before(end_ns: int, sends: Iterable[int]) -> Iterator[int]:
    for at_ns in sends:
        if at_ns >= end_ns:
            return
        yield at_ns


class Driver:
    """Sends the schedule and watches itself. Times are monotonic ns; the window begins after the warm-up."""

    def __init__(self, options: Options, session: ClientSession, offsets_ns: list[int]) -> None:
        self.options, self.session = options, session
        self.url = URL(options.url + options.path, encoded=True)
        self.body = options.body.encode()
        self.next = 0
        self.open: dict[int, asyncio.Task[None]] = {}
        self.stalls: list[tuple[int, int]] = []
        self.stopped = asyncio.Event()
        self.cpu_s = 0.0
        start_ns = time.monotonic_ns() + round(LEAD_S * NS_PER_S)
        self.start_ns = start_ns + round(options.warmup * NS_PER_S)
        self.end_ns = self.start_ns + round(options.duration * NS_PER_S)
        self.drained_ns = self.end_ns + round(options.drain * NS_PER_S)
        self.requests = Requests([start_ns + offset_ns for offset_ns in offsets_ns])

    async def run(self) -> None:
        """Warm-up, window, drain. Afterwards every request has an outcome."""
        self.sending = asyncio.create_task(self.send_all())
        watching = asyncio.create_task(self.watch())
        await self.until(self.start_ns)
        began_s = time.process_time()
        await self.until(self.end_ns)
        self.cpu_s = time.process_time() - began_s
        await self.drain()
        watching.cancel()
        await asyncio.gather(self.sending, watching, return_exceptions=True)

    async def until(self, at_ns: int) -> None:
        """Sleep until then, or until the caller wants us to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), (at_ns - time.monotonic_ns()) / NS_PER_S)

    async def send_all(self) -> None:
        """Issue each request when it is due; when we come late, all that are due by then."""
        with closing(PreciseTimer()) as alarm:
            while self.next < len(self.requests):
                self.send_due(time.monotonic_ns())
                if self.next < len(self.requests):
                    await alarm.wait_until(self.requests.intended_ns[self.next])

    def send_due(self, now_ns: int) -> None:
        """Send all requests that are due at `now_ns` and have not been sent."""
        intended_ns, last = self.requests.intended_ns, len(self.requests)
        while self.next < last and intended_ns[self.next] <= now_ns:
            self.send(self.next)
            self.next += 1

    def send(self, index: int) -> None:
        """Never wait for a place: a request held back would hide the time in which there was none."""
        if len(self.open) < self.options.max_in_flight:
            self.open[index] = asyncio.create_task(self.ask(index))
        else:
            self.requests.outcome[index] = DROPPED

    async def ask(self, index: int) -> None:
        """Send one request and note its times, status, size and outcome; an error is an outcome too."""
        requests = self.requests
        requests.sent_ns[index] = time.monotonic_ns()
        try:
            async with self.session.get(self.url, allow_redirects=False) as response:
                requests.first_byte_ns[index] = time.monotonic_ns()
                body = await body_of(response)
                requests.status[index], requests.bytes[index] = response.status, len(body)
            requests.end(index, answer_class(response.status, body, self.body))
        except TimeoutError:
            requests.end(index, TIMED_OUT)
        except Exception as error:  # whatever a request can die of is counted under its name
            requests.end(index, error_class(error))
        finally:
            del self.open[index]

    async def watch(self) -> None:
        """The heartbeat: a late one says that this process, not the server, stood still."""
        while True:
            due_ns = time.monotonic_ns() + round(HEARTBEAT_S * NS_PER_S)
            await asyncio.sleep(HEARTBEAT_S)
            now_ns = time.monotonic_ns()
            if now_ns - due_ns > STALL_S * NS_PER_S:
                self.stalls.append((due_ns, now_ns))
            if not self.stopped.is_set() and (self.options.folder / "stop").exists():
                self.stop(now_ns)

    def stop(self, now_ns: int) -> None:
        """Cut the window short: send what is due, forget what is not, leave the open ones a moment."""
        self.send_due(now_ns)
        self.sending.cancel()
        self.requests.keep(self.next)
        self.end_ns = max(self.start_ns, min(self.end_ns, now_ns))
        self.drained_ns = min(self.drained_ns, now_ns + round(STOP_DRAIN_S * NS_PER_S))
        self.stopped.set()

    async def drain(self) -> None:
        """Wait until all are answered, but not for ever; what is left open is cut off."""
        await asyncio.wait([self.sending])
        while self.open and time.monotonic_ns() < self.drained_ns:
            await asyncio.wait(self.open.values(), timeout=HEARTBEAT_S)  # `stop` may bring the end forward
        self.drained_ns = time.monotonic_ns()
        self.requests.censor()
        left = list(self.open.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def body_of(response: ClientResponse) -> bytes:
    """The body as it came, or one byte more than the most that is read."""
    if response.content_length is not None and response.content_length <= MOST_BYTES:
        return await response.read()
    try:
        return await response.content.readexactly(MOST_BYTES + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial


def answer_class(status: int, body: bytes, right: bytes) -> str:
    """`ok`, or the class under which an answer that is not right is counted: `status 503`, `wrong body`."""
    if status != 200:
        return f"status {status}"
    return "wrong body" if right and body != right else OK


def error_class(error: Exception) -> str:
    """The exception's name, with the system's where there is one: `ClientConnectorError ECONNREFUSED`."""
    symbol = errno.errorcode.get(getattr(error, "errno", None) or 0)
    return f"{type(error).__name__} {symbol}" if symbol else type(error).__name__


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file that is either absent or whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        fill(file)
    partial.rename(path)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write data as a JSON file that is either absent or whole."""
    write(path, lambda file: file.write(json.dumps(data).encode()))


def write_rows(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows as gzipped CSV under the names in COLUMNS; the file is either absent or whole."""

    def fill(file: IO[bytes]) -> None:
        with gzip.open(file, "wt", compresslevel=5, newline="") as text:
            writer = csv.writer(text)
            writer.writerow(COLUMNS)
            writer.writerows(rows)

    write(path, fill)


def spare_the_collector() -> None:
    """Take what is there out of the collector's sight: a full collection would stand in the latencies as the server's.

    It stays on, because every failed connect leaves a cycle of 10 kB: a dead server would fill the memory. What it
    sees from here on is little (see `Requests`), and the lateness is the same as without it.
    """
    gc.collect()
    gc.freeze()


def allow_files(count: int) -> None:
    """Every request in flight has a socket; beyond the hard limit they end as `ClientConnectorError EMFILE`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def new_session(timeout_s: float) -> ClientSession:
    """A session that sends each request once, on as many connections as it takes."""
    session = ClientSession(
        connector=TCPConnector(limit=0, limit_per_host=0),
        cookie_jar=DummyCookieJar(),
        # aiohttp rounds timeouts from the threshold on up to whole seconds of its clock, which ends many at once.
        timeout=ClientTimeout(total=timeout_s, ceil_threshold=timeout_s + 1),
        skip_auto_headers=UNSAID_HEADERS,
        auto_decompress=False,  # no lab compresses, and what is unpacked has no bound
        trust_env=False,
    )
    # There is no public way to keep aiohttp from asking again when a kept connection was closed under a GET, which
    # would hide the failure. `test_open` notices should the attribute go.
    session._retry_connection = False
    return session


def wait_for(path: Path) -> None:
    """Until the file exists. Everything that takes long is done before it, while the server boots."""
    while not path.exists():
        time.sleep(GO_POLL_S)


async def drive(options: Options) -> None:
    """Wait for the go, send the schedule, write down what became of it."""
    offsets_ns = schedule(options.schedule, options.rate, options.seed, options.warmup + options.duration)
    spare_the_collector()
    async with new_session(options.timeout) as session:
        wait_for(options.folder / "go")
        driver = Driver(options, session, offsets_ns)
        window = {"start_s": driver.start_ns / NS_PER_S, "end_s": driver.end_ns / NS_PER_S}
        write_json(options.folder / "window.json", window)
        await driver.run()
    books = OpenAccounting(driver.requests, driver.start_ns, driver.end_ns, driver.drained_ns, driver.options.duration)
    write_rows(options.folder / "requests.csv.gz", books.rows())
    write_json(options.folder / f"recording-{os.getpid()}.json", books.recording(driver.stalls, driver.cpu_s))


def read_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.measure.load.open_loop", description=__doc__)
    parser.add_argument("--url", required=True, help="scheme, host and port")
    parser.add_argument("--path", required=True, help="path and query that every request asks for")
    parser.add_argument("--body", default="", help="the one right answer; empty: any")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--schedule", choices=("poisson", "constant"), default="poisson")
    parser.add_argument("--seed", type=int, default=0, help="of the Poisson schedule")
    parser.add_argument("--warmup", type=float, required=True, help="seconds before the window")
    parser.add_argument("--duration", type=float, required=True, help="seconds of the window")
    parser.add_argument("--timeout", type=float, required=True, help="seconds until a request is given up")
    parser.add_argument("--max-in-flight", type=int, required=True, help="unanswered at once; more are dropped")
    parser.add_argument("--drain", type=float, required=True, help="seconds left to open requests after the window")
    parser.add_argument("--folder", type=Path, required=True, help="where go, window and recordings are")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Drive the open loop to its end on an event loop of uvloop."""
    options = read_options()
    allow_files(options.max_in_flight + SPARE_FILES)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(drive(options))


if __name__ == "__main__":
    main()
