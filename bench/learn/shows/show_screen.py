"""What the shows for a room share: a screen that is drawn again and again, and numbers in large figures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

HEIGHT = 5
DRAWN_PER_S = 8
LEAST_WIDTH, LEAST_HEIGHT = 78, 22
STOP = "Ctrl-C stops"
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

Draw = Callable[[int, int], RenderableType]
"""Draws for a screen of so many columns and lines."""


@contextmanager
def staged(draw: Draw, screen: Console) -> Iterator[None]:
    """Draw on the whole terminal, again and again, while the `with` block runs; nothing on a pipe or in a file."""
    if not is_stage(screen):
        yield
        return

    def fit() -> RenderableType:
        return fitted(draw, screen.width, screen.height)

    with Live(console=screen, screen=True, refresh_per_second=DRAWN_PER_S, get_renderable=fit):
        yield


def is_stage(screen: Console) -> bool:
    """True for a terminal that can be drawn on; a pipe, a file and a dumb terminal get lines instead."""
    return screen.is_terminal and not screen.is_dumb_terminal


def tell(screen: Console, line: str) -> None:
    """Print a line about what has just been seen, where nothing is drawn."""
    if not is_stage(screen):
        screen.print(line, highlight=False, soft_wrap=True)


def grid(ratios: Sequence[int], *cells: RenderableType) -> Table:
    """Cells side by side over the whole width, in these proportions."""
    table = Table.grid(expand=True)
    for ratio in ratios:
        table.add_column(ratio=ratio)
    table.add_row(*cells)
    return table


def fitted(draw: Draw, width: int, height: int) -> RenderableType:
    """What `draw` draws, or a sentence if the terminal is too small; the show continues meanwhile."""
    if width >= LEAST_WIDTH and height >= LEAST_HEIGHT:
        return draw(width, height)
    return Text(
        f"This terminal has {width} columns and {height} lines, and the show needs {LEAST_WIDTH} and {LEAST_HEIGHT}: "
        "make the window larger or its letters smaller."
    )


def big(number: float | None, width: int, height: int = HEIGHT, digits: int = 1) -> str:
    """A whole number, or a dash for None, as large as these columns and lines allow.

    With `digits`, all numbers of up to so many digits have the same size.
    """
    signs = "-" if number is None else f"{number:.0f}"
    wide, tall = pixel(max(digits, len(signs)), width, height)
    lines = (" ".join(GLYPHS[sign][row] for sign in signs) for row in range(HEIGHT))
    large = ("".join(("█" if pixel == "#" else " ") * wide for pixel in line) for line in lines)
    return "\n".join(line for line in large for _ in range(tall))


def pixel(digits: int, width: int, height: int) -> tuple[int, int]:
    """Columns and lines of one square, somewhat taller than wide: a column is half as wide as a line is high."""
    wide = max(1, width // (4 * digits - 1))
    tall = max(1, min(height // HEIGHT, round(0.75 * wide)))
    return min(wide, 2 * tall), tall


def sparks(values: Sequence[float], most: float, width: int) -> str:
    """The last values as a row of bars; a full bar is `most` or more."""
    last = len(SPARKS) - 1
    return "".join(SPARKS[max(0, min(last, round(last * value / most)))] for value in values[-width:])
