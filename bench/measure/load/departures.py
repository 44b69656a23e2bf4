"""Clients that leave before their answer: N requests, each given up after a while but for those of some who stay, and
what the server goes on doing.

Run as a subprocess, because the driver wants a process and a core of its own:

    python -m bench.measure.load.departures --url URL --path '/wait?ms=1000' --connections 50
        --leave-after 0.1 --folder FOLDER

Files in FOLDER: `go` (made by the caller), `phases.json` (when each phase began), `seen.json` (what came of it).
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure.load.http_stream import Address, Phases, drive, on_schedule, parser_of, require_ok

NEWCOMER_WITHIN_S = 30.0
QUIET_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
QUIET_LOOKS = 3
"""So often in a row nobody may be inside: a request that the server has not read yet is in no view."""


@dataclass(frozen=True)
class Options:
    """The command line. `leave_after` is in seconds; `staying` of the `connections` wait for their answer."""

    url: str
    path: str
    connections: int
    leave_after: float
    staying: int
    folder: Path


class Driver:
    """Opens the connections, leaves, and watches the server go quiet; counts what became of each request."""

    def __init__(self, options: Options) -> None:
        self.options, self.phases, self.address = options, Phases(options.folder), Address(options.url)
        self.answered = self.left = self.asked = 0
        self.errors: Counter[str] = Counter()
        self.before: dict[str, int] = {}

    async def run(self) -> dict[str, Any]:
        """All leave; then somebody new comes; then it is waited for quiet."""
        self.before = await self.address.asked("GET", "/whoami", NEWCOMER_WITHIN_S)
        await self.phases.through("asking", self.all_leave)
        newcomer_s = await self.phases.through("left", self.newcomer_s)
        quiet_s, after = await self.phases.through("waiting", self.quiet)
        self.phases.begin("quiet")
        ended, cut_short = (after[name] - self.before[name] for name in ("inside_ended", "inside_cut_short"))
        return {
            "left": self.left,
            "answered": self.answered,
            "errors": self.errors,
            "ended": ended,
            "cut_short": cut_short,
            "newcomer_s": newcomer_s,
            "quiet_s": quiet_s,
            "phases": self.phases.began_s,
            "cpu_s": self.phases.cpu_s,
        }

    async def all_leave(self) -> None:
        """Start all requests on schedule, and return when each was answered or given up."""
        await asyncio.gather(*await on_schedule(self.options.connections, self.ask))

    async def ask(self) -> None:
        """Wait a little for the answer and go, or stay."""
        patience_s = NEWCOMER_WITHIN_S if self.stays() else self.options.leave_after
        reader, writer = await self.address.connected()
        writer.write(self.address.request("GET", self.options.path))
        try:
            require_ok(await asyncio.wait_for(reader.readuntil(b"\r\n"), patience_s))
            self.answered += 1
        except TimeoutError:
            self.left += 1
        except (OSError, EOFError) as error:
            self.errors[str(error) or type(error).__name__] += 1
        writer.close()

    def stays(self) -> bool:
        """Whether the next one does: those who stay are spread evenly among all."""
        self.asked += 1
        staying, of = self.options.staying, self.options.connections
        return self.asked * staying // of > (self.asked - 1) * staying // of

    async def newcomer_s(self) -> float | None:
        """How long somebody waits who comes when the last has left."""
        began_s = time.monotonic()
        with suppress(OSError):
            await self.address.asked("GET", "/hello", NEWCOMER_WITHIN_S)
            return time.monotonic() - began_s
        return None

    async def quiet(self) -> tuple[float | None, dict[str, int]]:
        """Seconds from the last leaving until nobody was inside any view, None where that never came; and whoami."""
        deadline_s, looks = time.monotonic() + QUIET_WITHIN_S, 0
        seen = self.before
        while time.monotonic() < deadline_s:
            seen = await self.address.asked("GET", "/whoami", QUIET_WITHIN_S)
            looks = 0 if seen["inside_now"] else looks + 1
            if looks == 1:
                quiet_s = time.monotonic() - self.phases.began_s["left"]
            if looks == QUIET_LOOKS:
                return quiet_s, seen
            await asyncio.sleep(LOOK_EVERY_S)
        return None, seen


def main() -> None:
    """Read the command line, wait for the go, and write what was seen; see the module for the files."""
    parser = parser_of("python -m bench.measure.load.departures", __doc__)
    parser.add_argument("--leave-after", type=float, required=True, help="seconds that each waits for its answer")
    parser.add_argument("--staying", type=int, default=0, help="how many of them wait for their answer")
    options = Options(**vars(parser.parse_args()))
    drive(options, Driver(options).run)


if __name__ == "__main__":
    main()
