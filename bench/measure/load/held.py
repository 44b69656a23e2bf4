"""Connections that stay open, on asyncio streams: open N feeds, hold them, publish to all, close.

Run as a subprocess, because the driver wants a process and a core of its own:

    python -m bench.measure.load.held --url URL --path '/feed?n=100&ms=10000' --connections 1000
        --hold 3 --folder FOLDER

Files in FOLDER: `go` (made by the caller), `phases.json` (when each phase began), `seen.json` (what came of it).
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure.load.http_stream import Address, Phases, WrongStatus, drive, on_schedule, parser_of, require_ok
from bench.measure.load.open_loop import error_class
from bench.model.histograms import encode_histogram, new_histogram

STARVED_AFTER_S = 3.0
"""When for so long no feed has had its first event, those that have none are starved."""
EVENTS, EVENT_EVERY_S = 5, 0.5
PUBLISHED_WITHIN_S = 8.0
"""Longer than a server that is only busy takes to answer; after it nobody is left there to take what is published."""
DELIVERED_WITHIN_S = 3.0
CLOSED_WITHIN_S = 3.0
EVENT_END = b"\n\n"


@dataclass(frozen=True)
class Options:
    """The command line. `hold` is in seconds."""

    url: str
    path: str
    connections: int
    hold: float
    folder: Path


@dataclass
class News:
    """One published event: when it was sent for publishing, in how many feeds it was seen, and when in the last one."""

    sent_s: float
    seen: int = 0
    last_seen_s: float = 0.0


@dataclass
class Books:
    """Every feed is served, starved, or counted as an error; a served one may be lost later."""

    first_byte_us: Any = field(default_factory=new_histogram)
    delivery_us: Any = field(default_factory=new_histogram)
    served: int = 0
    lost: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    news: list[News] = field(default_factory=list)
    refused_to_publish: int = 0

    @property
    def settled(self) -> int:
        """Return how many feeds are served or counted as errors."""
        return self.served + self.errors.total()


class Driver:
    """Opens the feeds, publishes to them, and closes them."""

    def __init__(self, options: Options) -> None:
        self.options, self.books, self.phases = options, Books(), Phases(options.folder)
        self.address = Address(options.url)
        self.writers: list[asyncio.StreamWriter] = []
        self.closing = False
        self.all_settled, self.all_told = asyncio.Event(), asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """All phases, one after the other."""
        feeds = await self.phases.through("opening", self.open_all)
        await self.phases.through("holding", lambda: asyncio.sleep(self.options.hold))
        await self.phases.through("publishing", self.publish_all)
        await self.phases.through("closing", lambda: self.close_all(feeds))
        self.phases.begin("closed")
        return self.result()

    async def open_all(self) -> list["asyncio.Task[None]"]:
        """Open all, then wait until each has had an event, or the rest is starved."""
        feeds = await on_schedule(self.options.connections, self.feed)
        seen = -1
        while not self.all_settled.is_set() and seen < self.books.settled:
            seen = self.books.settled
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_settled.wait(), STARVED_AFTER_S)
        return feeds

    async def feed(self) -> None:
        """One connection, until it is closed."""
        served = False
        try:
            reader = await self.opened()
            served = True
            while True:
                self.hear(await reader.readuntil(EVENT_END))
        except (OSError, EOFError) as error:
            if self.closing:
                return
            self.books.lost += served
            self.settle(None if served else str(error) if isinstance(error, WrongStatus) else error_class(error))

    async def opened(self) -> asyncio.StreamReader:
        """A feed that has sent its first event."""
        began_ns = time.monotonic_ns()
        reader, writer = await self.address.connected()
        self.writers.append(writer)
        writer.write(self.address.request("GET", self.options.path))
        require_ok(await reader.readuntil(b"\r\n"))
        await reader.readuntil(EVENT_END)
        self.books.first_byte_us.record_value((time.monotonic_ns() - began_ns) // 1000)
        self.books.served += 1
        self.settle()
        return reader

    def settle(self, error: str | None = None) -> None:
        """Count a feed that will not be served, and see whether any is still without its fate."""
        if error:
            self.books.errors[error] += 1
        if self.books.settled == self.options.connections:
            self.all_settled.set()

    def hear(self, block: bytes) -> None:
        """Note when a published event has come; ticks of the feed's own say nothing."""
        _, found, text = block.partition(b"event: news\ndata: ")
        if not found:
            return
        news = self.books.news[int(text)]
        news.last_seen_s = time.monotonic()
        news.seen += 1
        self.books.delivery_us.record_value(max(1, round((news.last_seen_s - news.sent_s) * 1e6)))
        if news.seen == self.books.served - self.books.lost:
            self.all_told.set()

    async def publish_all(self) -> None:
        """One event after the other, until the server has nobody left who could take one; none where nobody listens."""
        for number in range(EVENTS if self.books.served else 0):
            self.all_told.clear()
            news = News(time.monotonic())
            self.books.news.append(news)
            try:
                await self.address.asked("POST", f"/publish?text={number}", PUBLISHED_WITHIN_S)
            except OSError:
                self.books.refused_to_publish += 1
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_told.wait(), DELIVERED_WITHIN_S)
            await asyncio.sleep(max(0.0, news.sent_s + EVENT_EVERY_S - time.monotonic()))

    async def close_all(self, feeds: list["asyncio.Task[None]"]) -> None:
        """Close all connections and wait CLOSED_WITHIN_S for the feeds; cancel the rest."""
        self.closing = True
        for writer in self.writers:
            writer.close()
        await asyncio.wait(feeds, timeout=CLOSED_WITHIN_S)
        for feed in feeds:
            feed.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)

    def result(self) -> dict[str, Any]:
        """Return everything that was seen as JSON data: times in seconds, histograms encoded."""
        books = self.books
        published = books.news[: len(books.news) - books.refused_to_publish]
        return {
            "served": books.served,
            "starved": self.options.connections - books.settled,
            "lost": books.lost,
            "errors": dict(books.errors),
            "asked_to_publish": len(books.news),
            "published": len(published),
            "undelivered": sum(max(0, books.served - books.lost - news.seen) for news in published),
            "all_delivered_s": [news.last_seen_s - news.sent_s for news in published if news.seen],
            "first_byte": encode_histogram(books.first_byte_us),
            "delivery": encode_histogram(books.delivery_us),
            "phases": self.phases.began_s,
            "cpu_s": self.phases.cpu_s,
        }


def main() -> None:
    """Read the command line, wait for the go, and write what was seen; see the module for the files."""
    parser = parser_of("python -m bench.measure.load.held", __doc__)
    parser.add_argument("--hold", type=float, required=True, help="seconds to hold them before anything is published")
    options = Options(**vars(parser.parse_args()))
    drive(options, Driver(options).run)


if __name__ == "__main__":
    main()
