"""Draws how long the event loop stood still while a call ran on it."""

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter

from bench.model.call_outcome import LONG_MS, CallOutcome
from bench.model.stacks import LABS
from bench.show.figures.axes import plain
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.stack_style import FAILED, INK, styled

BAR_IN = 0.24
BLOCKS, WAITS = FAILED, LABS["async_asgi"].colour
NOTE = (
    f"Of calls that last {LONG_MS} ms and more: the longest time between two ticks of a task that ticks each "
    "millisecond. Red: no tick while the call ran. Green: the loop went on. Milliseconds are this machine's."
)


@styled
def gaps(outcomes: Sequence[CallOutcome]) -> Picture:
    """Draw one bar for each long call."""
    calls = sorted((call for call in outcomes if call.outcome in ("blocks", "waits")), key=lambda call: -call.gap_ms)
    figure, (ax,) = new_page(
        finding(calls),
        "the event loop beside one call",
        panels=1,
        notes=[NOTE],
        panel_in=BAR_IN * len(calls) + 0.2,
        left_in=0.4 + 0.075 * max((len(call.name) for call in calls), default=0),
    )
    ax.set_xscale("log")
    ax.set(xlim=(0.8, 2000), ylim=(len(calls) - 0.4, -0.6), xlabel="the loop stood still, ms")
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    ax.set_yticks(range(len(calls)), [call.name for call in calls])
    ax.tick_params(axis="y", length=0)
    for place, call in enumerate(calls):
        colour = BLOCKS if call.blocked else WAITS
        ax.barh(place, max(call.gap_ms, 1), height=0.62, color=colour)
        ax.annotate(
            f"{call.gap_ms:,}",
            (max(call.gap_ms, 1), place),
            (5, 0),
            textcoords="offset points",
            size=8.5,
            va="center",
            color=INK,
        )
    return figure


def finding(calls: Sequence[CallOutcome]) -> str:
    """Return the title: how many long calls stopped the loop, and how many of them Django refused."""
    blocked = [call for call in calls if call.blocked]
    noticed = sum(call.caught for call in blocked)
    return (
        f"{len(blocked)} of {len(calls)} long calls stopped the loop; "
        f"Django said a word about {noticed or 'none'} of them"
    )
