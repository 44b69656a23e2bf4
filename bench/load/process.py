"""The closed loop from the outside: start the Locust processes, give the go, gather and merge what they recorded."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.record import decode_histogram, new_histogram
from bench.servers import Process, free_port, start
from bench.stacks import HOST

LOCUST = ("python", "-m", "locust", "-f", "bench/load/closed.py", "--headless", "--only-summary")
QUIET = ("--loglevel", "WARNING", "--stop-timeout", "0")


@dataclass(frozen=True)
class Ask:
    """What the load does. `body` is the one right answer, None for any.

    Users start at random within `spread_s`, so that they do not march in step through the window.
    """

    url: str
    path: str
    body: bytes | None
    users: int
    warmup_s: float
    duration_s: float
    spread_s: float = 0.0


@dataclass(frozen=True)
class Recording:
    """Counts and latencies of one window, over all load processes. Times are monotonic seconds."""

    start_s: float
    end_s: float
    carried_in: int
    issued: int
    completed_halves: list[int]
    errors: dict[str, int]
    in_flight: int
    in_flight_oldest_us: int
    histogram: Any

    @property
    def completed(self) -> int:
        return sum(self.completed_halves)

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def lost(self) -> int:
        """What the books do not account for: carried in + issued - completed - failed - in flight; exactly 0."""
        return self.carried_in + self.issued - self.completed - self.failed - self.in_flight


def merge(parts: Sequence[dict[str, Any]]) -> Recording:
    """One recording out of those of all load processes; histograms are added count by count."""
    histogram, errors = new_histogram(), Counter[str]()
    for part in parts:
        histogram.add(decode_histogram(part["histogram"]))
        errors.update(part["errors"])
    return Recording(
        start_s=min(part["start_s"] for part in parts),
        end_s=max(part["end_s"] for part in parts),
        carried_in=sum(part["carried_in"] for part in parts),
        issued=sum(part["issued"] for part in parts),
        completed_halves=[sum(part["completed_halves"][half] for part in parts) for half in (0, 1)],
        errors=dict(errors),
        in_flight=sum(part["in_flight"] for part in parts),
        in_flight_oldest_us=max(part["in_flight_oldest_us"] for part in parts),
        histogram=histogram,
    )


class ClosedLoad:
    """Running Locust processes: one on its own, or a master and its workers."""

    def __init__(self, folder: Path, processes: list[Process], recordings: int) -> None:
        self.folder, self.processes, self.expected = folder, processes, recordings

    @property
    def command(self) -> list[str]:
        return self.processes[0].command

    def go(self) -> None:
        """The server is ready: let the users in."""
        (self.folder / "go").touch()

    def stop(self) -> None:
        """End the load at once: what it had to say is in its recordings."""
        for process in self.processes:
            process.stop(within_s=0)

    def window(self) -> tuple[float, float] | None:
        """Start and end of the window in monotonic seconds, once all users are there."""
        path = self.folder / "window.json"
        if not path.exists():
            return None
        window = json.loads(path.read_text())
        return window["start_s"], window["end_s"]

    def parts(self) -> list[dict[str, Any]]:
        """The recordings that have been written so far."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("recording-*.json"))]

    def is_recorded(self) -> bool:
        return len(list(self.folder.glob("recording-*.json"))) == self.expected

    def lost_process(self) -> str | None:
        """A sentence about a load process that ended without having recorded, if there is one."""
        for process in self.processes:
            if process.exit_status is not None and not self._settled():
                return (
                    f"a load process ended with status {process.exit_status} before it had recorded. "
                    f"The end of its log:\n{process.log_tail()}"
                )
        return None

    def _settled(self, within_s: float = 0.5) -> bool:
        """True when all recordings are there; a file may appear just after its process was seen to end."""
        deadline = time.monotonic() + within_s
        while not self.is_recorded() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.is_recorded()


def _arguments(ask: Ask, folder: Path) -> list[str]:
    return [
        *(*QUIET, "--host", ask.url, "--users", str(ask.users), "--spawn-rate", str(ask.users)),
        *("--lab-path", ask.path, "--lab-body", (ask.body or b"").decode()),
        *("--lab-warmup", str(ask.warmup_s), "--lab-duration", str(ask.duration_s)),
        *("--lab-spread", str(ask.spread_s)),
        *("--lab-folder", str(folder)),
    ]


def commands(ask: Ask, folder: Path, processes: int) -> list[list[str]]:
    """The Locust command lines: one alone, or the master's first and then one for each worker."""
    if processes == 1:
        return [[*LOCUST, *_arguments(ask, folder)]]
    port = str(free_port())
    master = ["--master", "--master-bind-host", HOST, "--master-bind-port", port]
    worker = ["--worker", "--master-host", HOST, "--master-port", port]
    waits = ["--expect-workers", str(processes)]
    return [
        [*LOCUST, *_arguments(ask, folder), *master, *waits],
        *([*LOCUST, *_arguments(ask, folder), *worker] for _ in range(processes)),
    ]


@contextmanager
def closed_load(ask: Ask, folder: Path, *, processes: int, cpus: Sequence[int]) -> Iterator[ClosedLoad]:
    """Locust processes that load and then wait for `go`; stopped on the way out, whatever happened."""
    with ExitStack() as stack:
        running = []
        for index, command in enumerate(commands(ask, folder, processes)):
            log = folder / f"load-{index}.log"
            popen = start(command, environment={}, cpus=cpus, log=log)
            process = Process(command, popen, log, list(cpus))
            stack.callback(process.stop, within_s=0)
            running.append(process)
        yield ClosedLoad(folder, running, recordings=processes)
