"""What the room costs: the throughput of a server that it watches over that of one that nobody watches.

`python -m bench.learn.room.cost` starts servers in pairs, one in a room and one that nobody watches, with the same
visitors in turns. Watched: the sheet in the server, samples, frames, and a reader of the page's stream, all but the
sheet on the load's core.
Then headless Chromium draws 500 dots, and its frames are counted.
"""

import asyncio
import importlib.util
import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import httpx
import msgspec
import psutil
import uvloop

from bench.analyse.stats import Interval, median_interval
from bench.base.console import announce, print_text, relative_to_here, run_program
from bench.base.errors import ExitCode, MissingDependency, NotRun
from bench.base.files import write_atomically
from bench.base.options import Parser, whole
from bench.base.signals import run
from bench.learn.room.recorded_scenes import SCENES_FOLDER, machine_of_recording
from bench.learn.room.settings import MOST_LANES, Settings
from bench.learn.room.supervisor import READY_WITHIN_S, start
from bench.learn.room.visitors import Visitors
from bench.measure.cpu_placement import plan, watching_from_load_cores
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import listens_within, serving_stack
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

STACK, VISITORS, DOTS = "async_asgi@uvicorn", 50, 500
MOST_COST, LEAST_FRAMES = 0.03, 50
Arm = Literal["watched", "alone"]
KEPT = SCENES_FOLDER / "cost.json"
SLICE_S, WARM_UP_S, FRAMES_AFTER_S, FRAMES_FOR_S = 1.0, 0.3, 2.0, 5.0
TOKEN = "measuring"
DRAWN = """async (for_ms) => {
  let drawn = 0;
  const began = performance.now();
  await new Promise((done) => {
    const step = (now) => (drawn++, now - began < for_ms ? requestAnimationFrame(step) : done());
    requestAnimationFrame(step);
  });
  return (1000 * drawn) / (performance.now() - began);
}"""


@dataclass(frozen=True)
class Cost:
    """Answers per second of watched servers and of those beside them that nobody watches, a pair at each place, on a
    machine as recordings describe it; and how often in a second Chromium draws so many `dots`."""

    machine: dict[str, Any]
    stack: str
    visitors: int
    watched_per_s: list[float]
    alone_per_s: list[float]
    dots: int
    frames_per_s: float

    @property
    def ratio(self) -> Interval:
        """Return how much is answered watched, as a share of what is answered alone: the median over pairs."""
        pairs = zip(self.watched_per_s, self.alone_per_s, strict=True)
        found = median_interval([watched / alone for watched, alone in pairs])
        assert found, "measured with three pairs at least"
        return found

    @property
    def is_small(self) -> bool:
        """Return whether the whole interval is above what may be lost."""
        return self.ratio.low > 1 - MOST_COST

    def beside(self, kept: "Cost") -> "Cost":
        """Return this with the pairs kept before it, so that no run is chosen for its result; alone if they were
        measured on another machine or of something else."""
        if conditions_of(kept) != conditions_of(self):
            return self
        return replace(
            self,
            watched_per_s=kept.watched_per_s + self.watched_per_s,
            alone_per_s=kept.alone_per_s + self.alone_per_s,
        )

    @property
    def text(self) -> str:
        """Say both in a sentence each."""
        ratio = self.ratio
        return (
            f"With {self.visitors} visitors `{self.stack}` answers {ratio.estimate:.3f} times ({ratio.low:.3f} to "
            f"{ratio.high:.3f}) as much watched as alone: {len(self.alone_per_s)} pairs of servers, a second each in "
            f"turns. Headless Chromium draws {self.dots} dots {self.frames_per_s:.0f} times a second."
        )


def conditions_of(cost: Cost) -> tuple[dict[str, Any], str, int]:
    """Return what two measurements must share to be one: the machine without its load, the stack, the visitors."""
    machine = {name: value for name, value in cost.machine.items() if name != "load_average_before"}
    return machine, cost.stack, cost.visitors


async def drive(port: int, for_s: float) -> float:
    """Return the answers per second of a server that only its visitors know."""
    visitors = Visitors(lambda: Settings(wait_ms=0).path)
    visitors.admit(port)
    visitors.resize(VISITORS)
    try:
        await asyncio.sleep(WARM_UP_S)
        answered, began_s = visitors.books.answered, time.monotonic()
        await asyncio.sleep(for_s)
        return (visitors.books.answered - answered) / (time.monotonic() - began_s)
    finally:
        await visitors.close()


def drive_watched(room: psutil.Process, address: str, for_s: float) -> float:
    """Return the answers per second of a room's lane while a page is read. Before and after, the room stands still."""
    room.resume()
    try:
        with httpx.stream("GET", f"{address}frames", timeout=READY_WITHIN_S, trust_env=False) as stream:
            frames = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            opened = next(frame for frame in frames if is_serving(frame))
            first = next(frame for frame in frames if frame["at_s"] >= opened["at_s"] + WARM_UP_S)
            last = next(frame for frame in frames if frame["at_s"] >= first["at_s"] + for_s)
    finally:
        room.suspend()
    return float(_answered(last) - _answered(first)) / float(last["at_s"] - first["at_s"])


def is_serving(frame: Mapping[str, Any]) -> bool:
    """Return whether every lane serves."""
    return bool(frame["lanes"]) and all(lane["state"] == "serving" for lane in frame["lanes"])


def _answered(frame: Mapping[str, Any]) -> int:
    return sum(lane["answered"] for lane in frame["lanes"])


@contextmanager
def opened_room(settings: Settings) -> Iterator[tuple[psutil.Process, str]]:
    """Yield the process and the address of a room with these settings. NotRun if it does not open."""
    port = free_port()
    with work_folder("cost") as folder:
        kept = folder / "settings.json"
        kept.write_bytes(msgspec.json.encode(settings))
        process = start(HOST, port, TOKEN, kept, {})
        try:
            if not listens_within(process, port, READY_WITHIN_S):
                raise NotRun(f"The room did not open: {process.log_tail()}")
            yield psutil.Process(process.pid), f"http://{HOST}:{port}/{TOKEN}/"
        finally:
            process.popen.send_signal(signal.SIGCONT)  # what stands still does not hear SIGTERM
            process.stop()


def measure_pair(slices: int) -> dict[Arm, float]:
    """Drive a server that the room watches and one that nobody does, side by side on one core, SLICE_S s each in turns.

    Returns the answers per second of both. Two slices next to each other are in random order, so that a machine that
    changes its speed does it to both.
    """
    settings = Settings(lanes=(STACK,), fixed_lanes=True, visitors=VISITORS, wait_ms=0)
    cpus = plan(MOST_LANES).server[:1]
    rates: dict[Arm, list[float]] = {"watched": [], "alone": []}
    with (
        opened_room(settings) as (room, address),
        serving_stack(parse_stack(STACK), cpus=cpus, grace_s=0) as server,
        watching_from_load_cores(),  # not before: the room would have no other core for its server
    ):
        room.suspend()
        for arm in [arm for _ in range(slices) for arm in random.sample(list(rates), 2)]:
            if arm == "watched":
                rates[arm].append(drive_watched(room, address, SLICE_S))
            else:
                rates[arm].append(run(drive(server.port, SLICE_S), loop_factory=uvloop.new_event_loop))
    return {arm: fmean(found) for arm, found in rates.items()}


async def count_frames(for_s: float) -> float:
    """Return how many frames a second a headless Chromium draws of a lane with 500 dots. MissingDependency without."""
    from playwright.async_api import async_playwright

    with opened_room(Settings(lanes=(STACK,), fixed_lanes=True, visitors=DOTS, wait_ms=1000)) as (_, address):
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1920, "height": 1080})
            await page.goto(address)
            await page.wait_for_selector(".lane[data-state=serving]")
            await asyncio.sleep(FRAMES_AFTER_S)
            return float(await page.evaluate(DRAWN, 1000 * for_s))


def measure(pairs: int, slices: int) -> Cost:
    """Measure so many pairs of servers, then frames. MissingDependency without Chromium or Playwright."""
    if importlib.util.find_spec("playwright") is None or not Path(shutil.which("chromium") or "").is_file():
        raise MissingDependency(
            "Frames are counted in Chromium: run ./scripts/set-up test and ./scripts/system-packages."
        )
    rates: dict[Arm, list[float]] = {"watched": [], "alone": []}
    for turn in range(pairs):
        announce(f"pair {turn + 1}/{pairs}")
        for arm, rate_per_s in measure_pair(slices).items():
            rates[arm].append(rate_per_s)
    frames_per_s = run(count_frames(FRAMES_FOR_S))
    return Cost(machine_of_recording(), STACK, VISITORS, rates["watched"], rates["alone"], DOTS, frames_per_s)


def load_cost() -> Cost:
    """Read what is kept. Raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode(KEPT.read_bytes(), type=Cost)


def main(argv: Sequence[str]) -> int:
    """Measure, print and keep. Exit 1 if the interval reaches MOST_COST, or if fewer than LEAST_FRAMES are drawn."""
    parser = Parser(prog="python -m bench.learn.room.cost", description=__doc__)
    parser.add_argument("--pairs", type=whole(3, 100), default=20, help="of servers, a new one each (default: 20)")
    parser.add_argument("--slices", type=whole(1, 100), default=5, help=f"of {SLICE_S:g} s for each (default: 5)")
    parser.add_argument("--keep", action="store_true", help=f"add the pairs to {relative_to_here(KEPT)}")
    arguments = parser.parse_args(argv)
    found = measure(arguments.pairs, arguments.slices)
    if arguments.keep:
        found = found.beside(load_cost()) if KEPT.exists() else found
        write_atomically(KEPT, msgspec.json.format(msgspec.json.encode(found)))
    print_text(found.text)
    return ExitCode.FINE if found.is_small and found.frames_per_s >= LEAST_FRAMES else ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
