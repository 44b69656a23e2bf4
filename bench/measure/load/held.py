"""Connections that stay open, on asyncio streams: open N feeds, hold them, publish to all, close.

Run as a subprocess, because the driver wants a process and a core of its own (files: see `http_stream.py`):

    python -m bench.measure.load.held --url URL --path '/feed?n=100&ms=10000' --connections 1000
        --hold 3 --folder FOLDER
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from bench.measure.load import http_stream
from bench.measure.load.driver import exception_class
from bench.model.histograms import encode_histogram, new_histogram

STARVED_AFTER_S = 3.0
"""When for so long no feed has had its first event, those that have none are starved."""
EVENTS, EVENT_EVERY_S = 5, 0.5
PUBLISHED_WITHIN_S = 8.0
"""Longer than a server that is only busy takes to answer; later than that it has nothing left to answer with."""
DELIVERED_WITHIN_S = 3.0
CLOSED_WITHIN_S = 3.0
EVENT_END = b"\n\n"


@dataclass(frozen=True, kw_only=True)
class Options(http_stream.StreamOptions):
    """The command line."""

    hold: Annotated[float, "seconds to hold them before anything is published"]


@dataclass
class PublishedEvent:
    """One published event: when it was sent for publishing, in how many feeds it was seen, and when in the last one."""

    sent_s: float
    seen: int = 0
    last_seen_s: float = 0.0


class Driver(http_stream.StreamDriver[Options]):
    """Opens the feeds, publishes to them, and closes them.

    Every feed is served, starved, or counted as an error; one that is served may be lost later.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.first_byte_us, self.delivery_us = new_histogram(), new_histogram()
        self.served = self.lost = self.refused_to_publish = 0
        self.errors: Counter[str] = Counter()
        self.published: list[PublishedEvent] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.closing = False
        self.all_settled, self.all_delivered = asyncio.Event(), asyncio.Event()

    @property
    def settled(self) -> int:
        """Return how many feeds are served or counted as errors."""
        return self.served + self.errors.total()

    async def run_phases(self) -> dict[str, Any]:
        """Open, hold, publish, close. Return times in seconds, and histograms encoded."""
        feeds = await self.run_phase("opening", self.open_all)
        await self.run_phase("holding", lambda: asyncio.sleep(self.options.hold))
        await self.run_phase("publishing", self.publish_all)
        await self.run_phase("closing", lambda: self.close_all(feeds))
        self.begin("closed")
        published = self.published[: len(self.published) - self.refused_to_publish]
        return {
            "served": self.served,
            "starved": self.options.connections - self.settled,
            "lost": self.lost,
            "errors": self.errors,
            "asked_to_publish": len(self.published),
            "published": len(published),
            "undelivered": sum(max(0, self.served - self.lost - event.seen) for event in published),
            "all_delivered_s": [event.last_seen_s - event.sent_s for event in published if event.seen],
            "first_byte": encode_histogram(self.first_byte_us),
            "delivery": encode_histogram(self.delivery_us),
        }

    async def open_all(self) -> list["asyncio.Task[None]"]:
        """Open all, then wait until each has had an event, or the rest is starved."""
        feeds = await self.start_all(self.read_feed)
        settled = -1
        while not self.all_settled.is_set() and settled < self.settled:
            settled = self.settled
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_settled.wait(), STARVED_AFTER_S)
        return feeds

    async def read_feed(self) -> None:
        """Open one feed and read it until it is closed."""
        served = False
        try:
            reader = await self.open_feed()
            served = True
            while True:
                self.note_event(await reader.readuntil(EVENT_END))
        except (OSError, EOFError) as error:
            if self.closing:
                return
            if served:
                self.lost += 1
            else:
                self.errors[str(error) if isinstance(error, http_stream.WrongStatus) else exception_class(error)] += 1
            self.note_settled()

    async def open_feed(self) -> asyncio.StreamReader:
        """Open a feed and wait for its first event."""
        began_ns = time.monotonic_ns()
        reader, writer = await self.address.send("GET", self.options.path)
        self.writers.append(writer)
        http_stream.require_ok(await reader.readuntil(b"\r\n"))
        await reader.readuntil(EVENT_END)
        self.first_byte_us.record_value((time.monotonic_ns() - began_ns) // 1000)
        self.served += 1
        self.note_settled()
        return reader

    def note_settled(self) -> None:
        """End the waiting when each feed is served or counted as an error."""
        if self.settled == self.options.connections:
            self.all_settled.set()

    def note_event(self, block: bytes) -> None:
        """Note when a published event has come; the feed's own ticks say nothing."""
        _, found, number = block.partition(b"event: news\ndata: ")
        if not found:
            return
        event = self.published[int(number)]
        event.last_seen_s = time.monotonic()
        event.seen += 1
        self.delivery_us.record_value(max(1, round((event.last_seen_s - event.sent_s) * 1e6)))
        if event.seen == self.served - self.lost:
            self.all_delivered.set()

    async def publish_all(self) -> None:
        """Publish one event after the other, until the server does not take one; none if no feed is served."""
        for number in range(EVENTS if self.served else 0):
            self.all_delivered.clear()
            event = PublishedEvent(time.monotonic())
            self.published.append(event)
            try:
                await self.address.fetch_json("POST", f"/publish?text={number}", PUBLISHED_WITHIN_S)
            except OSError:
                self.refused_to_publish += 1
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_delivered.wait(), DELIVERED_WITHIN_S)
            await asyncio.sleep(max(0.0, event.sent_s + EVENT_EVERY_S - time.monotonic()))

    async def close_all(self, feeds: list["asyncio.Task[None]"]) -> None:
        """Close all connections and wait CLOSED_WITHIN_S for the feeds; cancel the rest."""
        self.closing = True
        for writer in self.writers:
            writer.close()
        await asyncio.wait(feeds, timeout=CLOSED_WITHIN_S)
        for feed in feeds:
            feed.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)


if __name__ == "__main__":
    http_stream.main(Driver, Options, __doc__)
