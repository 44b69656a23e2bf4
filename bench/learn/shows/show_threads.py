"""`scripts/show_threads`, for a room: callers inside, threads and memory as the number of requests at once doubles."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode
from bench.base.options import Parser, seconds
from bench.base.signals import run
from bench.learn.clients import get
from bench.learn.shows.show_screen import STOP, big, grid, staged, tell
from bench.measure import cpu_placement, process_usage
from bench.measure.load.http_stream import Address
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.stacks import LABS, parse_stack, split_name

STACKS = {
    "sync_wsgi@gthread:64": "a pool of 64 threads",
    "async_asgi@uvicorn": "async, stock Django",
    "zero_hop@uvicorn": "async, no hops",
}
"""The stacks shown side by side, each with what to say."""
ANSWERED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
DIGITS = 3
INSIDE = "inside the view"
AROUND, NUMBERS = 4, 3
"""Lines of the screen around the large numbers; numbers of a stack, each with a line that names it."""


@dataclass(frozen=True)
class Pace:
    """How many requests at once, one level after the other; how long each waits; the pause after a level."""

    levels: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    wait_ms: int = 1500
    pause_s: float = 5.0


QUICK = Pace(levels=(1, 4, 16), wait_ms=300, pause_s=0.1)


class Level(NamedTuple):
    """A stack with so many requests at once: most callers inside its view, most threads, most resident memory."""

    at_once: int
    inside: int
    threads: int
    rss_bytes: int
    failed: int


@dataclass
class Column:
    """One stack on the screen: its most threads and memory in the present level, and the levels so far."""

    stack: str
    server: RunningServer
    threads: int = 0
    rss_bytes: int = 0
    levels: list[Level] = field(default_factory=list)

    async def watch(self) -> None:
        """Keep the most threads and memory since the level began, until cancelled."""
        family = self.server.family()
        while True:
            reading = process_usage.read(family)
            self.threads, self.rss_bytes = max(self.threads, reading.threads), max(self.rss_bytes, reading.rss_bytes)
            await asyncio.sleep(LOOK_EVERY_S)

    async def run_level(self, at_once: int, wait_ms: int) -> None:
        """Send so many requests at once and add a level. NotRun if the server no longer answers.

        `inside_most` counts since the server began; it is that of the last level, because levels grow.
        """
        self.threads = self.rss_bytes = 0
        address = Address(self.server.url)
        watching = asyncio.ensure_future(self.watch())
        try:
            waiting = (get(address, f"/wait?ms={wait_ms}", self.stack, ANSWERED_WITHIN_S) for _ in range(at_once))
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            inside = int((await get(address, "/whoami", self.stack, ANSWERED_WITHIN_S))["inside_most"])
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        self.levels.append(
            Level(
                at_once,
                inside,
                self.threads,
                self.rss_bytes,
                sum(isinstance(answer, BaseException) for answer in answers),
            )
        )


@dataclass
class Scene:
    """What is on the screen now; `at_once` is 0 before the first level."""

    columns: list[Column]
    wait_ms: int
    at_once: int = 0


async def perform(scene: Scene, pace: Pace, screen: Console) -> None:
    """Run level after level, all stacks side by side; print a line for each where nothing is drawn."""
    for at_once in pace.levels:
        scene.at_once = at_once
        await asyncio.gather(*(column.run_level(at_once, pace.wait_ms) for column in scene.columns))
        met = ", ".join(f"{column.stack} {level_text(column.levels[-1])}" for column in scene.columns)
        tell(screen, f"{at_once} at once ({INSIDE} · threads · MB): {met}")
        await asyncio.sleep(pace.pause_s)


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """Draw how many requests there are at once, and the stacks beside each other."""
    load = f"  {scene.at_once} requests at once, each waits {scene.wait_ms / 1000:g} s  "
    count = len(scene.columns)
    size = width // count - 4, (height - AROUND) // NUMBERS - 1
    panels = [draw_column(column, scene.at_once, *size) for column in scene.columns]
    return Group(
        Text.assemble((load, "bold reverse"), (f"  {STOP}", "dim"), justify="center"), grid([1] * count, *panels)
    )


def draw_column(column: Column, at_once: int, width: int, height: int) -> Panel:
    """Draw three large numbers of one stack in this level; callers inside are known when all requests are answered."""
    inside = next((level.inside for level in column.levels if level.at_once == at_once), None)
    numbers = {INSIDE: inside, "threads": column.threads or None, "MB of memory": column.rss_bytes / 1e6 or None}
    colour = LABS[split_name(column.stack).lab].colour
    parts: list[Text] = [Text(STACKS.get(column.stack, ""), style="dim", no_wrap=True)]
    for says, value in numbers.items():
        style = f"bold reverse {colour}" if says == "threads" else "bold"
        parts += [Text(says, style=style), Text(big(value, width, height, digits=DIGITS), style=colour)]
    return Panel(Group(*parts), title=column.stack, subtitle=added(column.levels), padding=(0, 1), border_style=colour)


def added(levels: Sequence[Level]) -> str:
    """How many threads have come for how many more requests since the first level."""
    if len(levels) < 2:
        return ""
    first, last = levels[0], levels[-1]
    return f"{last.threads - first.threads:+,} threads for {last.at_once - first.at_once:+,}"


def summary(columns: Sequence[Column]) -> Table:
    """Every level of every stack: callers inside, threads, memory."""
    table = Table(title=f"{INSIDE} · threads · MB", padding=(0, 1))
    for heading in ("at once", *(column.stack for column in columns)):
        table.add_column(heading, justify="right")
    for levels in zip(*(column.levels for column in columns), strict=True):
        table.add_row(f"{levels[0].at_once:,}", *map(level_text, levels))
    return table


def level_text(level: Level) -> str:
    """One level in words: callers inside, threads, memory in MB, and failures if there are any."""
    failed = f", {level.failed} failed" if level.failed else ""
    return f"{level.inside:,} · {level.threads:,} · {level.rss_bytes / 1e6:.0f}{failed}"


def show(pace: Pace, screen: Console, stacks: Iterable[str] = STACKS) -> list[Column]:
    """Start a server of each stack, run all levels on the screen, stop the servers.

    All servers share one core: counts do not depend on it.
    """
    with ExitStack() as running:
        core = cpu_placement.plan(1).server
        columns = [Column(name, running.enter_context(serving_stack(parse_stack(name), cpus=core))) for name in stacks]
        scene = Scene(columns, pace.wait_ms)
        running.enter_context(staged(partial(draw, scene), screen))
        run(perform(scene, pace, screen))
        return columns


def main(argv: Sequence[str]) -> int:
    """Run the show and print the summary."""
    parser = Parser(prog="scripts/show_threads", description=__doc__)
    parser.add_argument("--pause", type=seconds, default=5.0, metavar="S", help="seconds after each level (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    arguments = parser.parse_args(argv)
    screen = console()
    announce(f"starting {', '.join(STACKS)}")
    screen.print(summary(show(QUICK if arguments.quick else Pace(pause_s=arguments.pause), screen)))
    return ExitCode.FINE
