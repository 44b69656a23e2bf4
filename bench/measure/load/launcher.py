"""Starts the processes of a load, gives the go, and gathers what they recorded.

A closed loop is Locust (`closed.py`), alone or as a master with workers here or on other machines, or wrk (`wrk.py`);
an open loop is `open_loop.py`. All speak through files in one folder: see the head of `closed.py`.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measure.load.mix import Mix
from bench.measure.load.recording import Recording, Stretch, merge
from bench.measure.ports import free_port, require_free
from bench.measure.processes import Process, start
from bench.model.load import Closed, Open, Paced, WindowLoad
from bench.model.servers import OWN_HOST_VARIABLE
from bench.model.trial_plan import Engine

LOCUST = ("python", "-m", "locust", "-f", "bench/measure/load/closed.py", "--headless", "--only-summary")
WRK = ("python", "-m", "bench.measure.load.wrk")
OPEN_LOOP = ("python", "-m", "bench.measure.load.open_loop")
QUIET = ("--loglevel", "WARNING", "--stop-timeout", "0")
TIMEOUT_S = 30.0  # of a request of the open loop
DRAIN_S = 3.0  # after an open loop's window; what is unanswered then is censored
POLL_S = 0.01
FAREWELL_S = 1.5
MIX = "mix.json"


@dataclass(frozen=True)
class LoadSpec:
    """What the load does. `body` is the one right answer, None for any. `mix`: what a closed loop asks for instead.

    Users start at random within `spread_s`, so that they do not march in step through the window. `io_wait_s`: how long
    each request waits at least.
    """

    url: str
    path: str
    body: bytes | None
    load: WindowLoad
    warmup_s: float
    duration_s: float
    spread_s: float = 0.0
    schedule: str = "poisson"
    seed: int = 0
    max_in_flight: int = 1000
    io_wait_s: float = 0.0
    mix: Mix | None = None


class RunningLoad:
    """Running load processes: one on its own, or a master and its workers."""

    def __init__(self, folder: Path, processes: list[Process], engine: Engine) -> None:
        self.folder, self.processes, self.engine = folder, processes, engine
        self.expected = engine.recordings

    @property
    def command(self) -> list[str]:
        """Return the command of the first process, as it is written in `run.json`."""
        return self.processes[0].command

    @property
    def requests_file(self) -> Path:
        """Every single request of an open loop, as gzipped CSV; absent for a closed one."""
        return self.folder / "requests.csv.gz"

    def go(self) -> None:
        """Let the load in: the server is ready."""
        (self.folder / "go").touch()

    def hand_in(self, within_s: float) -> Recording | None:
        """End the window now, and merge the recordings; None where they are not all there in time."""
        (self.folder / "stop").touch()
        return merge(self.parts()) if self._settled(within_s) else None

    def stop(self) -> None:
        """End the load at once; its recordings stay."""
        for process in self.processes:
            process.stop(_farewell_s(self.engine))

    def window(self) -> Stretch | None:
        """Start and end of the window in monotonic seconds, once all users are there."""
        path = self.folder / "window.json"
        if not path.exists():
            return None
        window = json.loads(path.read_text())
        return window["start_s"], window["end_s"]

    def missing(self) -> str | None:
        """A sentence about workers that have not found the master; None where all have."""
        arrived = len(list(self.folder.glob("worker-*")))
        if not self.engine.is_distributed or arrived == self.expected:
            return None
        there = f"only {arrived} of {self.expected} load processes had arrived"
        if not self.engine.expect_workers:
            return f"{there}. The end of the last one's log:\n{self.processes[-1].log_tail()}".rstrip()
        master = f"{self.engine.bind}:{self.engine.port}"
        return f"{there}: start `lab load-worker --master {master}` where the others are to run."

    def refusal(self) -> str | None:
        """The sentence of a worker that refuses to load our host; None where none does."""
        path = self.folder / "refused"
        return json.loads(path.read_text())["sentence"] if path.exists() else None

    def parts(self) -> list[dict[str, Any]]:
        """The recordings that have been written so far."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("recording-*.json"))]

    def is_recorded(self) -> bool:
        """Return whether every load process has handed in its recording."""
        return len(list(self.folder.glob("recording-*.json"))) == self.expected

    def lost_process(self) -> str | None:
        """A sentence about a load process that ended or left the master without a recording; None where none did."""
        lost = len(list(self.folder.glob("lost-*")))
        if lost and not self._settled(0.0):
            return f"{lost} of {self.expected} load processes went silent or left before the window was recorded."
        for process in self.processes:
            if process.exit_status is not None and not self._settled(0.5):
                return (
                    f"a load process ended with status {process.exit_status} before it had recorded "
                    f"({len(self.parts())} of {self.expected} recordings are here). "
                    f"The end of its log:\n{process.log_tail()}"
                )
        return None

    def _settled(self, within_s: float) -> bool:
        """Wait for all recordings: a file may appear just after its process was seen to end."""
        deadline = time.monotonic() + within_s
        while not self.is_recorded() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.is_recorded()


def commands(spec: LoadSpec, folder: Path, engine: Engine) -> list[list[str]]:
    """The commands that start the load: the open loop, wrk, one Locust, or a Locust master and its workers here."""
    if isinstance(spec.load, Open):
        return [[*OPEN_LOOP, *_open_arguments(spec, spec.load, folder)]]
    if engine.program == "wrk":
        return [[*WRK, *_wrk_arguments(spec, spec.load, folder, engine)]]
    closed = [*LOCUST, *_closed_arguments(spec, spec.load, folder)]
    if not engine.is_distributed:
        return [closed]
    port = str(engine.port if engine.expect_workers else free_port(engine.bind))
    master = ["--master", "--master-bind-host", engine.bind, "--master-bind-port", port]
    worker = worker_command(engine.bind, port)
    return [
        [*closed, *master, "--expect-workers", str(engine.recordings)],
        *(worker for _ in range(engine.processes)),
    ]


def worker_command(master: str, port: int | str) -> list[str]:
    """The command of a Locust worker, which learns everything else from its master."""
    return [*LOCUST, *QUIET, "--worker", "--master-host", master, "--master-port", str(port)]


def _closed_arguments(spec: LoadSpec, load: Closed | Paced, folder: Path) -> list[str]:
    users = load.users
    return [
        *(*QUIET, "--host", spec.url, "--users", str(users), "--spawn-rate", str(users)),
        *_arguments(spec, folder, "--lab-"),
        *("--lab-spread", str(spec.spread_s)),
        *(("--lab-rate-each", str(load.rate_per_s / users)) if isinstance(load, Paced) else ()),
        *(("--lab-mix", str(folder / MIX)) if spec.mix else ()),
    ]


def _wrk_arguments(spec: LoadSpec, load: Closed | Paced, folder: Path, engine: Engine) -> list[str]:
    """Users of wrk start within one wait: all that is answered while they start would be answered in step."""
    return [
        *("--url", spec.url, "--users", str(load.users), "--processes", str(engine.processes)),
        *_arguments(spec, folder, "--"),
        *("--spread", str(min(spec.spread_s, spec.io_wait_s))),
    ]


def _open_arguments(spec: LoadSpec, load: Open, folder: Path) -> list[str]:
    return [
        *("--url", spec.url, "--rate", str(load.rate_per_s), "--schedule", spec.schedule, "--seed", str(spec.seed)),
        *_arguments(spec, folder, "--"),
        *("--timeout", str(TIMEOUT_S), "--drain", str(DRAIN_S), "--max-in-flight", str(spec.max_in_flight)),
    ]


def _arguments(spec: LoadSpec, folder: Path, prefix: str) -> list[str]:
    return [
        *(f"{prefix}path", spec.path, f"{prefix}body", (spec.body or b"").decode()),
        *(f"{prefix}warmup", str(spec.warmup_s), f"{prefix}duration", str(spec.duration_s)),
        *(f"{prefix}folder", str(folder)),
    ]


def _fitting(engine: Engine, load: WindowLoad) -> Engine:
    """Return the engine for this load: the open loop is one process, and each wrk has a user."""
    if isinstance(load, Open):
        return Engine()
    return replace(engine, processes=min(engine.processes, load.users)) if engine.program == "wrk" else engine


def _farewell_s(engine: Engine) -> float:
    """Return how long a load process has to end.

    A master tells workers elsewhere that all is done or over: they would find out by themselves seconds later.
    """
    return FAREWELL_S if engine.expect_workers else 0


@contextmanager
def running_load(
    spec: LoadSpec, folder: Path, *, engine: Engine, cpus: Sequence[int], allowed: bool = False
) -> Iterator[RunningLoad]:
    """Start load processes, which boot and then wait for `go`; stop them on the way out, whatever happened.

    `allowed`: the user said that a target beyond loopback is theirs.
    """
    engine = _fitting(engine, spec.load)
    if engine.expect_workers:
        require_free(engine.port, engine.bind, option="--bind ADDRESS:PORT")
    environment = {OWN_HOST_VARIABLE: "1"} if allowed else {}
    if spec.mix:
        spec.mix.write(folder / MIX)
    with ExitStack() as stack:
        running = []
        for index, command in enumerate(commands(spec, folder, engine)):
            log = folder / f"load-{index}.log"
            popen = start(command, environment=environment, cpus=cpus, log=log)
            process = Process(command, popen, log, list(cpus))
            stack.callback(process.stop, within_s=_farewell_s(engine))
            running.append(process)
        yield RunningLoad(folder, running, engine)
