"""What a busy machine can keep from being seen is made again, each time in a folder of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

MADE_AGAIN = 5
Made = TypeVar("Made")


def until(holds: Callable[[Made], object], make: Callable[[Path], Made], folder: Path) -> Made:
    """What is made in a folder; made again in another, up to five times, where `holds` does not."""
    for number in range(MADE_AGAIN):
        (folder / str(number)).mkdir(parents=True)
        made = make(folder / str(number))
        if holds(made):
            break
    return made
