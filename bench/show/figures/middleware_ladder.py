"""The figures of the middleware ladder: what each middleware adds, and what its place does to a request."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analyse.findings import ratio_of
from bench.analyse.rows import Row
from bench.analyse.stats import describe_ratio
from bench.model.run_record import Run
from bench.show.figures.axes import End, label_ends
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import CPU, Measure, Series, draw_curve, holes_in, rows_for, subtitle_of
from bench.show.figures.stack_style import INK, look_of, styled
from bench.show.tables.formatting import whole
from labs.common.middleware import NAMES, STARTPROJECT

HOPS = Measure("hops.both", 1, "hops, both ways", whole, log=False)
SPECIAL = {"sync_only": "a sync-only one", "async_only": "an async-only one", "both": "one that can be both"}
TELLING = "async_asgi@uvicorn"
"""Whose numbers the titles tell, where it is in the run."""
KEY = (
    "Hops are counted in a request of their own, exactly. Faint dots: single restarts. Vertical bars: interval of the "
    "median. Hollow: degraded."
)


def stock_layers(row: Row) -> int:
    """How many of the startproject middlewares a row has; a name that the labs no longer know is none of them."""
    return sum(path in STARTPROJECT for name in row.middleware for path in NAMES.get(name, ()))


def special_in(row: Row) -> str | None:
    """The sync-only, async-only or both-capable middleware among a row's, if there is one."""
    return next((name for name in row.middleware if name in SPECIAL), None)


def place_of_special(row: Row) -> int:
    """How many of the startproject middlewares stand outside of it: 0 is outermost."""
    outside = row.middleware[: next(i for i, name in enumerate(row.middleware) if name in SPECIAL)]
    return sum(len(NAMES.get(name, (name,))) for name in outside)


def rungs(rows: Sequence[Row]) -> list[Row]:
    """The rows with startproject middlewares alone, by their number."""
    return sorted((row for row in rows if special_in(row) is None), key=stock_layers)


def placed(rows: Sequence[Row], name: str) -> list[Row]:
    """The rows with one special middleware among the seven, by its place."""
    return sorted((row for row in rows if special_in(row) == name), key=place_of_special)


def is_ladder(rows: Sequence[Row]) -> bool:
    """True where there are rungs to draw."""
    return len({stock_layers(row) for row in rungs(rows) if row.values(HOPS.path)}) > 2


def has_places(rows: Sequence[Row]) -> bool:
    """True where a special middleware was measured at several places."""
    return any(len({place_of_special(row) for row in placed(rows, name)}) > 2 for name in SPECIAL)


@styled
def ladder(run: Run, request: str) -> Picture:
    """Hops and CPU per request against the number of startproject middlewares."""
    rows = rungs(rows_for(run, request))
    figure, axes = new_page(
        ladder_title(rows),
        subtitle_of(rows, "the first so many of the seven startproject middlewares") if rows else request,
        panels=2,
        labels=[f"{row.stack}  0,000" for row in rows],
        gap_in=1.2,
        notes=[KEY, *holes_in(rows)],
    )
    for ax, measure in zip(axes, (HOPS, CPU), strict=True):
        _draw(ax, rows, measure, stock_layers)
        ax.set_xlabel("middlewares")
        ax.set_ylabel(measure.label)
        label_ends(ax, _ends(rows, measure, stock_layers, names=measure is CPU))
    return figure


def ladder_title(rows: Sequence[Row]) -> str:
    """From the fewest middlewares to the most: how hops and CPU of each stack grow, the telling one first."""
    stacks = sorted(_stacks(rows), key=lambda stack: stack != TELLING)
    told = [text for stack in stacks if (text := _growth([row for row in rows if row.stack == stack]))]
    if not told:
        return "The ladder was not climbed: hops were not counted on two of its rungs"
    low, high = (pick(map(stock_layers, rows)) for pick in (min, max))
    return f"From {low or 'no'} middleware{'' if low < 2 else 's'} to {high}: {'; '.join(told)}"


def _growth(rows: Sequence[Row]) -> str:
    """How a stack's hops and CPU grow; the CPU only where restarts enough allow it. Empty where hops are not known."""
    first, last = rows[0], rows[-1]
    if first is last or not (first.values(HOPS.path) and last.values(HOPS.path)):
        return ""
    fewest, most = (whole(HOPS.of(row)) for row in (first, last))
    change = most if fewest == most else f"{fewest} to {most}"
    hops = f"{first.stack} {change} hop{'' if change == '1' else 's'}"
    ratio = ratio_of(last, first, CPU.path)
    return f"{hops}, CPU {describe_ratio(ratio)}" if ratio else hops


def _stacks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.stack for row in rows))


@styled
def positions(run: Run, request: str) -> Picture:
    """Hops and CPU per request against the place of one more middleware among the seven; a column for each kind."""
    rows = rows_for(run, request)
    kinds = [name for name in SPECIAL if placed(rows, name)]
    figure, axes = new_page(
        positions_title(rows),
        subtitle_of(rows, "one more middleware among the seven") if rows else request,
        panels=max(1, len(kinds)),
        rows=2,
        panel_in=2.3,
        gap_in=0.4,
        labels=[f"{row.stack}  0,000" for row in rows],
        notes=[KEY, "Place 0: outermost, around all seven. Place 7: innermost, next to the view."],
    )
    for line, measure in enumerate((HOPS, CPU)):
        _draw_places(axes[line * len(kinds) : (line + 1) * len(kinds)], rows, kinds, measure)
    for ax, name in zip(axes, kinds, strict=False):
        ax.set_title(SPECIAL[name], color=INK, size=9)
    for ax in axes[len(kinds) :]:
        ax.set_xlabel("its place")
    return figure


def _draw_places(axes: Sequence[Axes], rows: Sequence[Row], kinds: Sequence[str], measure: Measure) -> None:
    """One line of panels, all to one scale."""
    for ax, name in zip(axes, kinds, strict=True):
        _draw(ax, placed(rows, name), measure, place_of_special)
    high = max((ax.get_ylim()[1] for ax in axes), default=1.0)
    for ax in axes:
        ax.set_ylim(0, high)
    if axes:
        axes[0].set_ylabel(measure.label)
        label_ends(axes[-1], _ends(placed(rows, kinds[-1]), measure, place_of_special))


def positions_title(rows: Sequence[Row]) -> str:
    """What one sync-only middleware makes of the telling stack, outermost against innermost."""
    at_place = [row for row in placed(rows, "sync_only") if row.stack == TELLING and row.values(HOPS.path)]
    if len(at_place) < 2:
        return "What the place of one middleware does was not measured: it takes two places of a sync-only one"
    hops = [whole(HOPS.of(row)) for row in (at_place[0], at_place[-1])]
    ratio = ratio_of(at_place[-1], at_place[0], CPU.path)
    cpu = f", and CPU per request {describe_ratio(ratio)}" if ratio else ""
    return f"The place of one sync-only middleware: outermost {hops[0]} hops, innermost {hops[1]}{cpu} ({TELLING})"


def _draw(ax: Axes, rows: Sequence[Row], measure: Measure, x_of: Callable[[Row], float]) -> None:
    for stack in _stacks(rows):
        mine = tuple(row for row in rows if row.stack == stack)
        draw_curve(ax, Series(stack, look_of(stack), mine), measure, x_of)
    ax.set_ylim(0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _ends(rows: Sequence[Row], measure: Measure, x_of: Callable[[Row], float], *, names: bool = True) -> list[End]:
    """The last number of each stack, with its name or in its colour alone."""
    ends = []
    for stack in _stacks(rows):
        last = [row for row in rows if row.stack == stack and row.values(measure.path)][-1:]
        ends += [
            End(
                x_of(row),
                value,
                f"{stack}  {measure.text(value)}" if names else measure.text(value),
                look_of(stack).text_colour,
            )
            for row in last
            if (value := measure.of(row)) is not None
        ]
    return ends
