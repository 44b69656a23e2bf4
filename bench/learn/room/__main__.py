"""The room's own process, on the core of the load: `python -m bench.learn.room`, started by `lab room`.

The token is in LAB_ROOM_TOKEN, where a list of processes does not show it. Settings are kept in a file, so that a
process that starts again goes on where the one before it was.
"""

import argparse
import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import uvloop

from bench.base.console import run_program
from bench.base.errors import ExitCode
from bench.base.files import write_atomically
from bench.base.signals import run
from bench.learn.room.settings import Settings, read_settings
from bench.learn.room.stage import Stage
from bench.learn.room.supervisor import TOKEN_VARIABLE
from bench.learn.room.web import serve
from bench.measure import cpu_placement, preflight


def main() -> int:
    """Serve the room until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    arguments = parser.parse_args()
    preflight.raise_descriptor_limit()
    cpu_placement.bind_to_load_cores(cpu_placement.plan(1))

    def keep(settings: Settings) -> None:
        write_atomically(arguments.kept, msgspec.json.encode(settings))

    settings = Settings()
    with suppress(OSError, ValueError):
        settings = read_settings(json.loads(arguments.kept.read_text()))
    run(perform(settings, keep, arguments.host, arguments.port), loop_factory=uvloop.new_event_loop)
    return ExitCode.FINE


async def perform(settings: Settings, keep: object, host: str, port: int) -> None:
    """Run the stage and its page together, until one of them ends."""
    stage = Stage(settings, keep)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        tasks.create_task(serve(stage, os.environ[TOKEN_VARIABLE], host, port))


if __name__ == "__main__":
    sys.exit(run_program(main))
