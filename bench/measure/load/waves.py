"""Two waves of N requests that come one after the other and each take a while, and then one who asks whether all is
well again. Run as a subprocess, because the driver wants a process and a core of its own:

    python -m bench.measure.load.waves --url URL --path '/hold?ms=1500' --connections 60 --folder FOLDER

Files in FOLDER: `go` (made by the caller), `phases.json` (when each phase began), `seen.json` (what came of it).
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.measure.load.http_stream import Address, Phases, drive, on_schedule, parser_of

ASKED_PER_S = 50
ANSWERED_WITHIN_S = 30.0
RECOVERED_WITHIN_S = 15.0
ASK_AGAIN_S = 0.1
AFTERWARDS = "/rows?n=1"


@dataclass(frozen=True)
class Options:
    """The command line. `look_after` is in seconds."""

    url: str
    path: str
    connections: int
    look_after: float
    folder: Path


@dataclass(frozen=True)
class Asked:
    """One request, in monotonic seconds. `error` is empty for a right answer."""

    began_s: float
    ended_s: float
    error: str


class Driver:
    """Sends both waves, then asks until the server answers again."""

    def __init__(self, options: Options) -> None:
        self.options, self.phases, self.address = options, Phases(options.folder), Address(options.url)

    async def run(self) -> dict[str, Any]:
        """Run all phases and return what was seen as JSON data: times in monotonic seconds."""
        waves = []
        for name in ("first", "second"):
            waves.append(await self.phases.through(name, self.wave))
            self.phases.begin(f"after_{name}")
            await asyncio.sleep(self.options.look_after)
        recovered_s = await self.phases.through("asking", self.recovered_s)
        return {
            "waves": [[asdict(asked) for asked in wave] for wave in waves],
            "recovered_s": recovered_s,
            "phases": self.phases.began_s,
            "cpu_s": self.phases.cpu_s,
        }

    async def wave(self) -> list[Asked]:
        """In the order in which they were asked."""
        asked: list[Asked] = []
        tasks = await on_schedule(self.options.connections, lambda: self.ask(asked), per_s=ASKED_PER_S)
        await asyncio.gather(*tasks)
        return sorted(asked, key=lambda one: one.began_s)

    async def ask(self, asked: list[Asked]) -> None:
        """Send one request of a wave and add what became of it to `asked`."""
        began_s, error = time.monotonic(), ""
        try:
            await self.address.asked("GET", self.options.path, ANSWERED_WITHIN_S)
        except OSError as failure:
            error = str(failure) or type(failure).__name__
        asked.append(Asked(began_s, time.monotonic(), error))

    async def recovered_s(self) -> float | None:
        """From now on until a request for one row is answered rightly."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < RECOVERED_WITHIN_S:
            with suppress(OSError):
                await self.address.asked("GET", AFTERWARDS, RECOVERED_WITHIN_S)
                return time.monotonic() - began_s
            await asyncio.sleep(ASK_AGAIN_S)
        return None


def main() -> None:
    """Read the command line, wait for the go, and write what was seen; see the module for the files."""
    parser = parser_of("python -m bench.measure.load.waves", __doc__)
    parser.add_argument("--look-after", type=float, default=2.0, help="seconds without a request after each wave")
    options = Options(**vars(parser.parse_args()))
    drive(options, Driver(options).run)


if __name__ == "__main__":
    main()
