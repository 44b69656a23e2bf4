"""One look for each stack in every figure: colour, marker, line (`look_of`), and the lab's style sheet (`styled`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from math import log2
from typing import Any, ParamSpec, TypeVar

from matplotlib import style
from matplotlib.colors import to_hex, to_rgb

from bench.analyse.rows import processes_of
from bench.base.files import ROOT

STYLE = ROOT / "notebooks" / "lab.mplstyle"
INK, GREY, PALE = "#222222", "#777777", "#b5b5b5"
FAILED = "#b00020"
P = ParamSpec("P")
T = TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Run with the lab's style sheet, and leave the caller's settings as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


# After Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision, by markers in grey. A
# budget or another server changes the shade, the marker and the line, never the hue.
HUES = {
    "sync_wsgi": "#0072b2",
    "sync_asgi": "#d55e00",
    "async_asgi": "#009e73",
    "async_wsgi": "#b5539a",
    "mixed_middleware": "#8a6d00",
    "zero_hop": "#1f9ed1",
    "pinned_pool": "#6a51a3",
    "folded": "#5d4037",
    "channels_live": "#c2185b",
    "bare_wsgi": "#5f7f95",
    "bare_asgi": "#4d4d4d",
}
# Only filled markers: a hollow one means degraded.
MARKERS = {
    "sync_wsgi": "<v^sDp>",
    "sync_asgi": "XP",
    "async_asgi": "oh8",
    "async_wsgi": "d*",
    "mixed_middleware": "H",
    "zero_hop": "*",
    "pinned_pool": "p",
    "folded": "D",
    "channels_live": "8hHd",
    "bare_asgi": "p*s",
}
SHADES = {"uvicorn": 0.0, "uvicorn_worker": 0.35, "gunicorn_asgi": -0.45, "sync": 0.65, "daphne": 0.35}
SOLID, DASHED, DASH_DOT = "-", (0, (7, 1.5)), (0, (7, 1.5, 1.5, 1.5))
LINES: dict[str, Any] = {"uvicorn_worker": DASHED, "gunicorn_asgi": DASH_DOT, "sync": DASHED, "daphne": DASH_DOT}
DOTTED = (0, (1.2, 1.2))
# How connections are kept changes the line and the shade.
KEEPS: dict[str, tuple[Any, float]] = {
    "max_age_60": (DASHED, 0.25),
    "max_age_none": (DASH_DOT, -0.3),
    "pool_16": (DOTTED, 0.45),
}


@dataclass(frozen=True)
class Look:
    """How a stack is drawn."""

    colour: str
    marker: str
    line: Any

    @property
    def text_colour(self) -> str:
        """Darker, so that light shades can be read on white."""
        return _shaded(self.colour, -0.3)


def look_of(stack: str) -> Look:
    """The look of `lab[+keep]@server[:budget]`; grey for a lab that is not known."""
    named, _, rest = stack.partition("@")
    lab, _, keep = named.partition("+")
    server, _, budget = rest.partition(":")
    threads = int(match[0]) if (match := re.match(r"[0-9]+", budget)) else 0
    processes = processes_of(stack)
    shade = 0.5 - log2(threads) / 10 if threads else SHADES.get(server, 0.0)
    line, lighter = KEEPS.get(keep, (LINES.get(server, SOLID if processes == 1 else DASHED), 0.0))
    colour = _shaded(HUES.get(lab, "#888888"), min(0.7, max(-0.7, shade + lighter - 0.16 * log2(processes))))
    markers = MARKERS.get(lab, "ophdsX")
    place = _marker_place(server, threads, processes)
    return Look(colour, markers[place % len(markers)], line)


def colour_of(stack: str) -> str:
    """The stack's colour in every figure, as `#rrggbb`."""
    return look_of(stack).colour


def _marker_place(server: str, threads: int, processes: int) -> int:
    """Which of its lab's markers: thread budgets by size, servers by kind, several processes on their own."""
    if threads:
        return 6 if processes > 1 else 1 + sum(threads > most for most in (1, 8, 64, 512))
    return (
        ["sync", "uvicorn_worker", "gunicorn_asgi", "daphne"].index(server)
        if server in SHADES and server != "uvicorn"
        else 0
    ) + (2 if processes > 1 else 0)


def _shaded(colour: str, amount: float) -> str:
    """Mixed with white for a positive amount, with black for a negative one."""
    towards = 1.0 if amount > 0 else 0.0
    share = abs(amount)
    red, green, blue = ((1 - share) * channel + share * towards for channel in to_rgb(colour))
    return to_hex((red, green, blue))
