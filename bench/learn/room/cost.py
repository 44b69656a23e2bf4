"""What the room costs: the throughput of a server that it watches over that of one that nobody watches.

`python -m bench.learn.room.cost` starts a server for each turn, watched and not, in random order; both have the same
visitors. Watched: the sheet in the server, samples, frames, and a reader of the page's stream, all on the load's core.
`--frames` counts instead how often headless Chromium draws 500 dots, in frames per second.
"""

import asyncio
import importlib.util
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from bench.analyse.stats import ratio_interval
from bench.base.console import announce, print_json, print_text, run_program
from bench.base.errors import ExitCode, MissingDependency
from bench.base.options import Parser, seconds, whole
from bench.base.signals import run
from bench.learn.room.settings import Settings
from bench.learn.room.stage import Stage
from bench.learn.room.visitors import Visitors
from bench.learn.room.web import Pages, serve
from bench.measure import cpu_placement
from bench.measure.ports import free_port
from bench.measure.processes import Process, work_folder
from bench.measure.readiness import serving_stack
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

STACK, VISITORS, DOTS, WARM_UP_S = "async_asgi@uvicorn", 50, 500, 2.0
TOKEN = "measuring"
READER = "import sys, urllib.request as r\nfor line in r.urlopen(sys.argv[1]): pass"
DRAWN = """async (for_ms) => {
  let drawn = 0;
  const began = performance.now();
  await new Promise((done) => {
    const step = (now) => (drawn++, now - began < for_ms ? requestAnimationFrame(step) : done());
    requestAnimationFrame(step);
  });
  return (1000 * drawn) / (performance.now() - began);
}"""


async def drive(port: int, for_s: float) -> float:
    """Return the answers per second of a server that only its visitors know."""
    visitors = Visitors(lambda: Settings(wait_ms=0).path)
    visitors.admit(port)
    visitors.resize(VISITORS)
    try:
        return await _rate(visitors, for_s)
    finally:
        await visitors.close()


async def drive_watched(stack: str, for_s: float) -> float:
    """Return the answers per second of a lane of the room, with a page that is read."""
    stage = Stage(
        Settings(lanes=(stack,), visitors=VISITORS, wait_ms=0), lambda settings: None, lambda kind, data: None
    )
    port = free_port()
    tasks = [asyncio.create_task(stage.run()), asyncio.create_task(serve(Pages(stage, TOKEN), HOST, port))]
    with work_folder("cost") as folder:
        reader: Process | None = None
        try:
            await ready(stage)
            address = f"http://{HOST}:{port}/{TOKEN}/frames"
            reader = Process.start([sys.executable, "-c", READER, address], log=folder / "reader.log")
            return await _rate(stage.lanes[0].visitors, for_s)
        finally:
            if reader:
                reader.stop(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def ready(stage: Stage) -> None:
    """Wait until every lane serves."""
    async with stage.listening() as frames:
        while not all(
            lane["state"] == "serving" for lane in json.loads(await frames.get())["lanes"] or [{"state": ""}]
        ):
            pass


async def _rate(visitors: Visitors, for_s: float) -> float:
    await asyncio.sleep(WARM_UP_S)
    answered, began_s = visitors.books.answered, time.monotonic()
    await asyncio.sleep(for_s)
    return (visitors.books.answered - answered) / (time.monotonic() - began_s)


def measure_cost(turns: int, for_s: float) -> dict[str, Any]:
    """Measure both arms in random order, each turn on a new server; return rates and the ratio with its interval."""
    rates: dict[str, list[float]] = {"watched": [], "alone": []}
    order = [arm for _ in range(turns) for arm in random.sample(list(rates), 2)]
    for turn, arm in enumerate(order):
        announce(f"{turn + 1}/{len(order)} {arm}")
        if arm == "watched":
            rates[arm].append(run(drive_watched(STACK, for_s), loop_factory=uvloop.new_event_loop))
        else:
            with serving_stack(parse_stack(STACK), cpus=cpu_placement.plan(1).server, grace_s=0) as server:
                rates[arm].append(run(drive(server.port, for_s), loop_factory=uvloop.new_event_loop))
    found = ratio_interval(rates["watched"], rates["alone"])
    return {"stack": STACK, "visitors": VISITORS, **rates, "ratio": found and asdict(found)}


async def count_frames(for_s: float) -> float:
    """Return how many frames a second a headless Chromium draws of a lane with 500 dots. MissingDependency without."""
    from playwright.async_api import async_playwright

    stage = Stage(Settings(lanes=(STACK,), visitors=DOTS, wait_ms=1000), lambda settings: None, lambda kind, data: None)
    port = free_port()
    tasks = [asyncio.create_task(stage.run()), asyncio.create_task(serve(Pages(stage, TOKEN), HOST, port))]
    try:
        await ready(stage)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1920, "height": 1080})
            await page.goto(f"http://{HOST}:{port}/{TOKEN}/")
            await page.wait_for_selector(".lane[data-state=serving]")
            await asyncio.sleep(WARM_UP_S)
            return float(await page.evaluate(DRAWN, 1000 * for_s))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main(argv: Sequence[str]) -> int:
    """Measure and print. Exit 1 if the interval reaches 3 % or more of cost, or if fewer than 50 frames are drawn."""
    parser = Parser(prog="python -m bench.learn.room.cost", description=__doc__)
    parser.add_argument("--turns", type=whole(3, 100), default=10, help="servers for each arm (default: 10)")
    parser.add_argument("--duration", type=seconds, default=5.0, metavar="S", help="of each turn (default: 5)")
    parser.add_argument("--frames", action="store_true", help="count frames per second in headless Chromium instead")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args(argv)
    if arguments.frames:
        return _report_frames(arguments.duration, as_json=arguments.json)
    cpu_placement.bind_to_load_cores(cpu_placement.plan(1))
    found = measure_cost(arguments.turns, arguments.duration)
    ratio = found["ratio"]
    if arguments.json:
        print_json(found)
    else:
        print_text(
            f"{STACK} answers {ratio['estimate']:.3f} times ({ratio['low']:.3f} to {ratio['high']:.3f}) as much "
            f"watched as alone, {arguments.turns} servers each."
        )
    return ExitCode.FINE if ratio["low"] > 0.97 else ExitCode.FAILED


def _report_frames(for_s: float, *, as_json: bool) -> int:
    if importlib.util.find_spec("playwright") is None or not Path(shutil.which("chromium") or "").is_file():
        raise MissingDependency(
            "Frames are counted in Chromium: run ./scripts/set-up test and ./scripts/system-packages."
        )
    frames_per_s = run(count_frames(for_s))
    if as_json:
        print_json({"dots": DOTS, "frames_per_s": frames_per_s})
    else:
        print_text(f"{frames_per_s:.1f} frames a second with {DOTS} dots.")
    return ExitCode.FINE if frames_per_s >= 50 else ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
