"""Scales axes with plain numbers, and labels the ends of lines so that labels do not touch."""

from collections.abc import Sequence
from math import inf, log10
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator


def spread(positions: Sequence[float], gap: float, low: float = -inf, high: float = inf) -> list[float]:
    """Move positions as little as need be so that neighbours are `gap` apart and all lie within low and high.

    Positions that crowd form a block around the mean of where its members wanted to be. The order is kept.
    Where there is no room for all, `gap` shrinks.
    """
    if len(positions) > 1 and gap * (len(positions) - 1) > high - low:
        gap = (high - low) / (len(positions) - 1)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    blocks: list[list[float]] = []  # where each member would have the block begin
    starts: list[float] = []
    for place, index in enumerate(order):
        blocks.append([positions[index] - place * gap])
        starts.append(blocks[-1][0])
        while len(blocks) > 1 and starts[-2] > starts[-1]:
            blocks[-2:] = [blocks[-2] + blocks[-1]]
            starts[-2:] = [sum(blocks[-1]) / len(blocks[-1])]
    wanted = [start for block, start in zip(blocks, starts, strict=True) for _ in block]
    last = high - gap * (len(positions) - 1)
    found = {
        index: min(max(start, low), last) + place * gap
        for place, (index, start) in enumerate(zip(order, wanted, strict=True))
    }
    return [found[index] for index in range(len(positions))]


class End(NamedTuple):
    """Where a line ends, and what is written there."""

    x: float
    y: float
    text: str
    colour: str


def label_ends(ax: Axes, ends: Sequence[End]) -> None:
    """Write each label beside its line's end, right of the axes; a thin leader where it had to move."""
    box = ax.get_window_extent()
    at_px = [float(ax.transData.transform((end.x, end.y))[1]) for end in ends]
    gap_px = 11.5 * ax.figure.dpi / 72
    for end, y_px in zip(ends, spread(at_px, gap_px, box.y0, box.y1), strict=True):
        ax.annotate(
            end.text,
            xy=(end.x, end.y),
            xytext=(1 + 16 / box.width, (y_px - box.y0) / box.height),
            textcoords="axes fraction",
            size=8.5, color=end.colour, va="center", ha="left", parse_math=False, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "alpha": 0.6,
                        "shrinkA": 1, "shrinkB": 5, "relpos": (0, 0.5)},
        )  # fmt: skip


def plain(value: float, _: object = None) -> str:
    """Write the number of a tick: 1,600 and 0.25, never 1600 or 2.50."""
    return f"{value:,.10g}"


def scale_users(ax: Axes, levels: Sequence[int]) -> None:
    """Set ticks exactly where users were measured; logarithmic from a factor of ten on."""
    is_log = levels[-1] >= 10 * levels[0]
    ax.set_xscale("log" if is_log else "linear")
    at = [log10(level) if is_log else float(level) for level in levels]
    pad = 0.03 * (at[-1] - at[0]) or 0.5
    ends = (at[0] - pad, at[-1] + pad)
    ax.set_xlim(*((10**end for end in ends) if is_log else ends))
    room = (at[-1] - at[0]) * 38 / (ax.get_window_extent().width * 100 / ax.figure.dpi)
    kept = apart(at, room)
    ax.xaxis.set_major_locator(FixedLocator(levels))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, place: plain(round(value)) if place in kept else ""))
    ax.set_xlabel("users (each waits for its answer)")


def apart(at: Sequence[float], room: float) -> set[int]:
    """Choose the positions to label so that labels do not touch: the last, then leftwards each that has room."""
    kept = [len(at) - 1]
    for place in reversed(range(len(at) - 1)):
        if at[kept[-1]] - at[place] >= room:
            kept.append(place)
    return set(kept)


def scale_values(ax: Axes, values: Sequence[float], *, log: bool | None = None) -> None:
    """Scale the y axis for these values: logarithmic if they span a factor of 20, else from zero."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    if log if log is not None else high >= 20 * low:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * 1.6)
        ax.yaxis.set_major_locator(LogLocator(subs=_steps(low, high)))
    else:
        ax.set_ylim(0, high * 1.12)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(plain))


def _steps(low: float, high: float) -> tuple[float, ...]:
    """Return the ticks within a decade: the narrower the span, the more."""
    if high > 300 * low:
        return (1.0,)
    return (1.0, 2.0, 5.0) if high > 3 * low or low < 10 else (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
