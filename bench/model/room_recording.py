"""A recording of the room: a gzipped file of JSON lines, what it was recorded on first, then frame after frame."""

import gzip
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.base.errors import DamagedRun, UsageError

VERSION = 1
NAME = "room.jsonl.gz"
"""In the folder of a run its report shows the recording."""
KIND = "recording of the room"
FLUSHED_EVERY_S = 1.0
MOST_BYTES = 500_000_000
Frame = dict[str, Any]


@dataclass(frozen=True)
class RoomRecording:
    """What a recording holds: frames in their order, and `traced`, the requests in slow motion that were seen last."""

    made_at: str
    machine: Mapping[str, Any]
    frames: list[Frame]
    traced: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a page."""
        return {"made_at": self.made_at, "machine": self.machine, "frames": self.frames, "traced": self.traced}


class RecordingWriter:
    """Appends frames to a file. What was written a second ago is readable also if this process is killed."""

    def __init__(self, path: Path, machine: Mapping[str, Any]) -> None:
        is_new = not path.exists()
        if not is_new:
            read_recording(path)  # a file that is something else stays as it is
        self._file = gzip.open(path, "ab")  # noqa: SIM115 - __exit__ closes it
        self._flushed_s = time.monotonic()
        if is_new:
            made_at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
            self.add("head", {"kind": KIND, "version": VERSION, "made_at": made_at, "machine": dict(machine)})

    def add(self, kind: str, data: object) -> None:
        """Append a line of this kind: `frame` or `traced`."""
        self.add_json(kind, json.dumps(data).encode())

    def add_json(self, kind: str, data: bytes) -> None:
        """Append data that are JSON already."""
        self._file.write(b'{"%s": %s}\n' % (kind.encode(), data))
        if time.monotonic() - self._flushed_s > FLUSHED_EVERY_S:
            self._file.flush()
            self._flushed_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_recording(path: Path) -> RoomRecording:
    """Read a recording; one whose end was not written counts up to there.

    Raises UsageError if there is none, and DamagedRun if it is none or newer than this program.
    """
    lines = _lines(path)
    try:
        head = json.loads(lines[0])["head"]
        if head["kind"] != KIND:
            raise KeyError
        if head["version"] > VERSION:
            raise DamagedRun(f"{path} was recorded by a newer version of the lab: update the lab to play it.")
        rest = [json.loads(line) for line in lines[1:]]
        frames = [line["frame"] for line in rest if "frame" in line]
        traced: list[dict[str, Any]] = next((line["traced"] for line in reversed(rest) if "traced" in line), [])
        return RoomRecording(head["made_at"], head["machine"], frames, traced)
    except (IndexError, KeyError, TypeError, ValueError):
        raise DamagedRun(f"{path} is no recording of the room: name a file that `lab room --record` wrote.") from None


def _lines(path: Path) -> list[bytes]:
    """The whole lines of the file."""
    text = b""
    try:
        with gzip.open(path, "rb") as file:
            while len(text) < MOST_BYTES and (part := file.read1(1 << 20)):
                text += part
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}: name a recording that `lab room --record` wrote.") from None
    except (OSError, EOFError, zlib.error):
        pass  # it was killed while it wrote
    return text[: text.rfind(b"\n") + 1].splitlines()
