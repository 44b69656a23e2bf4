"""What the drivers of single connections share: their command line, a request on a stream of its own, their phases."""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import uvloop

from bench.base.bounded_http import MOST_BYTES
from bench.measure.load.open_loop import SPARE_FILES, allow_files, spare_the_collector, wait_for, write_json

T = TypeVar("T")
OPENED_PER_S = 1000
"""Connections are opened on a schedule of this rate, whatever becomes of those before them."""


class WrongStatus(ConnectionError):
    """An answer that is not 200; its text is the class under which it is counted."""


class Address:
    """Where the server is, and how to ask it there."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection. Raises OSError if that fails."""
        return await asyncio.open_connection(self.host, self.port)

    def request(self, method: str, path: str, *headers: str) -> bytes:
        """Return a request without a body as bytes; `headers` are whole lines."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def asked(self, method: str, path: str, within_s: float) -> Any:
        """The JSON answer on a connection of its own. OSError where there is none in time (a TimeoutError is one)."""
        async with asyncio.timeout(within_s):
            reader, writer = await self.connected()
            try:
                writer.write(self.request(method, path, "Content-Length: 0", "Connection: close"))
                require_ok(await reader.readuntil(b"\r\n"))
                _, _, body = (await read_all(reader)).partition(b"\r\n\r\n")
                return json.loads(body)
            except EOFError as error:
                raise ConnectionError(f"cut off: {error}") from None
            finally:
                writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end; ConnectionError where that is more than any right answer has."""
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


class Phases:
    """When each phase of a driver began, in monotonic seconds, as in `phases.json`; and the driver's own CPU in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "phases.json"
        self.began_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """Note that a phase begins now, and write all phases to `phases.json`."""
        self.began_s[name] = time.monotonic()
        write_json(self.path, self.began_s)

    async def through(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Begin a phase, do its work, note the CPU seconds it took, and return what the work returned."""
        self.begin(name)
        began_s = time.process_time()
        try:
            return await work()
        finally:
            self.cpu_s[name] = time.process_time() - began_s


async def on_schedule(
    count: int, start: Callable[[], Awaitable[None]], per_s: float = OPENED_PER_S
) -> list["asyncio.Task[None]"]:
    """So many tasks, begun one after the other at the rate of the schedule."""
    began_s, tasks = time.monotonic(), []
    for index in range(count):
        late_s = began_s + index / per_s - time.monotonic()
        if late_s > 0:
            await asyncio.sleep(late_s)
        tasks.append(asyncio.ensure_future(start()))
    return tasks


class Options(Protocol):
    """What every driver is told."""

    @property
    def connections(self) -> int:
        """Return how many connections to open."""

    @property
    def folder(self) -> Path:
        """Return the folder for `go`, phases and results."""


def parser_of(prog: str, description: str | None) -> argparse.ArgumentParser:
    """A parser of what every driver is told."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--url", required=True, help="scheme, host and port")
    parser.add_argument("--path", required=True, help="path and query that each connection asks for")
    parser.add_argument("--connections", type=int, required=True, help="how many")
    parser.add_argument("--folder", type=Path, required=True, help="where go and results are")
    return parser


def drive(options: Options, run: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Wait for the go, run the driver, and write down what it saw."""

    async def driven() -> None:
        spare_the_collector()
        wait_for(options.folder / "go")
        write_json(options.folder / "seen.json", await run())

    allow_files(options.connections + SPARE_FILES)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(driven())
