"""Draws the middleware ladder: what each middleware adds, and what its place does to a request."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analyse.findings import ratio_of
from bench.analyse.rows import Row, rows_of
from bench.analyse.stats import describe_ratio
from bench.model.run_record import Run
from bench.show.figures.axes import label_ends
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import CPU, THREADS, Measure, Series, draw_curve, end_of, holes_in, rows_for, subtitle_of
from bench.show.figures.stack_style import INK, look_of, styled
from bench.show.tables.formatting import whole
from labs.common.middleware import NAMES, STARTPROJECT

HOPS = Measure("hops.sync_to_async", 1, "hops to a thread", whole, log=False)
SPECIAL = {"sync_only": "a sync-only one", "async_only": "an async-only one", "both": "one that can be both"}
TELLING = "async_asgi@uvicorn"
"""The stack whose numbers stand in the titles, if the run has it."""
KEY = (
    "Hops are counted in a request of their own, exactly. Faint dots: single restarts. Vertical bars: interval of the "
    "median. Hollow: degraded."
)


def stock_layers(row: Row) -> int:
    """Count the startproject middlewares of a row; a name that the labs no longer know is none of them."""
    return sum(path in STARTPROJECT for name in row.middleware for path in NAMES.get(name, ()))


def special_in(row: Row) -> str | None:
    """Return the name in SPECIAL of the one more middleware that a row has, if it has one."""
    return next((name for name in row.middleware if name in SPECIAL), None)


def place_of_special(row: Row) -> int:
    """Count the middlewares outside of the special one: 0 is outermost."""
    outside = takewhile(lambda name: name not in SPECIAL, row.middleware)
    return sum(len(NAMES.get(name, (name,))) for name in outside)


def rungs(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with startproject middlewares alone, by their number."""
    return sorted((row for row in rows if special_in(row) is None), key=stock_layers)


def placed(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the rows with one special middleware among the seven, by its place."""
    return sorted((row for row in rows if special_in(row) == name), key=place_of_special)


def is_ladder(rows: Sequence[Row]) -> bool:
    """Return whether hops were counted on more than two rungs."""
    return len({stock_layers(row) for row in rungs(rows) if row.values(HOPS.path)}) > 2


def has_places(rows: Sequence[Row]) -> bool:
    """Return whether a special middleware was measured at more than two places."""
    return any(len({place_of_special(row) for row in placed(rows, name)}) > 2 for name in SPECIAL)


def without_and_with_seven(run: Run, stack: str) -> tuple[Row, Row] | None:
    """Return a stack's rows without middleware and with the seven, at the most users; None if one has no CPU."""
    rows = [row for row in rungs(rows_of(run)) if row.stack == stack and row.values(CPU.path)]
    ends = [[row for row in rows if stock_layers(row) == layers] for layers in (0, len(STARTPROJECT))]
    if not all(ends):
        return None
    bare, full = (max(found, key=lambda row: row.users) for found in ends)
    return bare, full


def price_cells(rows: tuple[Row, Row], hops: int) -> tuple[str, ...]:
    """Return the cells of a table: stack, load, threads, CPU without and with the seven, and the difference per hop."""
    bare, full = rows
    without_us, with_us = CPU.of(bare) or 0.0, CPU.of(full) or 0.0
    prices = (THREADS.of(full), without_us, with_us, (with_us - without_us) / hops)
    return f"`{full.stack}`", f"`{full.request}`, {full.load_text}", *map(whole, prices)


@styled
def ladder(run: Run, request: str) -> Picture:
    """Draw hops and CPU per request against the number of startproject middlewares."""
    rows = rungs(rows_for(run, request))
    figure, axes = new_page(
        _ladder_title(rows),
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
        text = "{name}  {value}" if measure is CPU else "{value}"
        label_ends(ax, [end for line in _lines(rows) for end in end_of(line, measure, stock_layers, text)])
    return figure


def _ladder_title(rows: Sequence[Row]) -> str:
    """Say how hops and CPU of each stack grow from the fewest middlewares to the most, the TELLING stack first."""
    lines = sorted(_lines(rows), key=lambda line: line.name != TELLING)
    texts = list(filter(None, (_growth(line.rows) for line in lines)))
    if not texts:
        return "The ladder was not climbed: hops were not counted on two of its rungs"
    low, high = (pick(map(stock_layers, rows)) for pick in (min, max))
    return f"From {low or 'no'} middleware{'' if low < 2 else 's'} to {high}: {'; '.join(texts)}"


def _growth(rows: Sequence[Row]) -> str:
    """Say how a stack's hops and CPU grow; the CPU only with enough restarts. Empty if hops are not known."""
    first, last = rows[0], rows[-1]
    if first is last or not (first.values(HOPS.path) and last.values(HOPS.path)):
        return ""
    fewest, most = (whole(HOPS.of(row)) for row in (first, last))
    change = most if fewest == most else f"{fewest} to {most}"
    hops = f"{first.stack} {change} hop{'' if change == '1' else 's'} to a thread"
    ratio = ratio_of(last, first, CPU.path)
    return f"{hops}, CPU {describe_ratio(ratio)}" if ratio else hops


def _lines(rows: Sequence[Row]) -> list[Series]:
    """Return a line for each stack; along it the middleware changes."""
    stacks = dict.fromkeys(row.stack for row in rows)
    return [Series(stack, look_of(stack), tuple(row for row in rows if row.stack == stack)) for stack in stacks]


@styled
def positions(run: Run, request: str) -> Picture:
    """Draw hops and CPU per request against the place of one middleware among the seven, a panel for each kind."""
    rows = rows_for(run, request)
    kinds = [name for name in SPECIAL if placed(rows, name)]
    figure, axes = new_page(
        _positions_title(rows),
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
    """Draw one line of panels, all to one scale."""
    for ax, name in zip(axes, kinds, strict=True):
        _draw(ax, placed(rows, name), measure, place_of_special)
    high = max((ax.get_ylim()[1] for ax in axes), default=1.0)
    for ax in axes:
        ax.set_ylim(0, high)
    if axes:
        axes[0].set_ylabel(measure.label)
        lines = _lines(placed(rows, kinds[-1]))
        label_ends(axes[-1], [end for line in lines for end in end_of(line, measure, place_of_special)])


def _positions_title(rows: Sequence[Row]) -> str:
    """Compare one sync-only middleware outermost and innermost, on the TELLING stack."""
    at_place = [row for row in placed(rows, "sync_only") if row.stack == TELLING and row.values(HOPS.path)]
    if len(at_place) < 2:
        return "What the place of one middleware does was not measured: it takes two places of a sync-only one"
    outer, *_, inner = at_place
    ratio = ratio_of(inner, outer, CPU.path)
    cpu = f", and CPU per request {describe_ratio(ratio)}" if ratio else ""
    hops = f"outermost {whole(HOPS.of(outer))} hops to a thread, innermost {whole(HOPS.of(inner))}"
    return f"The place of one sync-only middleware: {hops}{cpu} ({TELLING})"


def _draw(ax: Axes, rows: Sequence[Row], measure: Measure, x_of: Callable[[Row], float]) -> None:
    for line in _lines(rows):
        draw_curve(ax, line, measure, x_of)
    ax.set_ylim(0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
