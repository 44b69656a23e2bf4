"""The room's own process, on the core of the load: `python -m bench.learn.room`, started by `lab room`.

The token is in LAB_ROOM_TOKEN, where a list of processes does not show it. Settings are kept in a file, so that a
process that starts again goes on where the one before it was.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import uvloop

from bench.base.console import run_program
from bench.base.errors import ExitCode
from bench.base.files import write_atomically
from bench.base.signals import run
from bench.learn.room.recorded_scenes import machine_of_recording
from bench.learn.room.settings import Settings, read_settings
from bench.learn.room.stage import Record, Stage
from bench.learn.room.supervisor import TOKEN_VARIABLE
from bench.learn.room.web import Pages, serve
from bench.measure import cpu_placement, preflight
from bench.model.room_recording import RecordingWriter, read_recording


def main() -> int:
    """Serve the room, or a recording of it, until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    preflight.raise_descriptor_limit()
    cpu_placement.bind_to_load_cores(cpu_placement.plan(1))
    run(perform(arguments), loop_factory=uvloop.new_event_loop)
    return ExitCode.FINE


async def perform(arguments: argparse.Namespace) -> None:
    """Run the stage and its page together, until one of them ends; for a recording only the page."""

    def keep(settings: Settings) -> None:
        write_atomically(arguments.kept, msgspec.json.encode(settings))

    with recording_to(arguments.record) as record:
        stage = Stage(read_kept(arguments.kept), keep, record)
        recording = read_recording(arguments.replay) if arguments.replay else None
        pages = Pages(stage, os.environ[TOKEN_VARIABLE], recording)
        async with asyncio.TaskGroup() as tasks:
            if recording is None:
                tasks.create_task(stage.run())
            tasks.create_task(serve(pages, arguments.host, arguments.port))


@contextmanager
def recording_to(path: Path | None) -> Iterator[Record]:
    """Yield what appends to a recording, or does nothing without a path."""
    if path is None:
        yield lambda kind, data: None
    else:
        with RecordingWriter(path, machine_of_recording()) as writer:
            yield writer.add_json


def read_kept(path: Path) -> Settings:
    """Read the settings of the process before this one; the defaults if there was none."""
    with suppress(OSError, ValueError):
        return read_settings(json.loads(path.read_text()))
    return Settings()


if __name__ == "__main__":
    sys.exit(run_program(main))
