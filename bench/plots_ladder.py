"""The figures of the middleware ladder: what each middleware adds, and what its place does to a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.looks import look_of, styled
from bench.page import (
    CPU,
    End,
    Measure,
    Picture,
    Series,
    draw_curve,
    holes_in,
    label_ends,
    new_page,
    rows_for,
    subtitle_of,
)
from bench.record import Run
from bench.stats import describe_ratio
from bench.summary import Row, ratio_of
from bench.tables import whole
from labs.common.middleware import STARTPROJECT, middleware_from_names

HOPS = Measure("hops.sync_to_async", 1, "hops to a thread", whole, log=False)
BACK = Measure("hops.async_to_sync", 1, "hops to the loop", whole, log=False)
SPECIAL = ("sync_only", "async_only", "both")
TELLING = "async_asgi@uvicorn"
"""Whose numbers the titles tell, where it is in the run."""
KEY = (
    "Hops are counted in a request of their own, exactly. Faint dots: single restarts. Vertical bars: interval of the "
    "median. Hollow: degraded."
)


def stock_layers(row: Row) -> int:
    """How many of the startproject middlewares a row has."""
    return sum(path in STARTPROJECT for path in middleware_from_names(",".join(row.middleware)))


def special_in(row: Row) -> str | None:
    """The sync-only, async-only or both-capable middleware among a row's, if there is one."""
    return next((name for name in row.middleware if name in SPECIAL), None)


def place_of_special(row: Row) -> int:
    """How many of the startproject middlewares stand outside of it: 0 is outermost."""
    outside = row.middleware[: next(i for i, name in enumerate(row.middleware) if name in SPECIAL)]
    return len(middleware_from_names(",".join(outside)))


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
        subtitle_of(rows, "the first so many of the seven startproject middlewares"),
        panels=2,
        labels=[f"{row.stack}  0,000" for row in rows],
        gap_in=2.6,
        notes=[KEY, *holes_in(rows)],
    )
    for ax, measure in zip(axes, (HOPS, CPU), strict=True):
        _draw(ax, rows, measure, stock_layers, "middlewares")
        label_ends(ax, _ends(rows, measure, stock_layers))
    return figure


def ladder_title(rows: Sequence[Row]) -> str:
    """From no middleware to all of them: hops and CPU of the telling stack, and the CPU of the one without hops."""
    told = [text for stack in _stacks(rows) if (text := _growth([row for row in rows if row.stack == stack]))]
    return "From no middleware to seven: " + "; ".join(told) if told else "Nothing was measured"


def _growth(rows: Sequence[Row]) -> str:
    first, last = rows[0], rows[-1]
    ratio = ratio_of(last, first, CPU.path)
    if ratio is None or first is last:
        return ""
    fewest, most = (whole(HOPS.of(row)) for row in (first, last))
    return f"{first.stack} {fewest} to {most} hops, CPU {describe_ratio(ratio)}"


def _stacks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.stack for row in rows))


@styled
def positions(run: Run, request: str) -> Picture:
    """Hops and CPU per request against the place of one more middleware among the seven; a column for each kind."""
    rows = rows_for(run, request)
    kinds = [name for name in SPECIAL if placed(rows, name)]
    figure, axes = new_page(
        positions_title(rows),
        subtitle_of(rows, "one more middleware among the seven"),
        panels=len(kinds),
        rows=2,
        panel_in=2.3,
        labels=[f"{row.stack}  0,000" for row in rows],
        notes=[KEY, "Place 0: outermost, around all seven. Place 7: innermost, next to the view."],
    )
    for column, name in enumerate(kinds):
        for line, measure in enumerate((HOPS, CPU)):
            ax, at_place = axes[line * len(kinds) + column], placed(rows, name)
            _draw(ax, at_place, measure, place_of_special, f"place of the {name.replace('_', '-')} one")
            if column == len(kinds) - 1:
                label_ends(ax, _ends(at_place, measure, place_of_special))
    return figure


def positions_title(rows: Sequence[Row]) -> str:
    """What one sync-only middleware makes of the telling stack, outermost against innermost."""
    at_place = [row for row in placed(rows, "sync_only") if row.stack == TELLING and row.values(HOPS.path)]
    ratio = ratio_of(at_place[-1], at_place[0], CPU.path) if len(at_place) > 1 else None
    if ratio is None:
        return "What the place of one middleware does"
    hops = [sum(int(measure.of(row) or 0) for measure in (HOPS, BACK)) for row in (at_place[0], at_place[-1])]
    return (
        f"The place of one sync-only middleware: outermost {hops[0]} hops, innermost {hops[1]}, "
        f"and CPU per request {describe_ratio(ratio)} ({TELLING})"
    )


def best_place(run: Run, request: str, name: str) -> int:
    """Where among the seven that middleware makes the telling stack hop least, both ways counted."""
    at_place = [row for row in placed(rows_for(run, request), name) if row.stack == TELLING]
    return place_of_special(min(at_place, key=lambda row: sum(measure.of(row) or 0.0 for measure in (HOPS, BACK))))


def _draw(ax: Axes, rows: Sequence[Row], measure: Measure, x_of: Callable[[Row], float], what: str) -> None:
    for stack in _stacks(rows):
        mine = tuple(row for row in rows if row.stack == stack)
        draw_curve(ax, Series(stack, look_of(stack), mine), measure, x_of)
    ax.set_ylim(0)
    ax.set_xlabel(what)
    ax.set_ylabel(measure.label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _ends(rows: Sequence[Row], measure: Measure, x_of: Callable[[Row], float]) -> list[End]:
    ends = []
    for stack in _stacks(rows):
        last = [row for row in rows if row.stack == stack and row.values(measure.path)][-1:]
        ends += [
            End(x_of(row), value, f"{stack}  {measure.text(value)}", look_of(stack).text_colour)
            for row in last
            if (value := measure.of(row)) is not None
        ]
    return ends
