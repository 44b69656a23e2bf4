"""`scripts/show_threads`, for a room: callers inside, threads and memory as the number of requests at once doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode, NotRun
from bench.base.options import Parser, seconds
from bench.base.signals import run
from bench.learn.shows.show_screen import STOP, big, staged, tell
from bench.measure import cpu_placement, process_usage
from bench.measure.load.http_stream import Address
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.stacks import LABS, parse_stack, split_name

STACKS = {
    "sync_wsgi@gthread:64": "a pool of 64 threads",
    "async_asgi@uvicorn": "async, stock Django",
    "zero_hop@uvicorn": "async, no hops",
}
"""What is shown side by side, each with what to say."""
ANSWERED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
DIGITS = 3


@dataclass(frozen=True)
class Pace:
    """How many requests at once, one level after the other; how long each waits; the pause after a level."""

    levels: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    wait_ms: int = 1500
    pause_s: float = 5.0


QUICK = Pace(levels=(1, 4, 16), wait_ms=300, pause_s=0.1)


@dataclass(frozen=True)
class Level:
    """What a stack came to with so many requests at once: callers inside its view, threads, resident memory."""

    at_once: int
    inside: int
    threads: int
    rss_bytes: int
    failed: int


@dataclass
class Column:
    """One stack on the screen: what it has now, and its levels so far."""

    stack: str
    server: RunningServer
    threads: int = 0
    rss_bytes: int = 0
    levels: list[Level] = field(default_factory=list)

    async def look(self) -> None:
        """Keep the most threads and memory since the level began, until cancelled."""
        family = self.server.family()
        while True:
            reading = process_usage.read(family)
            self.threads, self.rss_bytes = max(self.threads, reading.threads), max(self.rss_bytes, reading.rss_bytes)
            await asyncio.sleep(LOOK_EVERY_S)

    async def meet(self, at_once: int, wait_ms: int) -> None:
        """So many requests at once, and what they came to. NotRun where the server no longer answers."""
        self.threads = self.rss_bytes = 0
        address = Address(self.server.url)
        looking = asyncio.ensure_future(self.look())
        try:
            answers = await asyncio.gather(*(answered(address, f"/wait?ms={wait_ms}") for _ in range(at_once)))
            inside = await self.most_inside(address)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        self.levels.append(Level(at_once, inside, self.threads, self.rss_bytes, answers.count(False)))

    async def most_inside(self, address: Address) -> int:
        """The most callers that were inside the view at once since the server began, which is in the last level."""
        try:
            return int((await address.fetch_json("GET", "/whoami", ANSWERED_WITHIN_S))["inside_most"])
        except OSError as error:
            raise NotRun(f"{self.stack} no longer answers ({error}): start the show again.") from None


@dataclass
class Scene:
    """What is on the screen now; `at_once` is 0 before the first level."""

    columns: list[Column]
    wait_ms: int
    at_once: int = 0


async def answered(address: Address, path: str) -> bool:
    """True where the answer came, and was one."""
    try:
        await address.fetch_json("GET", path, ANSWERED_WITHIN_S)
    except OSError:
        return False
    return True


async def perform(scene: Scene, pace: Pace, screen: Console) -> None:
    """Level after level, all stacks side by side, with a line about each where it is not drawn."""
    for at_once in pace.levels:
        scene.at_once = at_once
        await asyncio.gather(*(column.meet(at_once, pace.wait_ms) for column in scene.columns))
        met = ", ".join(f"{column.stack} {cell(column.levels[-1])}" for column in scene.columns)
        tell(screen, f"{at_once} at once ({INSIDE} · threads · MB): {met}")
        await asyncio.sleep(pace.pause_s)


INSIDE = "inside the view"
AROUND, NUMBERS = 4, 3
"""Lines of the screen that belong to no number; the numbers of a stack, each with a line that names it."""


def drawn(scene: Scene, width: int, height: int) -> RenderableType:
    """How many ask at once, and the stacks beside each other."""
    asked = f"  {scene.at_once} requests at once, each waits {scene.wait_ms / 1000:g} s  "
    columns = Table.grid(expand=True)
    for _ in scene.columns:
        columns.add_column(ratio=1)
    size = width // len(scene.columns) - 4, (height - AROUND) // NUMBERS - 1
    columns.add_row(*(drawn_column(column, scene.at_once, *size) for column in scene.columns))
    return Group(Text.assemble((asked, "bold reverse"), (f"  {STOP}", "dim"), justify="center"), columns)


def drawn_column(column: Column, at_once: int, width: int, height: int) -> Panel:
    """Three big numbers of one stack in this level; how many were inside is known when all are answered."""
    inside = next((level.inside for level in column.levels if level.at_once == at_once), None)
    numbers = {INSIDE: inside, "threads": column.threads or None, "MB of memory": column.rss_bytes / 1e6 or None}
    colour = LABS[split_name(column.stack).lab].colour
    parts: list[Text] = [Text(STACKS.get(column.stack, ""), style="dim", no_wrap=True)]
    for says, value in numbers.items():
        style = f"bold reverse {colour}" if says == "threads" else "bold"
        parts += [Text(says, style=style), Text(big(value, width, height, digits=DIGITS), style=colour)]
    return Panel(Group(*parts), title=column.stack, subtitle=added(column.levels), padding=(0, 1), border_style=colour)


def added(levels: Sequence[Level]) -> str:
    """What the crowd has added to the first level's threads, and to its requests."""
    if len(levels) < 2:
        return ""
    first, last = levels[0], levels[-1]
    return f"{last.threads - first.threads:+,} threads for {last.at_once - first.at_once:+,}"


def summary(columns: Sequence[Column]) -> Table:
    """Every level of every stack: inside, threads, memory."""
    table = Table(title=f"{INSIDE} · threads · MB", padding=(0, 1))
    table.add_column("at once", justify="right")
    for column in columns:
        table.add_column(column.stack, justify="right")
    for levels in zip(*(column.levels for column in columns), strict=True):
        table.add_row(f"{levels[0].at_once:,}", *map(cell, levels))
    return table


def cell(level: Level) -> str:
    """Return one level in words: callers inside, threads, memory in MB, and failures if there are any."""
    failed = f", {level.failed} failed" if level.failed else ""
    return f"{level.inside:,} · {level.threads:,} · {level.rss_bytes / 1e6:.0f}{failed}"


@contextmanager
def serving_all(stacks: Mapping[str, str] | Sequence[str]) -> Iterator[list[Column]]:
    """A server of each stack, all on the same core: counts do not depend on it."""
    with ExitStack() as running:
        core = cpu_placement.plan(1).server
        yield [Column(name, running.enter_context(serving_stack(parse_stack(name), cpus=core))) for name in stacks]


def show(pace: Pace, screen: Console, stacks: Mapping[str, str] | Sequence[str] = STACKS) -> list[Column]:
    """Start the servers, play, stop them."""
    with serving_all(stacks) as columns:
        scene = Scene(columns, pace.wait_ms)
        with staged(partial(drawn, scene), screen):
            run(perform(scene, pace, screen))
        return columns


def main(argv: Sequence[str]) -> int:
    """Start the servers, double the load on the screen, and print the summary."""
    parser = Parser(prog="scripts/show_threads", description=__doc__)
    parser.add_argument("--pause", type=seconds, metavar="S", help="seconds after each level (default: 5)")
    parser.add_argument("--quick", action="store_true", help="some seconds in all")
    arguments = parser.parse_args(argv)
    pace = QUICK if arguments.quick else Pace(pause_s=arguments.pause or Pace.pause_s)
    screen = console()
    announce(f"starting {', '.join(STACKS)}")
    screen.print(summary(show(pace, screen)))
    return ExitCode.FINE
