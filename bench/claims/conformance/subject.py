"""A server that is asked: where it listens, what its application notes, and how a held request goes on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

from bench.base.polling import eventually
from bench.claims.conformance import waits
from bench.claims.conformance.client import Client, connected, request
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import RunningServer, serving
from bench.model.servers import Budget, Interface, ServerKind
from bench.model.stacks import LIVE, Lab, Stack

SHORT_KEEP_ALIVE_S, THREADS = 2, 4
SHORTER = {"75": "2", "60000": "2000"}
"""The words by which commands of SERVERS set how long an idle connection is kept, and those for SHORT_KEEP_ALIVE_S."""


class CouldNotAsk(Exception):
    """One sentence: why a question found no answer."""


@dataclass(eq=False)
class Subject:
    """A running server. `notes`: the folder of its application's notes. `server` is None for one without a process."""

    port: int
    notes: Path
    interface: Interface
    server: RunningServer | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def has_ended(self) -> bool:
        """Return whether its first process has ended."""
        return self.server is not None and self.server.exit_status is not None

    @property
    def is_ready(self) -> bool:
        """Ask it for its name; False if it has ended or does not answer any more."""
        try:
            with connected(self.port) as client:
                client.send(request("/ready", "Connection: close"))
                return client.read_answer() == 200
        except OSError:
            return False

    @property
    def is_told_keep_alive(self) -> bool:
        """Return whether its command says how long to keep an idle connection."""
        return self.server is None or bool({*SHORTER.values()} & {*self.server.command})

    @property
    def process(self) -> RunningServer:
        """Return the server's process. Raises CouldNotAsk for one without."""
        if self.server is None:
            raise CouldNotAsk("it has no process of its own.")
        return self.server

    @property
    def memory_bytes(self) -> int:
        """Add up the resident memory of its processes."""
        return sum(process.memory_info().rss for process in self.process.family())

    @property
    def refuses(self) -> bool:
        """Return whether it takes no new connection."""
        try:
            with connected(self.port):
                return False
        except OSError:
            return True

    def events(self, key: str) -> list[str]:
        """Return what the application has noted of a request, in order."""
        file = self.notes / key
        return file.read_text().splitlines() if file.exists() else []

    def has_noted(self, key: str, event: str, within_s: float | None = None) -> bool:
        """Wait until the application has noted an event; False if it has not within that time, or has ended."""
        within_s = waits.ANSWERS_S if within_s is None else within_s
        eventually(lambda: event in " ".join(self.events(key)) or self.has_ended, within_s)
        return event in " ".join(self.events(key))

    def go_on(self, key: str) -> None:
        """Let a held request go on."""
        (self.notes / f"{key}.go").touch()

    @contextmanager
    def asking(self, path: str, *, small: bool = False) -> Iterator[tuple[Client, str, str]]:
        """Connect for one request; yield the client, the path with a key of its own, and that key.

        On the way out the client hangs up, and a request that is still held goes on.
        """
        key = f"request-{next(self._numbers)}"
        try:
            with connected(self.port, small=small) as client:
                yield client, f"{path}?key={key}", key
        finally:
            self.go_on(key)

    @contextmanager
    def holding(self, path: str) -> Iterator[tuple[Client, str]]:
        """Send a request that is held in the application; yield the client and the key once it is there.

        Raises CouldNotAsk if it does not get there.
        """
        with self.asking(path) as (client, target, key):
            client.send(request(target))
            if not self.has_noted(key, "entered"):
                raise CouldNotAsk("the request did not reach the application.")
            yield client, key


def settled(value: Callable[[], int], most: int) -> int:
    """Wait until a number has come to rest above 0, or has reached `most`; return it."""
    eventually(value, waits.ANSWERS_S)
    seen, since_s = value(), time.monotonic()
    while seen < most and time.monotonic() - since_s < waits.QUIET_S:
        time.sleep(0.05)
        if seen != (now := value()):
            seen, since_s = now, time.monotonic()
    return seen


def stack_of(kind: ServerKind, interface: Interface) -> Stack:
    """Return the application of `labs/conformance` on one process of this server, with a few threads if it takes some.

    It asks for WebSockets and lifespan, also of a server of which no lab does.
    """
    lab = Lab("conformance", "conformance", "async", interface, "what a server is asked to do", LIVE)
    return Stack(lab, kind, Budget(THREADS if interface in kind.takes_threads else None, 1))


@contextmanager
def serving_subject(kind: ServerKind, interface: Interface) -> Iterator[Subject]:
    """Start a server with a short keep-alive; ended at once afterwards. Raises NotRun if it does not boot."""
    stack, port = stack_of(kind, interface), free_port()
    stack.require_installed()
    command = [SHORTER.get(word, word) for word in stack.command(port)]
    with (
        work_folder("conformance") as notes,
        serving(command, port, environment={"LAB_NOTES": str(notes)}, grace_s=0) as server,
    ):
        yield Subject(port, notes, interface, server)


def pids_of(subject: Subject) -> set[int]:
    """Return the process ids of the server."""
    return {process.pid for process in subject.process.family() if process.status() != psutil.STATUS_ZOMBIE}
