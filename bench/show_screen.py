"""What shows for a room share: a screen that is drawn again and again, and numbers in big type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live

HEIGHT = 5
DRAWN_PER_S = 8
_ROWS = {
    "0": "###/# #/# #/# #/###",
    "1": " # /## / # / # /###",
    "2": "###/  #/###/#  /###",
    "3": "###/  #/ ##/  #/###",
    "4": "# #/# #/###/  #/  #",
    "5": "###/#  /###/  #/###",
    "6": "###/#  /###/# #/###",
    "7": "###/  #/  #/ # / # ",
    "8": "###/# #/###/# #/###",
    "9": "###/# #/###/  #/###",
    "-": "   /   /###/   /   ",
}
GLYPHS = {sign: rows.split("/") for sign, rows in _ROWS.items()}
SPARKS = "▁▂▃▄▅▆▇█"


@contextmanager
def staged(draw: Callable[[int], RenderableType], screen: Console) -> Iterator[None]:
    """What `draw` makes for the screen's width, on the whole terminal; nothing where nobody looks."""
    if not screen.is_terminal:
        yield
        return

    def drawn() -> RenderableType:
        return draw(screen.width)

    with Live(console=screen, screen=True, refresh_per_second=DRAWN_PER_S, get_renderable=drawn):
        yield


def big(number: float | None, width: int) -> str:
    """A whole number as five lines, twice as wide where so many columns allow it; a dash for None."""
    signs = "-" if number is None else f"{number:.0f}"
    lines = [" ".join(GLYPHS[sign][row] for sign in signs) for row in range(HEIGHT)]
    wide = 2 if 2 * len(lines[0]) <= width else 1
    return "\n".join("".join(("█" if pixel == "#" else " ") * wide for pixel in line) for line in lines)


def sparks(values: Sequence[float], most: float, width: int) -> str:
    """The last values as a row of bars, a full one for `most` and above."""
    last = len(SPARKS) - 1
    return "".join(SPARKS[max(0, min(last, round(last * value / most)))] for value in values[-width:])
