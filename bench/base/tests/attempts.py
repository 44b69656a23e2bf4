"""What a busy machine can keep from being seen is made again."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

MADE_AGAIN = 5
Made = TypeVar("Made")


def until(holds: Callable[[Made], object], make: Callable[[], Made]) -> Made:
    """What is made; made again, up to five times, where `holds` does not."""
    for _ in range(MADE_AGAIN):
        made = make()
        if holds(made):
            break
    return made


def until_in(folder: Path, holds: Callable[[Made], object], make: Callable[[Path], Made]) -> Made:
    """The same, each time in a new folder within this one."""
    folder.mkdir(parents=True, exist_ok=True)
    return until(holds, lambda: make(Path(tempfile.mkdtemp(dir=folder))))
