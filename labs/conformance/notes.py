"""What happened to a request, in a file of its own, and the word by which a request that is held goes on.

`LAB_NOTES` is the folder; a request names its file by the query string `key=...`. Whoever asks reads and writes there
too, so that neither needs the server in between.
"""

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import parse_qs

LOOK_EVERY_S = 0.01
HELD_AT_MOST_S = 60.0
"""After so many seconds a request goes on by itself: whoever held it has gone."""


def key_of(query: str) -> str:
    """Return the name of the request's file; `unnamed` if its query string has none."""
    return parse_qs(query).get("key", ["unnamed"])[0]


def note(key: str, event: str) -> None:
    """Add a line to the request's file. Raises KeyError without `LAB_NOTES`."""
    with _file(key).open("a") as file:
        file.write(f"{event}\n")


def hold(key: str) -> None:
    """Wait in this thread until the request may go on."""
    deadline_s = time.monotonic() + HELD_AT_MOST_S
    while not _may_go_on(key) and time.monotonic() < deadline_s:
        time.sleep(LOOK_EVERY_S)


async def ahold(key: str) -> None:
    """Wait on the event loop until the request may go on: another process makes the file, so that it has to look."""
    deadline_s = time.monotonic() + HELD_AT_MOST_S
    while not _may_go_on(key) and time.monotonic() < deadline_s:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_EVERY_S)


def _may_go_on(key: str) -> bool:
    return _file(f"{key}.go").exists()


def _file(name: str) -> Path:
    return Path(os.environ["LAB_NOTES"]) / Path(name).name
