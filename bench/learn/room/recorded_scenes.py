"""Records every scene on this machine: `python -m bench.learn.room.recorded_scenes`, about 20 s for each.

The recordings are kept in results/reference/room, for a machine on which nothing runs and for static pages.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.base.console import announce, run_program
from bench.base.errors import ExitCode, NotRun
from bench.base.signals import run
from bench.learn.room.scenes import SCENES, Scene
from bench.learn.room.settings import Settings
from bench.learn.room.stage import Stage
from bench.measure import cpu_placement
from bench.measure.machine import describe_machine
from bench.model.room_recording import RecordingWriter
from bench.model.run_store import REFERENCE

SCENES_FOLDER, SUFFIX = REFERENCE / "room", ".jsonl.gz"
MACHINE = ("cpu", "cores", "cores_shared", "system", "python", "packages", "load_average_before")
READY_WITHIN_S, SETTLE_S, RECORDED_S = 60.0, 4.0, 12.0


async def record_scene(scene: Scene, path: Path, for_s: float, settle_s: float = SETTLE_S) -> None:
    """Record one scene, once all its servers are ready, with its requests in slow motion. NotRun if one is not."""
    stage = Stage(Settings().changed(scene.to_json()["settings"]), lambda settings: None, lambda kind, data: None)
    running = asyncio.create_task(stage.run())
    try:
        async with stage.listening() as frames:
            async with asyncio.timeout(READY_WITHIN_S):
                while not _all_serve(json.loads(await frames.get())):
                    pass
            await stage.trace()
            await asyncio.sleep(settle_s)
            with RecordingWriter(path, machine_of_recording()) as writer:
                writer.add("traced", stage.traced)
                ends_s = time.monotonic() + for_s
                while time.monotonic() < ends_s:
                    writer.add_json("frame", await frames.get())
    except TimeoutError:
        raise NotRun(f"The servers of {scene.name} were not ready within {READY_WITHIN_S:.0f} s.") from None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def machine_of_recording() -> dict[str, Any]:
    """Return what a viewer of a recording wants to know of the machine."""
    return {name: value for name, value in describe_machine().items() if name in MACHINE}


def _all_serve(frame: dict[str, Any]) -> bool:
    return bool(frame["lanes"]) and all(lane["state"] == "serving" for lane in frame["lanes"])


def main(names: Sequence[str], folder: Path = SCENES_FOLDER, for_s: float = RECORDED_S) -> int:
    """Record the scenes named, or all."""
    cpu_placement.bind_to_load_cores(cpu_placement.plan(1))
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not names or scene.name in names:
            announce(f"recording {scene.name}")
            path = folder / f"{scene.name}{SUFFIX}"
            part = path.with_suffix(".part")  # an earlier recording stays until this one is whole
            part.unlink(missing_ok=True)
            run(record_scene(scene, part, for_s), loop_factory=uvloop.new_event_loop)
            part.replace(path)
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
