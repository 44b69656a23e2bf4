"""What the drivers of single connections share: a request on a stream of its own, and a run in phases.

Files in their folder: `go` (made by the caller), `phases.json` (when each phase began, in monotonic seconds),
`seen.json` (what was seen, at the end).
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

import uvloop

from bench.base.bounded_http import MOST_BYTES
from bench.measure.load import driver
from bench.measure.load.driver import DriverOptions, write_json

T = TypeVar("T")
OPENED_PER_S = 1000
"""Connections are opened on a schedule of this rate, whatever becomes of those before them."""


class WrongStatus(ConnectionError):
    """An answer that is not 200; its text is the class under which it is counted."""


class Address:
    """The address of a server, and requests to it, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)

    async def send(
        self, method: str, path: str, *headers: str, connection: socket.socket | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request without a body on a new connection, or on this one; `headers` are whole lines.

        Raises OSError.
        """
        where = {"sock": connection} if connection else {"host": self.host, "port": self.port}
        reader, writer = await asyncio.open_connection(**where)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers, "\r\n"]
        writer.write("\r\n".join(lines).encode())
        return reader, writer

    async def fetch_json(self, method: str, path: str, within_s: float) -> Any:
        """Send a request and return its JSON answer. Raises OSError, of which TimeoutError is one, without any."""
        async with asyncio.timeout(within_s):
            reader, writer = await self.send(method, path, "Content-Length: 0", "Connection: close")
            try:
                require_ok(await reader.readuntil(b"\r\n"))
                _, _, body = (await read_all(reader)).partition(b"\r\n\r\n")
                return json.loads(body)
            except EOFError as error:
                raise ConnectionError(f"cut off: {error}") from None
            finally:
                writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Read to the end. Raises ConnectionError if that is more than any right answer has."""
    try:
        await reader.readexactly(MOST_BYTES + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    raise ConnectionError(f"more than {MOST_BYTES:,} bytes")


def require_ok(status_line: bytes) -> None:
    """Raise WrongStatus unless the line says 200."""
    status = status_line.split()[1:2]
    if status != [b"200"]:
        raise WrongStatus(f"status {status[0].decode(errors='replace') if status else 'unreadable'}")


def is_among(number: int, chosen: int, of: int) -> bool:
    """Return whether connection `number`, from 1 on, is one of the `chosen`, which are spread evenly among `of`."""
    return number * chosen // of > (number - 1) * chosen // of


@dataclass(frozen=True, kw_only=True)
class StreamOptions(DriverOptions):
    """The command line of every driver of single connections."""

    connections: Annotated[int, "how many"]


Options = TypeVar("Options", bound=StreamOptions)


class StreamDriver(Generic[Options]):
    """A run in phases: when each began, in monotonic seconds, and the CPU seconds that the driver used in it."""

    def __init__(self, options: Options) -> None:
        self.options, self.address = options, Address(options.url)
        self.began_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    async def run(self) -> dict[str, Any]:
        """Run all phases and return what was seen, as JSON data."""
        return {**await self.run_phases(), "phases": self.began_s, "cpu_s": self.cpu_s}

    async def run_phases(self) -> dict[str, Any]:
        """Run all phases and return what this driver saw. Each driver has its own."""
        raise NotImplementedError

    def begin(self, phase: str) -> None:
        """Note that a phase begins now, and write all that have begun to `phases.json`."""
        self.began_s[phase] = time.monotonic()
        write_json(self.options.folder / "phases.json", self.began_s)

    async def run_phase(self, phase: str, work: Callable[[], Awaitable[T]]) -> T:
        """Begin a phase, do its work, note the CPU seconds that it took, and return what the work returned."""
        self.begin(phase)
        began_s = time.process_time()
        try:
            return await work()
        finally:
            self.cpu_s[phase] = time.process_time() - began_s

    async def start_all(
        self, start: Callable[[], Awaitable[None]], per_s: float = OPENED_PER_S
    ) -> list["asyncio.Task[None]"]:
        """Start a task for each connection, on a schedule of `per_s` tasks a second."""
        began_s, tasks = time.monotonic(), []
        for index in range(self.options.connections):
            late_s = began_s + index / per_s - time.monotonic()
            if late_s > 0:
                await asyncio.sleep(late_s)
            tasks.append(asyncio.ensure_future(start()))
        return tasks


def main(kind: type[StreamDriver[Options]], options_kind: type[Options], description: str | None) -> None:
    """Read the command line, wait for `go`, run the driver, and write what it saw to `seen.json`."""
    options = driver.read_options(options_kind, description)
    running = kind(options)

    async def run() -> None:
        driver.spare_the_collector()
        driver.wait_for(options.folder / "go")
        write_json(options.folder / "seen.json", await running.run())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
