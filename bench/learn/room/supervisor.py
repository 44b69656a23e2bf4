"""Opens the room: starts its process, prints its address, and starts it again if it ends, at the same address."""

import os
import secrets
import sys
import time
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.base.console import announce, print_text
from bench.base.errors import LabError, NotRun, UsageError
from bench.learn.room.settings import Settings, require_lanes
from bench.measure.processes import Process, work_folder
from bench.measure.readiness import listens_within
from bench.model.redaction import VARIABLE as DATABASE_VARIABLE

TOKEN_VARIABLE = "LAB_ROOM_TOKEN"
READY_WITHIN_S = 30.0
MOST_ENDS, WITHIN_S = 3, 20.0
"""After so many ends in so short a time it is not started again: it would end again."""
ERRORS = {int(kind.exit_code): kind for kind in (LabError, UsageError, NotRun)}


def keep_open(host: str, port: int, lanes: Sequence[str], files: Mapping[str, Path], *, browser: bool) -> None:
    """Serve the room until interrupted. `files`: by option, the recording to write (`record`) or to play (`replay`).

    LabError, with the end of its log, if its process does not stay.
    """
    token = secrets.token_urlsafe(16)
    address = f"http://{host}:{port}/{token}/"
    ends_s: list[float] = []
    with work_folder("room") as folder:
        kept = folder / "settings.json"
        if lanes:
            kept.write_bytes(msgspec.json.encode(Settings(lanes=require_lanes(lanes), fixed_lanes=True)))
        while True:
            process = start(host, port, token, kept, files)
            try:
                if not listens_within(process, port, READY_WITHIN_S):
                    raise _ended(process)
                if ends_s:
                    announce("The room is open again, at the same address.")
                else:
                    _say(address, browser)
                process.popen.wait()
            finally:
                process.stop()
            ends_s.append(time.monotonic())
            if len(ends_s) >= MOST_ENDS and ends_s[-1] - ends_s[-MOST_ENDS] < WITHIN_S:
                raise _ended(process)
            announce(f"The room's process ended {process.end_text}.")


def start(host: str, port: int, token: str, kept: Path, files: Mapping[str, Path]) -> Process:
    """Start the room's process. Its settings are those in the file `kept`, the defaults where there is none."""
    command = [sys.executable, "-m", "bench.learn.room", "--host", host, "--port", str(port), "--kept", str(kept)]
    command += [word for option, path in files.items() for word in (f"--{option}", str(path))]
    given = {name: os.environ[name] for name in (DATABASE_VARIABLE,) if name in os.environ}
    return Process.start(command, log=kept.with_name("room.log"), environment={TOKEN_VARIABLE: token, **given})


def _say(address: str, browser: bool) -> None:
    print_text(address)
    announce("Ctrl-C closes the room.")
    if browser:
        webbrowser.open(address)


def _ended(process: Process) -> LabError:
    said = process.log_tail().removeprefix("lab: ")
    kind = ERRORS.get(process.exit_status or 0, LabError)
    return kind(said or f"The room's process ended {process.end_text} and said nothing.")
