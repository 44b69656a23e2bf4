"""Streams of small parts, read as they come: N at once, some left half way, and what became of them upstream.

They begin one after the other in the first OPENED_SHARE of the time that a stream lasts: before the first client
leaves, all are there at once.

A stream is carried if it is about as quick as its upstream: the first part comes within FIRST_WITHIN_S, and hardly a
gap between two parts is longer than MOST_GROWTH times the upstream's. Run as a subprocess, because the driver wants a
process and a core of its own (files: see `http_stream.py`):

    python -m bench.measure.load.streams --url URL --path '/tokens?n=50&ms=100' --parts 50 --every 0.1
        --connections 50 --leaving 10 --upstream URL --folder FOLDER
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal

from bench.measure.load import http_stream
from bench.measure.load.driver import exception_class
from bench.model.histograms import encode_histogram, new_histogram

OPENED_SHARE = 0.4
FIRST_WITHIN_S, MOST_GROWTH, MOST_SLOW_SHARE = 1.0, 2.0, 0.05
"""What a stream that is carried may have: its first part so late, and this share of gaps over so many times theirs."""
LATE_AFTER_S = 3.0
"""So long after its upstream could have been done, a stream is late."""
ASKED_WITHIN_S, LOOK_EVERY_S = 5.0, 0.05
PART_END = b"\n\n"
PART = b"event: token\ndata: %d" + PART_END


@dataclass(frozen=True, kw_only=True)
class Options(http_stream.StreamOptions):
    """The command line."""

    parts: Annotated[int, "parts of each stream"]
    every: Annotated[float, "seconds from one part to the next, as the upstream writes them"]
    leaving: Annotated[int, "how many clients leave half way"]
    upstream: Annotated[str, "the URL of the upstream, which counts its streams"]

    @property
    def lasts_s(self) -> float:
        """How long the upstream takes for a stream, in seconds."""
        return (self.parts - 1) * self.every


@dataclass
class Stream:
    """One stream, in monotonic nanoseconds. `end`: how it ended, `late` until then."""

    sent_ns: int
    arrived_ns: list[int] = field(default_factory=list)
    ended_ns: int = 0
    end: Literal["late", "whole", "left", "failed"] = "late"

    @property
    def first_ns(self) -> int:
        """From the request to the first part; without any, the time for which it was waited."""
        return (self.arrived_ns[0] if self.arrived_ns else self.ended_ns) - self.sent_ns

    @property
    def gaps_ns(self) -> list[int]:
        """The times between two parts, in order."""
        return [later - earlier for earlier, later in pairwise(self.arrived_ns)]

    def is_carried(self, every_s: float) -> bool:
        """Return whether the stream was about as quick as an upstream that writes a part each `every_s` seconds."""
        if self.end not in ("whole", "left") or not self.arrived_ns or self.first_ns > 1e9 * FIRST_WITHIN_S:
            return False
        gaps_ns = self.gaps_ns if self.end == "whole" else [*self.gaps_ns, self.ended_ns - self.arrived_ns[-1]]
        slow = sum(gap_ns > 1e9 * MOST_GROWTH * every_s for gap_ns in gaps_ns)
        return slow <= MOST_SLOW_SHARE * len(gaps_ns)


class WrongPart(ConnectionError):
    """A part that is not the next one."""


class Driver(http_stream.StreamDriver[Options]):
    """Opens the streams, reads them, leaves some half way; asks the upstream before and after what became of them."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.streams: list[Stream] = []
        self.errors: Counter[str] = Counter()
        self.upstream = http_stream.Address(options.upstream)

    async def run_phases(self) -> dict[str, Any]:
        """Open, read until all have ended or are late, close. Return counts, and histograms encoded."""
        before = await self.ask_upstream()
        per_s = self.options.connections / max(LOOK_EVERY_S, OPENED_SHARE * self.options.lasts_s)
        reading = await self.run_phase("opening", lambda: self.start_all(self.follow, per_s))
        after = await self.run_phase("holding", lambda: self.wait_for(reading))
        await self.run_phase("closing", lambda: self.close_all(reading))
        self.begin("done")
        return self.counts() | {
            "errors": dict(self.errors),
            "upstream": {name: after[name] - before[name] for name in after},
        }

    async def ask_upstream(self) -> dict[str, int]:
        """Return what became of the upstream's streams so far. Raises OSError."""
        counted: dict[str, int] = await self.upstream.fetch_json("GET", "/streams", ASKED_WITHIN_S)
        return counted

    async def follow(self) -> None:
        """Read one stream to its end, or leave it half way; note how it ended."""
        stream = Stream(time.monotonic_ns())
        self.streams.append(stream)
        leaves = http_stream.is_among(len(self.streams), self.options.leaving, self.options.connections)
        try:
            async with asyncio.timeout(self.options.lasts_s / 2 if leaves else None):
                await self.read(stream)
            stream.end = "whole"
        except TimeoutError:
            stream.end = "left"
        except (OSError, EOFError) as error:
            stream.end = "failed"
            of_answer = isinstance(error, http_stream.WrongStatus | WrongPart)
            self.errors[str(error) if of_answer else exception_class(error)] += 1
        finally:
            stream.ended_ns = time.monotonic_ns()

    async def read(self, stream: Stream) -> None:
        """Ask for a stream and read it to the end of its connection, so that the server is done as well."""
        reader, writer = await self.address.send("GET", self.options.path, "Connection: close")
        try:
            http_stream.require_ok(await reader.readuntil(b"\r\n"))
            for number in range(self.options.parts):
                if not (await reader.readuntil(PART_END)).endswith(PART % number):
                    raise WrongPart("wrong part")
                stream.arrived_ns.append(time.monotonic_ns())
            await http_stream.read_all(reader)
        finally:
            writer.close()

    async def wait_for(self, reading: list["asyncio.Task[None]"]) -> dict[str, int]:
        """Wait until all streams have ended here and upstream, or are late. Return the upstream's counts."""
        deadline_s = time.monotonic() + self.options.lasts_s + LATE_AFTER_S
        await asyncio.wait(reading, timeout=deadline_s - time.monotonic())
        while True:
            counted = await self.ask_upstream()
            if counted["begun"] == counted["ended"] + counted["cut_short"] or time.monotonic() > deadline_s:
                return counted
            await asyncio.sleep(LOOK_EVERY_S)

    async def close_all(self, reading: list["asyncio.Task[None]"]) -> None:
        """Give up the streams that are late."""
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def counts(self) -> dict[str, Any]:
        """Count how the streams ended, and gather the times to the first part and between parts, in microseconds."""
        first_us, gaps_us = new_histogram(), new_histogram()
        for stream in self.streams:
            first_us.record_value(max(1, stream.first_ns // 1000))
            for gap_ns in stream.gaps_ns:
                gaps_us.record_value(max(1, gap_ns // 1000))
        ends = Counter(stream.end for stream in self.streams)
        return {
            **{end: ends[end] for end in ("whole", "left", "late", "failed")},
            "carried": sum(stream.is_carried(self.options.every) for stream in self.streams),
            "parts": sum(len(stream.arrived_ns) for stream in self.streams),
            "first_part": encode_histogram(first_us),
            "gaps": encode_histogram(gaps_us),
        }


if __name__ == "__main__":
    http_stream.main(Driver, Options, __doc__)
