"""The open loop on aiohttp: requests leave on a schedule fixed beforehand, whatever becomes of those before them.

Run as a subprocess, because the driver wants a process and a core of its own:

    python -m bench.measure.load.open_loop --url URL --path /wait?ms=100 --body TEXT --rate 100 \
        --schedule poisson --seed 1 \
        --warmup 1 --duration 5 --timeout 10 --max-in-flight 1000 --drain 5 --folder FOLDER

Latencies run from the intended send, so that a server that stands still cannot hold back the requests that would
have found it so. Files in FOLDER: `go` and `stop` (made by the caller), `window.json` (start and end in monotonic
seconds), `requests.csv.gz` (a row for each scheduled request), `recording-PID.json` (what the window comes to).
"""

import asyncio
import csv
import gzip
import os
import random
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import Annotated, Any

import uvloop
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp import __version__ as aiohttp_version
from yarl import URL

from bench.base.bounded_http import MOST_BYTES
from bench.measure.load import driver
from bench.measure.load.driver import HEARTBEAT_S, NS_PER_S
from bench.measure.load.open_accounting import COLUMNS, DROPPED, OK, TIMED_OUT, OpenAccounting, Requests
from bench.measure.load.precise_timer import PreciseTimer

LEAD_S = 0.05
STOP_DRAIN_S = 0.3
# Each costs time per request and would make no server do other work.
UNSAID_HEADERS = ("User-Agent", "Accept", "Accept-Encoding")


@dataclass(frozen=True, kw_only=True)
class Options(driver.DriverOptions):
    """The command line."""

    body: Annotated[str, "the one right answer; empty: any"] = ""
    rate: Annotated[float, "requests per second"]
    schedule: Annotated[str, "how requests are spread", "poisson", "constant"] = "poisson"
    seed: Annotated[int, "of the Poisson schedule"] = 0
    warmup: Annotated[float, "seconds before the window"]
    duration: Annotated[float, "seconds of the window"]
    timeout: Annotated[float, "seconds until a request is given up"]
    max_in_flight: Annotated[int, "unanswered at once; more are dropped"]
    drain: Annotated[float, "seconds left to open requests after the window"]


def schedule(kind: str, rate_per_s: float, seed: int, span_s: float) -> list[int]:
    """Intended sends in ns from the start: evenly spaced (`constant`) or as a Poisson process (`poisson`)."""
    span_ns = round(span_s * NS_PER_S)
    if kind == "constant":
        sends_ns = (index * NS_PER_S / rate_per_s for index in count())
    else:
        chance = random.Random(seed)
        sends_ns = (at_s * NS_PER_S for at_s in accumulate(chance.expovariate(rate_per_s) for _ in count()))
    return list(takewhile(lambda at_ns: at_ns < span_ns, map(round, sends_ns)))


class Sender:
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
        """Run warm-up, window and drain. Afterwards every request has an outcome."""
        self.sending = asyncio.create_task(self.send_all())
        watching = asyncio.create_task(self.watch())
        await self.sleep_until(self.start_ns)
        began_s = time.process_time()
        await self.sleep_until(self.end_ns)
        self.cpu_s = time.process_time() - began_s
        await self.drain()
        watching.cancel()
        await asyncio.gather(self.sending, watching, return_exceptions=True)

    async def sleep_until(self, at_ns: int) -> None:
        """Sleep until a monotonic time, or until the caller asks us to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopped.wait(), (at_ns - time.monotonic_ns()) / NS_PER_S)

    async def send_all(self) -> None:
        """Send each request when it is due; after a late wake-up, all that are due by then."""
        with closing(PreciseTimer()) as timer:
            while self.next < len(self.requests):
                self.send_due(time.monotonic_ns())
                if self.next < len(self.requests):
                    await timer.wait_until(self.requests.intended_ns[self.next])

    def send_due(self, now_ns: int) -> None:
        """Send all requests that are due at `now_ns` and have not been sent; drop those beyond the bound in flight.

        None waits for a place: a request held back would hide the time in which there was none.
        """
        intended_ns, last = self.requests.intended_ns, len(self.requests)
        while self.next < last and intended_ns[self.next] <= now_ns:
            if len(self.open) < self.options.max_in_flight:
                self.open[self.next] = asyncio.create_task(self.send_one(self.next))
            else:
                self.requests.outcome[self.next] = DROPPED
            self.next += 1

    async def send_one(self, index: int) -> None:
        """Send one request and note its times, status, size and outcome; an error is an outcome too."""
        requests = self.requests
        requests.sent_ns[index] = time.monotonic_ns()
        try:
            async with self.session.get(self.url, allow_redirects=False) as response:
                requests.first_byte_ns[index] = time.monotonic_ns()
                body = await read_body(response)
                requests.status[index], requests.bytes[index] = response.status, len(body)
            requests.end(index, classify_answer(response.status, body, self.body))
        except TimeoutError:
            requests.end(index, TIMED_OUT)
        except Exception as error:  # whatever a request can die of is counted under its name
            requests.end(index, driver.exception_class(error))
        finally:
            del self.open[index]

    async def watch(self) -> None:
        """Wake often, and look for the file `stop`. A late wake-up: this process, not the server, stood still."""
        beat_ns, now_ns = round(HEARTBEAT_S * NS_PER_S), time.monotonic_ns()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            due_ns, now_ns = now_ns + beat_ns, time.monotonic_ns()  # no moment between two wake-ups is left out
            if now_ns - due_ns > driver.STALL_NS:
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
        """Wait until all are answered, but not beyond the drain; what is left open is cut off."""
        await asyncio.wait([self.sending])
        while self.open and time.monotonic_ns() < self.drained_ns:
            await asyncio.wait(self.open.values(), timeout=HEARTBEAT_S)  # `stop` may bring the end forward
        self.drained_ns = time.monotonic_ns()
        self.requests.censor()
        left = list(self.open.values())
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def read_body(response: ClientResponse) -> bytes:
    """Read the body as it came, or one byte more than the most that is read."""
    if response.content_length is not None and response.content_length <= MOST_BYTES:
        return await response.read()
    try:
        return await response.content.readexactly(MOST_BYTES + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial


def classify_answer(status: int, body: bytes, right: bytes) -> str:
    """Return `ok`, or the class under which a wrong answer is counted: `status 503`, `wrong body`."""
    if status != 200:
        return f"status {status}"
    return "wrong body" if right and body != right else OK


def write_rows(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows as gzipped CSV under the names in COLUMNS; the file is either absent or whole."""
    with driver.written_whole(path) as partial, gzip.open(partial, "wt", compresslevel=5, newline="") as text:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


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
    # would hide the failure. `test_open_loop.py` notices should the attribute go.
    session._retry_connection = False
    return session


async def drive(options: Options) -> None:
    """Wait for `go`, send the schedule, and write what became of it."""
    offsets_ns = schedule(options.schedule, options.rate, options.seed, options.warmup + options.duration)
    driver.spare_the_collector()
    async with new_session(options.timeout) as session:
        driver.wait_for(options.folder / "go")
        sender = Sender(options, session, offsets_ns)
        window = {"start_s": sender.start_ns / NS_PER_S, "end_s": sender.end_ns / NS_PER_S}
        driver.write_json(options.folder / "window.json", window)
        await sender.run()
    accounting = OpenAccounting(sender.requests, sender.start_ns, sender.end_ns, sender.drained_ns, options.duration)
    write_rows(options.folder / "requests.csv.gz", accounting.rows())
    driver.write_json(
        options.folder / f"recording-{os.getpid()}.json",
        accounting.recording(sender.stalls, sender.cpu_s) | {"engine": f"aiohttp {aiohttp_version}"},
    )


def main() -> None:
    """Drive the open loop to its end on an event loop of uvloop."""
    options = driver.read_options(Options, __doc__)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(drive(options))


if __name__ == "__main__":
    main()
