"""A trace as a figure: its hops as arrows between threads, one below the other, and beside each where its time went."""

from matplotlib.axes import Axes

from bench.show.figures.layout import Picture, new_page
from bench.show.figures.stack_style import GREY, INK, PALE, styled
from bench.trace.inside.model import Hop, Kind, Trace, ViewCall

ROW_IN = 0.235
LANES_SHARE = 0.36
"""Of the left panel: the rest is for what runs there."""
COLOURS: dict[Kind, str] = {"sync_to_async": "#d55e00", "async_to_sync": "#009e73"}
PARTS = {
    "sent_us": ("waited to begin", "#d9c7a3"),
    "queued_us": ("queued", "#cc79a7"),
    "worked_us": ("worked", "#0072b2"),
    "returned_us": ("way back", "#efe3c8"),
}
"""What the time of a hop consists of, with the name and the colour of each part."""
KEY = (
    "Each arrow is one hop; beside it what runs on the other side. A square is the view. "
    "Bars: waited until it began (queued while its "
    "thread was busy with this request), worked, and waited until the asking side went on. A request's first hop "
    "starts its thread."
)


@styled
def picture(trace: Trace, title: str | None = None) -> Picture:
    """Draw one line for each hop, in the order in which they were asked for."""
    rows = len(trace.hops) + len(trace.views) + 2
    figure, (lanes, times) = new_page(
        title or title_of(trace),
        f"{trace.method} {trace.path} · {trace.application} · one request, time runs downwards",
        panels=2,
        panel_in=max(1.6, ROW_IN * rows),
        left_in=0.55,
        gap_in=0.3,
        width_in=10.5,
        notes=[KEY],
    )
    for ax in (lanes, times):
        ax.set_ylim(rows - 0.5, -0.5)
        ax.grid(visible=False)
        ax.spines[["left", "bottom"]].set_visible(False)
    _draw_lanes(lanes, trace, rows)
    _draw_times(times, trace)
    return figure


def steps_of(trace: Trace) -> list[Hop | ViewCall]:
    """The hops and the calls of views in the order in which they began."""
    return sorted([*trace.hops, *trace.views], key=_began_us)


def _began_us(step: Hop | ViewCall) -> float:
    return step.asked_us if isinstance(step, Hop) else step.began_us


def title_of(trace: Trace) -> str:
    """The finding: how often the request left its thread, for what, and the share of the time that is hand-off."""
    if not trace.hops:
        return f"One request, no hop: all of it ran on one thread, in {trace.took_us / 1000:.1f} ms"
    return (
        f"{trace.summary.removesuffix('.')}; "
        f"{trace.handed_off_us / 1000:.1f} of {trace.took_us / 1000:.1f} ms went on handing over between threads"
    )


def _x(lane: int, trace: Trace) -> float:
    return LANES_SHARE * (lane + 0.5) / len(trace.lanes)


def _draw_lanes(ax: Axes, trace: Trace, rows: int) -> None:
    places = [_x(lane, trace) for lane in range(len(trace.lanes))]
    ax.set_xlim(0, 1)
    ax.set_xticks(places, trace.lanes, size=8.5)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    for lane, x in enumerate(places):
        ax.axvline(x, color=PALE if lane else INK, linewidth=1.2)
    moments = [0.0, *map(_began_us, steps_of(trace)), trace.took_us]
    ax.set_yticks(range(rows), [f"{at_us / 1000:.2f}" for at_us in moments], size=7.5, color=GREY)
    ax.text(-0.01, -1.0, "ms", ha="right", va="center", size=7.5, color=GREY)
    for row, step in enumerate(steps_of(trace), 1):
        if isinstance(step, Hop):
            _draw_hop(ax, trace, step, row)
        else:
            _draw_view(ax, trace, step, row)
    ends = {0: "the request arrives", rows - 1: str(trace.status or "no answer")}
    for row in ends:
        ax.plot(places[:1], [row], "o", color=INK, markersize=5, zorder=3)
    for row, text in ends.items():
        ax.text(LANES_SHARE + 0.02, row, text, va="center", size=8.5, color=INK)


def _draw_view(ax: Axes, trace: Trace, view: ViewCall, row: int) -> None:
    ax.plot([_x(view.lane or 0, trace)], [row], "s", color=INK, markersize=5, zorder=3)
    name = f"the view: {view.what.replace('<locals>.', '')}"
    ax.text(LANES_SHARE + 0.02, row, name, va="center", size=8.5, color=INK, weight="bold", parse_math=False)


def _draw_hop(ax: Axes, trace: Trace, hop: Hop, row: int) -> None:
    colour = COLOURS[hop.kind]
    target = hop.lane if hop.to_lane is None else hop.to_lane
    ax.annotate(
        "",
        xy=(_x(target, trace), row),
        xytext=(_x(hop.lane, trace), row),
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 1},
    )
    failed = "" if hop.outcome == "returned" else f" ({hop.outcome})"
    indent = 0.02 + 0.02 * (hop.parent is not None)
    ax.text(
        LANES_SHARE + indent, row, hop.what.replace("<locals>.", "") + failed, va="center", size=8.5, color=colour,
        clip_on=False, parse_math=False,
    )  # fmt: skip


def _draw_times(ax: Axes, trace: Trace) -> None:
    ax.set_yticks([])
    ax.set_xlabel("µs of each hop")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.spines["bottom"].set_visible(True)
    hops = ((row, step) for row, step in enumerate(steps_of(trace), 1) if isinstance(step, Hop))
    for row, hop in hops:
        left = 0.0
        for measure, (_, colour) in PARTS.items():
            span_us = getattr(hop, measure)
            ax.barh(row, span_us, left=left, height=0.62, color=colour, linewidth=0)
            left += span_us
    for measure, (name, colour) in PARTS.items():
        if measure != "queued_us" or trace.queued_us:
            ax.barh(-2, 0, color=colour, label=name)
    if trace.hops:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(PARTS), fontsize=8, frameon=False)
