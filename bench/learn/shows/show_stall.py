"""`scripts/show_stall`, for a room: a slow and a fast client of one event loop, while one line of a view is changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode, NotRun, UsageError
from bench.base.options import Parser, seconds
from bench.base.signals import run
from bench.learn.shows.show_screen import STOP, big, sparks, staged, tell
from bench.measure import cpu_placement
from bench.measure.load.http_stream import Address
from bench.measure.readiness import serving_stack
from bench.model.stacks import parse_stack

STACK = "async_asgi@uvicorn"
FAST_PATH = "/hello"
DIGITS = 4
ANSWERED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Phase:
    """What the slow client asks for, the line of that view that waits, and what to say meanwhile."""

    workload: str
    line: str
    says: str
    style: str


AWAITS, BLOCKS = "await asyncio.sleep(ms / 1000)", "time.sleep(ms / 1000)"
PHASES = (
    Phase("wait", AWAITS, "The slow view awaits.", "green"),
    Phase("blocking_wait", BLOCKS, "One line of it is another. No other line is, and no other view.", "red"),
    Phase("wait", AWAITS, "And back.", "green"),
)


@dataclass(frozen=True)
class Pace:
    """How long each phase is, how long the slow view waits, and the fast client's pause between two questions."""

    phase_s: float = 40.0
    slow_ms: int = 1000
    pause_s: float = 0.1


QUICK = Pace(phase_s=1.6, slow_ms=300)


@dataclass
class Client:
    """Somebody who asks, waits for the answer, pauses, and asks again; `asked_s` is None between two questions."""

    name: str
    path: str
    pause_s: float = 0.0
    took_ms: list[float] = field(default_factory=list)
    asked_s: float | None = None

    async def ask_on(self, address: Address) -> None:
        """Until cancelled. NotRun where the server no longer answers."""
        while True:
            began_s = self.asked_s = time.monotonic()
            try:
                await address.asked("GET", self.path, ANSWERED_WITHIN_S)
            except OSError as error:
                raise NotRun(f"{STACK} no longer answers {self.path} ({error}): start the show again.") from None
            self.took_ms.append(1000 * (time.monotonic() - began_s))
            self.asked_s = None
            await asyncio.sleep(self.pause_s)

    @property
    def waits_ms(self) -> float | None:
        """How long the last answer took, or how long the next one is waited for, whichever is longer."""
        now_s = time.monotonic()
        waited_ms = [] if self.asked_s is None else [1000 * (now_s - self.asked_s)]
        return max([*self.took_ms[-1:], *waited_ms], default=None)


@dataclass
class Scene:
    """What is on the screen now."""

    pace: Pace
    slow: Client
    fast: Client
    phase: Phase = PHASES[0]
    ends_s: float = 0.0
    counted_from: int = 0

    @property
    def met_ms(self) -> list[float]:
        """What the fast client met in this phase so far."""
        return self.fast.took_ms[self.counted_from :]


@dataclass(frozen=True)
class Seen:
    """What the fast client met in one phase, in ms."""

    phase: Phase
    took_ms: list[float]


def scene_of(pace: Pace) -> Scene:
    """Return the scene before anybody has asked."""
    return Scene(pace, Client("the slow client", ""), Client("the fast client", FAST_PATH, pace.pause_s))


async def perform(address: Address, scene: Scene, screen: Console) -> list[Seen]:
    """All phases, one after the other, with both clients asking all the time."""
    scene.slow.path = path_of(PHASES[0], scene.pace)
    asking = [asyncio.ensure_future(client.ask_on(address)) for client in (scene.slow, scene.fast)]
    try:
        return [await told(phase, scene, asking, screen) for phase in PHASES]
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def told(phase: Phase, scene: Scene, asking: Sequence[asyncio.Task[None]], screen: Console) -> Seen:
    """One phase, and a line about it where it is not drawn."""
    seen = await through(phase, scene, asking)
    tell(screen, f"{phase.line}: {sentence(seen.took_ms)}")
    return seen


async def through(phase: Phase, scene: Scene, asking: Sequence[asyncio.Task[None]]) -> Seen:
    """One phase. What was asked before it may still be answered in its beginning, and is not counted."""
    scene.phase, scene.ends_s = phase, time.monotonic() + scene.pace.phase_s
    scene.slow.path = path_of(phase, scene.pace)
    scene.counted_from = len(scene.fast.took_ms)
    await stay(2 * scene.pace.slow_ms / 1000, asking)
    scene.counted_from = len(scene.fast.took_ms)
    await stay(scene.ends_s - time.monotonic(), asking)
    return Seen(phase, scene.met_ms)


async def stay(for_s: float, asking: Sequence[asyncio.Task[None]]) -> None:
    """So long, or until a client gives up, whose error is raised."""
    given_up, _ = await asyncio.wait(asking, timeout=max(0.0, for_s), return_when=asyncio.FIRST_COMPLETED)
    for task in given_up:
        task.result()


def path_of(phase: Phase, pace: Pace) -> str:
    """Return the path and query that the slow client asks for in a phase."""
    return f"/{phase.workload}?ms={pace.slow_ms}"


def drawn(scene: Scene, width: int, height: int) -> RenderableType:
    """The line in question, and below it the slow client, and the fast one in twice the width."""
    line = Text(f"  {scene.phase.line}  ", style=f"bold reverse {scene.phase.style}", justify="center")
    left_s = max(0.0, scene.ends_s - time.monotonic())
    says = Text(scene.phase.says, justify="center", no_wrap=True)
    ends = f"{left_s:.0f} s to the next · {STOP}"
    title = "the line of the slow view that waits"
    clients = Table.grid(expand=True)
    clients.add_column(ratio=1)
    clients.add_column(ratio=2)
    clients.add_row(
        drawn_client(scene.slow, scene.pace, width // 3, height - AROUND, "cyan", ""),
        drawn_fast(scene, width - width // 3, height - AROUND),
    )
    return Group(Panel(Group(line, says), title=title, subtitle=ends, border_style=scene.phase.style), clients)


AROUND, BESIDE = 11, 7
"""Lines of the screen that are no number, in the panel above and around the numbers, and columns beside one."""


def drawn_fast(scene: Scene, width: int, height: int) -> Panel:
    """The number to look at, and a sentence about its like since the line was changed."""
    is_slowed = (scene.fast.waits_ms or 0.0) > scene.pace.slow_ms / 4
    return drawn_client(
        scene.fast, scene.pace, width, height, "bold red" if is_slowed else "bold green", sentence(scene.met_ms)
    )


def drawn_client(client: Client, pace: Pace, width: int, height: int, style: str, says: str) -> Panel:
    """How long one client waits, in big type, and how long before."""
    inner = width - BESIDE
    number = Text(big(client.waits_ms, inner, height, digits=DIGITS), style=style)
    before = Text(sparks(client.took_ms, pace.slow_ms, inner), style="dim")
    asks = Text(f"GET {client.path}", style="dim", no_wrap=True, overflow="ellipsis")
    body = Group(asks, Text(), number, Text("ms for an answer", style="bold"), Text(says, no_wrap=True), before)
    return Panel(body, title=client.name, padding=(0, 2), border_style=style)


def sentence(took_ms: Sequence[float]) -> str:
    """What the fast client met, in numbers."""
    if not took_ms:
        return "no answer yet"
    if len(took_ms) == 1:
        return f"1 answer in {took_ms[0]:,.0f} ms"
    return f"{len(took_ms)} answers: half in {median(took_ms):,.0f} ms, all in {max(took_ms):,.0f} ms"


def summary(seen: Sequence[Seen]) -> Table:
    """What the fast client met, phase by phase."""
    table = Table("the slow view waits by", title=f"The fast client of {STACK}")
    for heading in ("answers", "half within, ms", "longest, ms"):
        table.add_column(heading, justify="right")
    for it in seen:
        cells = (f"{median(it.took_ms):,.0f}", f"{max(it.took_ms):,.0f}") if it.took_ms else ("–", "–")
        table.add_row(Text(it.phase.line, style=it.phase.style), str(len(it.took_ms)), *cells)
    return table


def show(pace: Pace, screen: Console) -> list[Seen]:
    """Start the server, play, stop it."""
    scene, core = scene_of(pace), cpu_placement.plan(1).server
    with serving_stack(parse_stack(STACK), cpus=core) as server, staged(partial(drawn, scene), screen):
        return run(perform(Address(server.url), scene, screen))


def pace_of(phase_s: float | None) -> Pace:
    """With phases of so many seconds, 40 unless asked. UsageError where nothing would be left to count."""
    pace = Pace() if phase_s is None else Pace(phase_s=phase_s)
    if phase_s is not None and phase_s < 4 * pace.slow_ms / 1000:
        raise UsageError(
            f"--phase {phase_s:g} is too short: the slow view waits {pace.slow_ms / 1000:g} s, and two waits of each "
            f"phase are not counted. Give {4 * pace.slow_ms / 1000:g} or more, or --quick."
        )
    return pace


def main(argv: Sequence[str]) -> int:
    """Start the server, run the three phases on the screen, and print the summary."""
    parser = Parser(prog="scripts/show_stall", description=__doc__)
    parser.add_argument("--phase", type=seconds, metavar="S", help="seconds of each of the three phases (default: 40)")
    parser.add_argument("--quick", action="store_true", help="some seconds in all")
    arguments = parser.parse_args(argv)
    pace = QUICK if arguments.quick else pace_of(arguments.phase)
    screen = console()
    announce(f"starting {STACK}")
    screen.print(summary(show(pace, screen)))
    return ExitCode.FINE
