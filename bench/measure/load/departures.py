"""Clients that leave before their answer: N requests, most given up after a while, and what the server then does.

Run as a subprocess, because the driver wants a process and a core of its own (files: see `http_stream.py`):

    python -m bench.measure.load.departures --url URL --path '/wait?ms=1000' --connections 50
        --leave-after 0.1 --folder FOLDER
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from bench.measure.load import http_stream

NEWCOMER_WITHIN_S = 30.0
QUIET_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
QUIET_LOOKS = 3
"""So many looks in a row must find no request in a view: a request that the server has not read yet is in none."""


@dataclass(frozen=True, kw_only=True)
class Options(http_stream.StreamOptions):
    """The command line."""

    leave_after: Annotated[float, "seconds that each waits for its answer"]
    staying: Annotated[int, "how many of them wait for their answer"] = 0


class Driver(http_stream.StreamDriver[Options]):
    """Opens the connections, leaves, and watches the server go quiet; counts what became of each request."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.answered = self.left = self.sent = 0
        self.errors: Counter[str] = Counter()

    async def run_phases(self) -> dict[str, Any]:
        """Send and leave, then send one new request, then wait until the server is quiet."""
        before = await self.address.fetch_json("GET", "/whoami", NEWCOMER_WITHIN_S)
        await self.run_phase("asking", self.leave_all)
        newcomer_s = await self.run_phase("left", self.time_newcomer)
        quiet_s, after = await self.run_phase("waiting", self.wait_for_quiet)
        self.begin("quiet")
        return {
            "left": self.left,
            "answered": self.answered,
            "errors": self.errors,
            "ended": after["inside_ended"] - before["inside_ended"],
            "cut_short": after["inside_cut_short"] - before["inside_cut_short"],
            "newcomer_s": newcomer_s,
            "quiet_s": quiet_s,
        }

    async def leave_all(self) -> None:
        """Start all requests on schedule, and return when each was answered or given up."""
        await asyncio.gather(*await self.start_all(self.leave_one))

    async def leave_one(self) -> None:
        """Send a request; wait for the answer a little, or to its end."""
        patience_s = NEWCOMER_WITHIN_S if self.next_stays() else self.options.leave_after
        reader, writer = await self.address.send("GET", self.options.path)
        try:
            http_stream.require_ok(await asyncio.wait_for(reader.readuntil(b"\r\n"), patience_s))
            self.answered += 1
        except TimeoutError:
            self.left += 1
        except (OSError, EOFError) as error:
            self.errors[str(error) or type(error).__name__] += 1
        writer.close()

    def next_stays(self) -> bool:
        """Return whether the next client stays: those that do are spread evenly among all."""
        self.sent += 1
        return http_stream.is_among(self.sent, self.options.staying, self.options.connections)

    async def time_newcomer(self) -> float | None:
        """Return the seconds that a client waits who comes when the last has left; None without an answer."""
        began_s = time.monotonic()
        with suppress(OSError):
            await self.address.fetch_json("GET", "/hello", NEWCOMER_WITHIN_S)
            return time.monotonic() - began_s
        return None

    async def wait_for_quiet(self) -> tuple[float | None, dict[str, int]]:
        """Look until no request is in a view. Return the seconds that took from the last leaving on, None if it took
        too long, and the last answer of whoami.
        """
        deadline_s, looks = time.monotonic() + QUIET_WITHIN_S, 0
        seen: dict[str, int] = {}
        while time.monotonic() < deadline_s:
            seen = await self.address.fetch_json("GET", "/whoami", QUIET_WITHIN_S)
            looks = 0 if seen["inside_now"] else looks + 1
            if looks == 1:
                quiet_s = time.monotonic() - self.began_s["left"]
            if looks == QUIET_LOOKS:
                return quiet_s, seen
            await asyncio.sleep(LOOK_EVERY_S)
        return None, seen


if __name__ == "__main__":
    http_stream.main(Driver, Options, __doc__)
