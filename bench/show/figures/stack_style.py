"""The look of each stack in every figure (`look_of`), and the lab's style sheet (`styled`).

Colours and markers stand in the entries of labs, shades and lines in those of servers and ways to keep connections.
What an environment changes follows from its name, because users name them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from math import log2
from typing import Any, ParamSpec, TypeVar
from zlib import crc32

from matplotlib import style
from matplotlib.colors import to_hex, to_rgb

from bench.base.files import KEPT
from bench.model.fronts import FRONTS
from bench.model.servers import SERVERS, Line, ServerKind
from bench.model.stacks import CONNECTION_POLICIES, LABS, Lab, StackName, split_name

STYLE = KEPT / "notebooks" / "lab.mplstyle"
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


LINES: dict[Line, Any] = {
    "solid": "-",
    "dashed": (0, (7, 1.5)),
    "dash-dot": (0, (7, 1.5, 1.5, 1.5)),
    "dotted": (0, (1.2, 1.2)),
}


ENVIRONMENT_LINES: tuple[Line, ...] = ("dashed", "dash-dot", "dotted")
ENVIRONMENT_SHADES = (-0.5, -0.3, 0.2, 0.35, 0.5)
MARKERS = "<v^sDp>XPohd8*H"


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
    """The look of `[front/]lab[+policy][+db_Nms]@server[:budget][%environment]`; grey for a lab that is not known.

    More threads, more processes and a database that is far away make the colour darker. An environment changes shade,
    marker and line.
    """
    name = split_name(stack)
    lab, server = LABS.get(name.lab, Lab), SERVERS.get(name.server, ServerKind)  # a class has what the unknown get
    drawn_by = [it for it in (CONNECTION_POLICIES.get(name.keep or ""), FRONTS.get(name.front or "")) if it]
    plain = server.line or ("solid" if name.processes == 1 else "dashed")
    line = drawn_by[0].line if drawn_by else plain
    shade = server.shade + sum(it.shade for it in drawn_by) - 0.16 * log2(name.processes)
    shade -= 0.1 * log2(1 + name.database_ms)
    if name.threads:
        shade += 0.5 - log2(name.threads) / 10
    marker = lab.markers[(server.marker + _marker_of(name)) % len(lab.markers)]
    if name.environment:
        chance = crc32(name.environment.encode())
        line, shade = ENVIRONMENT_LINES[chance % 3], shade + ENVIRONMENT_SHADES[chance // 3 % 5]
        others = [other for other in MARKERS if other != marker]
        marker = others[chance // 15 % len(others)]
    return Look(_shaded(lab.colour, min(0.7, max(-0.7, shade))), marker, LINES[line])


def _marker_of(name: StackName) -> int:
    """Which of its lab's markers a budget takes, counted from its server's: thread budgets by size."""
    several = name.processes > 1
    if name.threads is None:
        return 2 if several else 0
    return 6 if several else 1 + sum(name.threads > most for most in (1, 8, 64, 512))


def _shaded(colour: str, amount: float) -> str:
    """Mixed with white for a positive amount, with black for a negative one."""
    towards = 1.0 if amount > 0 else 0.0
    share = abs(amount)
    red, green, blue = ((1 - share) * channel + share * towards for channel in to_rgb(colour))
    return to_hex((red, green, blue))
