"""The closed loop on wrk, which is written in C: as many users as `closed.py` has, at several times its rate.

Run as a subprocess, because it waits for wrk and reads its clock:

    python -m bench.measure.load.wrk --url URL --path /wait?ms=100 --body TEXT --users 50 --processes 1 \
        --warmup 1 --duration 3 --spread 0.1 --folder FOLDER

Each of the processes is a wrk with one thread and its share of the users. What happens inside is in `wrk.lua`: every
answer is checked, and the window is cut as in `closed.py`. Files in FOLDER: `go` and `stop` (made by the caller),
`window.json` (start and end in monotonic seconds), and one `recording-N.json` for each wrk.

Three things differ from Locust. A latency begins when the request is written, after the connection is made. A request
is never given up. A user who cannot connect again is given up, and counts as one `connect error`.
"""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil

from bench.base.programs import path_of
from bench.measure.load import driver
from bench.measure.load.driver import HEARTBEAT_S, NS_PER_S
from bench.measure.processes import Process
from bench.model.histograms import encode_histogram, new_histogram
from bench.model.trial_record import column_s

SCRIPT = Path(__file__).with_name("wrk.lua")
HEADERS = ("User-Agent: wrk", "Accept-Encoding: gzip, deflate, br")
"""As many as Locust sends, so that a server does the same work for both."""
TIMEOUT_S = 60  # wrk's histogram ends there, as `wrk.lua` knows; no request is given up
BOOT_S = 0.1
SPARE_S = 60  # it is ended before
HAND_IN_WITHIN_S = 5.0
SILENCE_US = 200_000  # as in closed.py
MOST_MEMORY_BYTES = 3 * 2**29
"""Of one wrk, its histogram included: it keeps the whole of an answer, however long."""
NO_SERVER = "unable to connect"
"""What wrk prints where it cannot connect even once; then it ends."""
NOTHING: dict[str, Any] = {
    "is_known": True,
    "waited_us": 0,
    "carried_in": 0,
    "in_flight": 0,
    "answered_halves": [0, 0],
    "answered": [],
    "silences_us": [],
    "latencies": [],
}


@dataclass(frozen=True, kw_only=True)
class Options(driver.DriverOptions):
    """The command line."""

    body: Annotated[str, "the one right answer; empty: any"] = ""
    users: Annotated[int, "connections, over all processes"]
    processes: Annotated[int, "how many wrk there are"] = 1
    warmup: Annotated[float, "seconds before the window"]
    duration: Annotated[float, "seconds of the window"]
    spread: Annotated[float, "users start at random within so many seconds"] = 0.0


def read_version() -> str:
    """Return what the installed wrk calls itself: `wrk debian/4.1.0-3+b2`. Raises MissingDependency without wrk."""
    printed = subprocess.run([path_of("wrk"), "-v"], capture_output=True, text=True, timeout=10, check=False).stdout
    return " ".join(printed.split()[:2])


@dataclass(frozen=True)
class Window:
    """Start and end in monotonic ns."""

    start_ns: int
    end_ns: int

    @property
    def column_ns(self) -> int:
        """The width of the columns in which answers are counted."""
        return int(column_s((self.end_ns - self.start_ns) / NS_PER_S) * NS_PER_S)

    def command(self, options: Options, users: int, tally: Path) -> list[str]:
        """Return the command of one wrk, which writes its tally to this file."""
        for_s = math.ceil(BOOT_S + options.warmup + options.duration) + SPARE_S
        times_us = (self.start_ns, self.end_ns, int(options.spread * NS_PER_S), self.column_ns, SILENCE_US * 1000)
        return [
            *(path_of("wrk"), "-t1", f"-c{users}", f"-T{TIMEOUT_S}s", f"-d{for_s}s", "-s", str(SCRIPT)),
            *(word for header in HEADERS for word in ("-H", header)),
            *(options.url + options.path, "--", options.body),
            *(f"{at_ns / 1000:.3f}" for at_ns in times_us),
            str(tally),
        ]


class Instance:
    """One running wrk."""

    def __init__(self, process: Process, users: int, tally: Path) -> None:
        self.process, self.users, self.tally = process, users, tally
        self.cpu_from_s = self.cpu_to_s = 0.0

    @property
    def found_no_server(self) -> bool:
        """Whether it ended because nobody listens."""
        return self.process.exit_status is not None and NO_SERVER in self.process.log_tail()

    @property
    def stands_still(self) -> bool:
        """Whether it was stopped by a signal."""
        return any(member.status() == psutil.STATUS_STOPPED for member in self.process.family())

    def cpu_s(self) -> float:
        """Read the CPU time used so far; 0 once it has ended."""
        return sum(sum(member.cpu_times()[:2]) for member in self.process.family()[:1])

    def require_running(self) -> None:
        """End this program with a sentence if wrk has ended by itself, without a tally."""
        if self.process.exit_status is not None and not self.tally.exists() and not self.found_no_server:
            sys.exit(f"wrk ended {self.process.end_text}: {self.process.log_tail()}")

    def hand_in(self, window: Window) -> dict[str, Any]:
        """End it, and return its tally."""
        if self.found_no_server:
            return unreached(self.users, window)
        self.process.popen.send_signal(signal.SIGINT)
        deadline_s = time.monotonic() + HAND_IN_WITHIN_S
        while not self.tally.exists():
            self.require_running()
            if time.monotonic() > deadline_s:
                sys.exit(f"wrk wrote no tally within {HAND_IN_WITHIN_S:g} s: {self.process.log_tail()}")
            time.sleep(driver.POLL_S)
        tally: dict[str, Any] = json.loads(self.tally.read_text())
        return tally


def unreached(users: int, window: Window) -> dict[str, Any]:
    """Return the tally of users of whom none could connect."""
    times_us = {"start_us": window.start_ns / 1000, "end_us": window.end_ns / 1000}
    return NOTHING | times_us | {"issued": users, "errors": {"connect error": users}}


def recording_of(tally: dict[str, Any], window: Window) -> dict[str, Any]:
    """Return a tally of `wrk.lua` as a recording. Exits where wrk's histogram does not hold what was counted."""
    histogram, completed = new_histogram(), sum(tally["answered_halves"])
    for latency_us, count in tally["latencies"]:
        histogram.record_value(max(1, latency_us), count)
    if not tally["is_known"] or histogram.get_total_count() != completed:
        sys.exit(
            f"wrk's histogram has {histogram.get_total_count()} latencies of {completed} right answers: "
            "run with --engine locust."
        )
    duration_us = tally["end_us"] - tally["start_us"]
    edges_s = [round((at_us - tally["start_us"]) / 1e6, 3) for at_us in tally["silences_us"]]
    return {
        "duration_s": duration_us / 1e6,
        "waited_s": tally["waited_us"] / 1e6,
        **{name: tally[name] for name in ("carried_in", "issued", "in_flight", "answered_halves", "errors")},
        "completed": completed,
        "answered": tally["answered"][: math.ceil(duration_us * 1000 / window.column_ns)],
        "answered_every_s": window.column_ns / NS_PER_S,
        "in_flight_oldest_us": 0,
        "histogram": encode_histogram(histogram),
        "silences": list(zip(edges_s[::2], edges_s[1::2], strict=True)),
    }


class WrkLoad:
    """All wrk processes of a load, from `go` to their recordings."""

    def __init__(self, options: Options, window: Window, instances: Sequence[Instance]) -> None:
        self.options, self.window, self.instances = options, window, instances
        self.stalls_ns: list[tuple[int, int]] = []

    def run(self) -> None:
        """Watch through the window, then write the recordings."""
        self._watch_until(self.window.start_ns)
        for one in self.instances:
            one.cpu_from_s = one.cpu_s()
        self._watch_until(self.window.end_ns)
        for one in self.instances:
            one.cpu_to_s = one.cpu_s()
        version = read_version()
        for number, one in enumerate(self.instances, 1):
            recording = recording_of(one.hand_in(self.window), self.window)
            end_ns = self.window.start_ns + int(recording["duration_s"] * NS_PER_S)
            driver.write_json(
                self.options.folder / f"recording-{number}.json",
                recording
                | {
                    "engine": version,
                    "stalls": driver.cut_to_window(self.stalls_ns, self.window.start_ns, end_ns),
                    "cpu_s": max(0.0, one.cpu_to_s - one.cpu_from_s),
                },
            )

    def _watch_until(self, until_ns: int) -> None:
        """Look often, until then or until we are to stop: a late look, or a wrk that stands still, is a stall."""
        beat_ns, looked_ns = int(HEARTBEAT_S * NS_PER_S), time.monotonic_ns()
        while (now_ns := time.monotonic_ns()) < until_ns and not (self.options.folder / "stop").exists():
            time.sleep(min(HEARTBEAT_S, (until_ns - now_ns) / NS_PER_S))
            for one in self.instances:
                one.require_running()
            if any(one.stands_still for one in self.instances):
                continue
            self._look(looked_ns + beat_ns)
            looked_ns = time.monotonic_ns()
        self._look(looked_ns + beat_ns)

    def _look(self, meant_ns: int) -> None:
        if time.monotonic_ns() - meant_ns > driver.STALL_NS:
            self.stalls_ns.append((meant_ns, time.monotonic_ns()))


def shares_of(users: int, processes: int) -> list[int]:
    """Split the users evenly; there are no more shares than users."""
    return [len(range(first, users, processes)) for first in range(min(users, processes))]


@contextmanager
def running(options: Options, window: Window) -> Iterator[list[Instance]]:
    """Start each wrk, on our own cores; end them all on the way out."""
    with ExitStack() as stack:
        instances = []
        for number, users in enumerate(shares_of(options.users, options.processes), 1):
            tally = options.folder / f"wrk-{number}.json"
            process = Process.start(window.command(options, users, tally), log=tally.with_suffix(".log"))
            stack.callback(process.stop, within_s=0)
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
            instances.append(Instance(process, users, tally))
        yield instances


def main() -> None:
    """Wait for `go`, then drive the load to its end."""
    options = driver.read_options(Options, __doc__)
    driver.wait_for(options.folder / "go")
    start_ns = time.monotonic_ns() + int((BOOT_S + options.warmup) * NS_PER_S)
    window = Window(start_ns, start_ns + int(options.duration * NS_PER_S))
    with running(options, window) as instances:
        edges_s = {"start_s": window.start_ns / NS_PER_S, "end_s": window.end_ns / NS_PER_S}
        driver.write_json(options.folder / "window.json", edges_s)
        WrkLoad(options, window, instances).run()


if __name__ == "__main__":
    main()
