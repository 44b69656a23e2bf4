"""`scripts/show_stall`, for a room: a slow and a fast client of one event loop, while one line of a view changes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode, UsageError
from bench.base.options import Parser, seconds
from bench.base.signals import run
from bench.learn.clients import Client, repeating, stay
from bench.learn.shows.show_screen import STOP, big, grid, sparks, staged, tell
from bench.measure import cpu_placement
from bench.measure.load.http_stream import Address
from bench.measure.readiness import serving_stack
from bench.model.stacks import parse_stack

STACK = "async_asgi@uvicorn"
DIGITS = 4
AROUND, BESIDE = 11, 7
"""Lines of the screen around the large numbers, and columns beside one."""


class Phase(NamedTuple):
    """The workload of the slow client, the line of that view that waits, and what to say meanwhile."""

    workload: str
    line: str
    says: str
    style: str


AWAITS, BLOCKS = "await asyncio.sleep(ms / 1000)", "time.sleep(ms / 1000)"
PHASES = (
    Phase("wait", AWAITS, "The slow view awaits.", "green"),
    Phase("blocking_wait", BLOCKS, "One line changed. Nothing else did.", "red"),
    Phase("wait", AWAITS, "And back.", "green"),
)


@dataclass(frozen=True)
class Pace:
    """How long each phase is, how long the slow view waits, and the fast client's pause between two requests."""

    phase_s: float = 40.0
    slow_ms: int = 1000
    pause_s: float = 0.1


QUICK = Pace(phase_s=1.6, slow_ms=300)


class PhaseResult(NamedTuple):
    """How long the fast client waited for each answer in one phase, in ms."""

    phase: Phase
    took_ms: list[float]


class Scene:
    """What is on the screen now, before the first request at first."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.ends_s, self.counted_from = pace, 0.0, 0
        self.slow = Client("the slow client", STACK, "")
        self.fast = Client("the fast client", STACK, "/hello", pace.pause_s)
        self.begin(PHASES[0])

    def begin(self, phase: Phase) -> None:
        """Let the slow client ask for the view of this phase from its next request on."""
        self.phase, self.ends_s = phase, time.monotonic() + self.pace.phase_s
        self.slow.path = f"/{phase.workload}?ms={self.pace.slow_ms}"
        self.counted_from = len(self.fast.took_ms)

    @property
    def counted_ms(self) -> list[float]:
        """The answers of the fast client in this phase so far."""
        return self.fast.took_ms[self.counted_from :]


async def perform(address: Address, scene: Scene, screen: Console) -> list[PhaseResult]:
    """Run all phases, with both clients sending requests all the time; print a line for each where nothing is drawn.

    Requests sent in one phase may be answered at the beginning of the next, which is therefore not counted.
    """
    results = []
    async with repeating((scene.slow, scene.fast), address) as tasks:
        for phase in PHASES:
            scene.begin(phase)
            await stay(2 * scene.pace.slow_ms / 1000, tasks)
            scene.counted_from = len(scene.fast.took_ms)
            await stay(scene.ends_s - time.monotonic(), tasks)
            results.append(PhaseResult(phase, scene.counted_ms))
            tell(screen, f"{phase.line}: {sentence(scene.counted_ms)}")
    return results


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """Draw the line in question, and below it the slow client, and the fast one in twice the width."""
    phase, pace = scene.phase, scene.pace
    line = Text(f"  {phase.line}  ", style=f"bold reverse {phase.style}", justify="center")
    left_s = max(0.0, scene.ends_s - time.monotonic())
    says = Text(phase.says, justify="center", no_wrap=True)
    is_slowed = (scene.fast.waits_ms or 0.0) > pace.slow_ms / 4
    style, inner, text = "bold red" if is_slowed else "bold green", width - width // 3, sentence(scene.counted_ms)
    top = Panel(
        Group(line, says),
        title="the line of the slow view that waits",
        subtitle=f"{left_s:.0f} s to the next · {STOP}",
        border_style=phase.style,
    )
    slow = draw_client(scene.slow, pace, width // 3, height - AROUND, "cyan", "")
    return Group(top, grid((1, 2), slow, draw_client(scene.fast, pace, inner, height - AROUND, style, text)))


def draw_client(client: Client, pace: Pace, width: int, height: int, style: str, says: str) -> Panel:
    """Draw how long one client waits, in large figures, and how long it waited before."""
    inner = width - BESIDE
    number = Text(big(client.waits_ms, inner, height, digits=DIGITS), style=style)
    before = Text(sparks(client.took_ms, pace.slow_ms, inner), style="dim")
    asks = Text(f"GET {client.path}", style="dim", no_wrap=True, overflow="ellipsis")
    body = Group(asks, Text(), number, Text("ms for an answer", style="bold"), Text(says, no_wrap=True), before)
    return Panel(body, title=client.name, padding=(0, 2), border_style=style)


def sentence(took_ms: Sequence[float]) -> str:
    """How long the fast client waited, in words."""
    if len(took_ms) < 2:
        return f"1 answer in {took_ms[0]:,.0f} ms" if took_ms else "no answer yet"
    return f"{len(took_ms)} answers: half in {median(took_ms):,.0f} ms, all in {max(took_ms):,.0f} ms"


def summary(results: Sequence[PhaseResult]) -> Table:
    """How long the fast client waited, phase by phase."""
    table = Table("the slow view waits by", title=f"The fast client of {STACK}")
    for heading in ("answers", "half within, ms", "longest, ms"):
        table.add_column(heading, justify="right")
    for phase, took_ms in results:
        cells = [f"{of(took_ms):,.0f}" if took_ms else "–" for of in (median, max)]
        table.add_row(Text(phase.line, style=phase.style), str(len(took_ms)), *cells)
    return table


def show(pace: Pace, screen: Console) -> list[PhaseResult]:
    """Start the server, run all phases on the screen, stop the server."""
    scene, core = Scene(pace), cpu_placement.plan(1).server
    with serving_stack(parse_stack(STACK), cpus=core) as server, staged(partial(draw, scene), screen):
        return run(perform(Address(server.url), scene, screen))


def main(argv: Sequence[str]) -> int:
    """Run the show and print the summary. UsageError for a phase that is too short to count in."""
    parser = Parser(prog="scripts/show_stall", description=__doc__)
    help_ = "seconds of each of the three phases (default: 40)"
    parser.add_argument("--phase", type=seconds, default=Pace.phase_s, metavar="S", help=help_)
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    arguments = parser.parse_args(argv)
    least_s = 4 * Pace.slow_ms / 1000
    if not arguments.quick and arguments.phase < least_s:
        raise UsageError(
            f"--phase {arguments.phase:g} is too short: the slow view waits {Pace.slow_ms / 1000:g} s, and two waits "
            f"of each phase are not counted. Give {least_s:g} or more, or --quick."
        )
    screen = console()
    announce(f"starting {STACK}")
    screen.print(summary(show(QUICK if arguments.quick else Pace(phase_s=arguments.phase), screen)))
    return ExitCode.FINE
