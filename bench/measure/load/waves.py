"""Two waves of N requests, each of which takes a while; then one request after another until the server is well again.

Run as a subprocess, because the driver wants a process and a core of its own (files: see `http_stream.py`):

    python -m bench.measure.load.waves --url URL --path '/hold?ms=1500' --connections 60 --folder FOLDER
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from bench.measure.load import http_stream

SENT_PER_S = 50
ANSWERED_WITHIN_S = 30.0
RECOVERED_WITHIN_S = 15.0
TRY_AGAIN_S = 0.1
AFTERWARDS = "/rows?n=1"


@dataclass(frozen=True, kw_only=True)
class Options(http_stream.StreamOptions):
    """The command line."""

    look_after: Annotated[float, "seconds without a request after each wave"] = 2.0


@dataclass(frozen=True)
class WaveRequest:
    """One request, in monotonic seconds. `error` is empty for a right answer."""

    began_s: float
    ended_s: float
    error: str


class Driver(http_stream.StreamDriver[Options]):
    """Sends both waves, then asks until the server answers again."""

    async def run_phases(self) -> dict[str, Any]:
        """Send the waves and wait for recovery. Times are in monotonic seconds."""
        waves = []
        for name in ("first", "second"):
            waves.append(await self.run_phase(name, self.send_wave))
            self.begin(f"after_{name}")
            await asyncio.sleep(self.options.look_after)
        return {"waves": waves, "recovered_s": await self.run_phase("asking", self.wait_for_recovery)}

    async def send_wave(self) -> list[dict[str, Any]]:
        """Send all requests of a wave and return them in the order in which they were sent."""
        seen: list[WaveRequest] = []
        await asyncio.gather(*await self.start_all(lambda: self.send_one(seen), per_s=SENT_PER_S))
        return [asdict(one) for one in sorted(seen, key=lambda one: one.began_s)]

    async def send_one(self, seen: list[WaveRequest]) -> None:
        """Send one request of a wave and add what became of it to `seen`."""
        began_s, error = time.monotonic(), ""
        try:
            await self.address.fetch_json("GET", self.options.path, ANSWERED_WITHIN_S)
        except OSError as failure:
            error = str(failure) or type(failure).__name__
        seen.append(WaveRequest(began_s, time.monotonic(), error))

    async def wait_for_recovery(self) -> float | None:
        """Ask for one row until that is answered rightly; return the seconds it took, None if it took too long."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < RECOVERED_WITHIN_S:
            with suppress(OSError):
                await self.address.fetch_json("GET", AFTERWARDS, RECOVERED_WITHIN_S)
                return time.monotonic() - began_s
            await asyncio.sleep(TRY_AGAIN_S)
        return None


if __name__ == "__main__":
    http_stream.main(Driver, Options, __doc__)
