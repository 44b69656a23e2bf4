"""Clients that send the same request again and again: those of a show, and those that an exercise is measured with."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.base.errors import NotRun
from bench.measure.load.http_stream import Address

ANSWERED_WITHIN_S = 30.0


@dataclass
class Client:
    """Sends a GET, waits for the answer, pauses, and sends it again; `sent_s` is None during the pause."""

    name: str
    stack: str
    path: str
    pause_s: float = 0.0
    took_ms: list[float] = field(default_factory=list)
    sent_s: float | None = None

    async def repeat(self, address: Address) -> None:
        """Until cancelled. NotRun if the server no longer answers."""
        while True:
            began_s = self.sent_s = time.monotonic()
            await get(address, self.path, self.stack)
            self.took_ms.append(1000 * (time.monotonic() - began_s))
            self.sent_s = None
            await asyncio.sleep(self.pause_s)

    @property
    def waits_ms(self) -> float | None:
        """How long the last answer took, or how long the client has waited for the next one, whichever is longer."""
        waited_ms = [] if self.sent_s is None else [1000 * (time.monotonic() - self.sent_s)]
        return max([*self.took_ms[-1:], *waited_ms], default=None)


async def get(address: Address, path: str, stack: str, within_s: float = ANSWERED_WITHIN_S) -> Any:
    """Send one GET and return the answer's JSON. NotRun if the server of that stack no longer answers."""
    try:
        return await address.fetch_json("GET", path, within_s)
    except OSError as error:
        raise NotRun(f"{stack} no longer answers {path} ({error}): try again.") from None


@asynccontextmanager
async def repeating(clients: Sequence[Client], address: Address) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """Let all clients send their requests for as long as the `async with` block runs."""
    tasks = [asyncio.ensure_future(client.repeat(address)) for client in clients]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def stay(for_s: float, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait so long, or until a client gives up, whose error is raised."""
    given_up, _ = await asyncio.wait(tasks, timeout=max(0.0, for_s), return_when=asyncio.FIRST_COMPLETED)
    for task in given_up:
        task.result()
