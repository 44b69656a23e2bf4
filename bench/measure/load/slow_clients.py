"""Slow clients beside ordinary visitors: bodies that trickle in, or answers that are read slowly.

The visitors ask for `hello` all the time, alone at first and then beside the slow clients: what they lose is what slow
clients take. Run as a subprocess, because the driver wants a process and a core of its own (files: see
`http_stream.py`):

    python -m bench.measure.load.slow_clients --url URL --path '/upload?n=100' --sends 100000 --connections 16
        --over 3 --visitors 4 --alone 2 --folder FOLDER
"""

import asyncio
import json
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

from bench.measure.load import http_stream
from bench.measure.load.driver import exception_class
from bench.model.histograms import encode_histogram, new_histogram

VISITED, PAUSE_S = "/hello", 0.05
"""What a visitor asks for, and how long it waits before it asks again: this many visitors make no server busy."""
VISITED_WITHIN_S, DONE_WITHIN_S = 30.0, 60.0
PART_EVERY_S = 0.1
RECEIVE_BYTES = 64_000
"""What the kernel may hold of an answer: by itself it takes in megabytes, as if they had been read."""
LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
WRONG_BODY = "wrong body"


@dataclass(frozen=True, kw_only=True)
class Options(http_stream.StreamOptions):
    """The command line."""

    over: Annotated[float, "seconds that each takes to send its body, or to read its answer"]
    sends: Annotated[int, "bytes of the body; without any the answer is what is slow"] = 0
    visitors: Annotated[int, "how many ordinary visitors there are"]
    alone: Annotated[float, "seconds that they are alone before the slow clients come"]


@dataclass
class Visit:
    """One request of a visitor, in monotonic seconds. `failed`: it was answered wrongly or not at all."""

    sent_s: float
    answered_s: float | None = None
    failed: bool = False


class WrongBody(ConnectionError):
    """An answer without the right body."""


class Driver(http_stream.StreamDriver[Options]):
    """Sends visitors all the time and slow clients for a while. Each slow client is served, starved or an error."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.served = 0
        self.errors: Counter[str] = Counter()
        self.visits: list[Visit] = []
        self.stopping = False

    async def run_phases(self) -> dict[str, Any]:
        """Visitors alone, then the slow clients beside them until the last is done. Return counts and latencies."""
        visitors = [asyncio.ensure_future(self.keep_visiting(number)) for number in range(self.options.visitors)]
        await self.run_phase("alone", lambda: asyncio.sleep(self.options.alone))
        clients = await self.run_phase("opening", lambda: self.start_all(self.be_slow))
        await self.run_phase("holding", lambda: self.wait_for(clients))
        self.stopping = True
        await self.run_phase("leaving", lambda: asyncio.gather(*visitors))
        inside = await self.address.fetch_json("GET", "/whoami", VISITED_WITHIN_S)
        self.begin("done")
        of_clients = dict(self.errors)
        return {
            "served": self.served,
            "starved": self.options.connections - self.served - self.errors.total(),
            "failed": self.errors.total(),
            "errors": of_clients,
            "inside_most": inside["inside_most"],
            "alone": self.visits_in("alone", "opening"),
            "beside": self.visits_in("opening", "leaving"),
        }

    async def wait_for(self, clients: list["asyncio.Task[None]"]) -> None:
        """Wait DONE_WITHIN_S for the slow clients; the rest is starved."""
        await asyncio.wait(clients, timeout=DONE_WITHIN_S)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def keep_visiting(self, number: int) -> None:
        """Visit again and again; visitors do not come in step."""
        await asyncio.sleep(PAUSE_S * number / self.options.visitors)
        while not self.stopping:
            await self.visit()
            await asyncio.sleep(PAUSE_S)

    async def visit(self) -> None:
        """Ask once, on a connection of its own."""
        visit = Visit(time.monotonic())
        self.visits.append(visit)
        try:
            await self.address.fetch_json("GET", VISITED, VISITED_WITHIN_S)
            visit.answered_s = time.monotonic()
        except TimeoutError:
            visit.answered_s = None
        except OSError:
            visit.failed = True

    def visits_in(self, first: str, end: str) -> dict[str, Any]:
        """Count the visits between the beginnings of two phases; a visit belongs to the phase in which it was sent.

        A visit that was not answered has, in the histogram, the time for which it was waited.
        """
        since_s, until_s = self.began_s[first], self.began_s[end]
        sent = [visit for visit in self.visits if since_s <= visit.sent_s < until_s]
        took_us = new_histogram()
        for visit in sent:
            if not visit.failed:
                took_s = VISITED_WITHIN_S if visit.answered_s is None else visit.answered_s - visit.sent_s
                took_us.record_value(max(1, round(1e6 * took_s)))
        answered = sum(since_s <= visit.answered_s < until_s for visit in self.visits if visit.answered_s)
        return {
            "lasted_s": until_s - since_s,
            "answered_per_s": answered / (until_s - since_s),
            "unanswered": sum(visit.answered_s is None and not visit.failed for visit in sent),
            "failed": sum(visit.failed for visit in sent),
            "latency": encode_histogram(took_us),
        }

    async def be_slow(self) -> None:
        """Be one slow client, and note how it ended."""
        try:
            await (self.send_slowly() if self.options.sends else self.read_slowly())
            self.served += 1
        except (OSError, EOFError) as error:
            of_answer = isinstance(error, http_stream.WrongStatus | WrongBody)
            self.errors[str(error) if of_answer else exception_class(error)] += 1

    async def send_slowly(self) -> None:
        """Send the body in parts, and require the answer that says how long it was."""
        length = self.options.sends
        reader, writer = await self.address.send("POST", self.options.path, f"Content-Length: {length}")
        try:
            async for part in self.parts_of(length):
                writer.write(b"x" * part)
                await writer.drain()
            if json.loads(await reader.readexactly(await length_of_answer(reader))) != {"received": length}:
                raise WrongBody(WRONG_BODY)
        finally:
            writer.close()

    async def read_slowly(self) -> None:
        """Read the answer in parts to its end."""
        connection = await self.connect_with_little_room()
        reader, writer = await self.address.send("GET", self.options.path, connection=connection)
        try:
            async for part in self.parts_of(await length_of_answer(reader)):
                await reader.readexactly(part)
        finally:
            writer.close()

    async def connect_with_little_room(self) -> socket.socket:
        """Connect with room for RECEIVE_BYTES, which must be said before. Raises OSError."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (self.address.host, self.address.port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def parts_of(self, length: int) -> Any:
        """Yield the sizes of the parts, each when it is due: the first at once, the last after `over` seconds."""
        began_s, parts = time.monotonic(), max(1, round(self.options.over / PART_EVERY_S))
        for number in range(parts):
            late_s = began_s + self.options.over * number / max(1, parts - 1) - time.monotonic()
            if late_s > 0:
                await asyncio.sleep(late_s)
            yield length * (number + 1) // parts - length * number // parts


async def length_of_answer(reader: asyncio.StreamReader) -> int:
    """Read status line and headers, and return how long the body is. Raises WrongStatus and WrongBody."""
    http_stream.require_ok(await reader.readuntil(b"\r\n"))
    found = LENGTH.search(await reader.readuntil(b"\r\n\r\n"))
    if not found:
        raise WrongBody(WRONG_BODY)
    return int(found[1])


if __name__ == "__main__":
    http_stream.main(Driver, Options, __doc__)
