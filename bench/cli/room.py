"""`lab room`: real servers, live in a browser, until Ctrl-C."""

import argparse
from pathlib import Path

from bench.base.errors import ExitCode, UsageError
from bench.cli.overrides import check_owned
from bench.learn.room import supervisor
from bench.learn.room.recorded_scenes import SCENES_FOLDER, SUFFIX
from bench.learn.room.scenes import SCENES
from bench.measure.ports import own_address, require_free
from bench.model.room_recording import read_recording


def room(arguments: argparse.Namespace) -> int:
    """Print the address of the room and serve it, or a recording.

    UsageError for unknown names and for hosts not claimed, DamagedRun for a file that is no recording.
    """
    check_owned(arguments.bind, arguments)
    host = own_address(arguments.bind)
    files = {name: path.absolute() for name in ("record", "replay") if (path := getattr(arguments, name))}
    if path := files.get("replay"):
        files["replay"] = path = find_recording(path)
        read_recording(path)
    if (path := files.get("record")) and path.exists():
        read_recording(path)
    require_free(arguments.port, host)
    supervisor.keep_open(host, arguments.port, tuple(arguments.stack), files, browser=not arguments.no_browser)
    return ExitCode.FINE


def find_recording(path: Path) -> Path:
    """Return the file, or the committed recording of the scene with that name. UsageError if there is neither."""
    scene = SCENES_FOLDER / f"{path.name}{SUFFIX}"
    found = next((each for each in (path, scene) if each.exists()), None)
    if found is None:
        recorded = ", ".join(each.name for each in SCENES)
        raise UsageError(f"There is no recording {path}: name a file, or a scene that is recorded: {recorded}.")
    return found
