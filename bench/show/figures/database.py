"""The figures of the database: connections through two waves of requests, payments that tear, queries side by side."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.model.trial_record import WavesResult
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import THREADS, Measure, extremes_of, rows_with
from bench.show.figures.stack_style import FAILED, GREY, PALE, look_of, styled
from bench.show.tables.formatting import number, whole

P50 = Measure("latency_us.p50", 1e-3, "half answered within, ms", number)
OPEN = Measure("database.connections_max", 1, "connections open", whole)
GONE_COINS = Measure("database.coins_off", -1, "coins that are gone", whole)
UNTOLD = Measure("failed", 1, "stayed, got an error", whole)
CUT_SHORT = Measure("gone.cut_short", 1, "views cut short", whole)
REFUSED = Measure("failed", 1, "requests refused", whole)
WELL_AGAIN = Measure("database.recovered_us", 1e-3, "right answers again within, ms", whole)
LEFT_OPEN = Measure("waves.first.open_left", 1, "left open", whole)
COLUMNS = 3
WAVES_KEY = (
    "Grey: requests in flight. Line: connections open on the database, in the first restart measured. Red dots: "
    "requests that failed, when they were asked. Dashed: what the database allows."
)


def waves_of(run: Run, allowed: int) -> list[Row]:
    """Rows of waves against a database that allows so many connections."""
    return [row for request in run.plan.requests for row in _waves_for(run, request, allowed)]


def _waves_for(run: Run, request: str, allowed: int) -> list[Row]:
    return [row for row in rows_with(run, request, LEFT_OPEN) if allowed_of(row) == allowed]


def of_stacks(rows: Sequence[Row], stacks: Sequence[str]) -> list[Row]:
    """The rows of these stacks; all of them where none is named, or none of those is there."""
    return [row for row in rows if row.stack in stacks] or list(rows)


def allowed_of(row: Row) -> int:
    """Return how many connections the database allowed; 0 where that was not bounded."""
    return row.trial.max_connections or 0


@styled
def waves(run: Run, request: str, allowed: int, stacks: Sequence[str] = ()) -> Picture:
    """One panel a stack, of all or of those named: requests in flight and connections open, through both waves."""
    rows = of_stacks(_waves_for(run, request, allowed), stacks)
    lines, wave = -(-len(rows) // COLUMNS), rows[0].trial.connections
    figure, axes = new_page(
        waves_title(rows),
        f"{request} on {rows[0].vendor} · two waves of {wave} · the database allows {allowed} connections · seconds",
        panels=COLUMNS,
        rows=lines,
        notes=[WAVES_KEY],
        panel_in=1.25,
        row_gap_in=0.5,
        gap_in=0.35,
        left_in=0.45,
        width_in=11.0,
    )
    last_s = max(at_s for row in rows for at_s in _shown(row).at_s)
    top = max(allowed, *(count for row in rows for count in _shown(row).in_flight)) * 1.12
    for ax, row in zip(axes, rows, strict=False):
        _wave_panel(ax, row, allowed)
        ax.set(xlim=(0, last_s), ylim=(0, top))
    for ax in axes[len(rows) :]:
        ax.set_visible(False)
    return figure


def _shown(row: Row) -> WavesResult:
    """Of the first restart that was measured."""
    return next(trial.waves for trial in row.measured if trial.waves)


def _wave_panel(ax: Axes, row: Row, allowed: int) -> None:
    seen, look = _shown(row), look_of(row.stack)
    ax.fill_between(seen.at_s, seen.in_flight, color=PALE, alpha=0.6, linewidth=0)
    ax.plot(seen.at_s, seen.open, color=look.colour, linewidth=1.8, label=row.stack)
    ax.axhline(allowed, color=GREY, linewidth=0.9, linestyle="--")
    ax.plot(seen.failed_at_s, [allowed] * len(seen.failed_at_s), "o", color=FAILED, markersize=3.5, markeredgewidth=0)
    failed = f" · {whole(row.median('failed'))} failed" if row.median("failed") else ""
    ax.set_title(row.stack + failed, color=look.text_colour, size=9, parse_math=False)


def waves_title(rows: Sequence[Row]) -> str:
    """What the first wave leaves open, at most and at least, and where the most requests fail."""
    extremes = extremes_of(rows, LEFT_OPEN)
    left = "; ".join(f"{row.stack} leaves {whole(LEFT_OPEN.of(row))} connections open" for row in extremes)
    failing = extremes_of([row for row in rows if row.median("failed")], UNTOLD)
    if not failing:
        return f"{left}; nobody fails"
    most = failing[0]
    return f"{left}; {most.stack} fails {whole(most.median('failed'))} of {2 * (most.trial.connections or 0)} requests"


def torn_rows(run: Run) -> list[Row]:
    """Rows of clients that leave while they pay."""
    return [row for row in rows_of(run) if row.values("gone.left") and row.values(GONE_COINS.path)]


@styled
def torn(run: Run, stacks: Sequence[str] = ()) -> Picture:
    """Coins that are gone, requests of those who stayed that failed, and views that were cut short."""
    rows = of_stacks(torn_rows(run), stacks)
    return bars(rows, [GONE_COINS, UNTOLD, CUT_SHORT], torn_title(rows))


def torn_title(rows: Sequence[Row]) -> str:
    """Which forms lose coins, and which fail those who stay."""
    losing = dict.fromkeys(_form(row) for row in rows if GONE_COINS.of(row))
    failing = dict.fromkeys(f"{_form(row)} on {row.stack}" for row in rows if row.median("failed"))
    keeping = [form for form in dict.fromkeys(map(_form, rows)) if form not in losing]
    told = [
        f"coins are lost by {' and '.join(losing)}" if losing else "no coin is lost",
        f"never by {' and '.join(keeping)}" if losing and keeping else "",
        f"those who stay get errors from {' and '.join(failing)}" if failing else "",
    ]
    text = "; ".join(part for part in told if part)
    return text[0].upper() + text[1:]


def _form(row: Row) -> str:
    return row.request.partition("?")[0]


def sided_rows(run: Run) -> list[Row]:
    """Rows of several requests that ask the database with one user each: there to be set side by side."""
    rows = [row for row in rows_of(run) if row.users == 1 and row.values(OPEN.path) and row.values(P50.path)]
    swept = {row.users for row in rows_of(run)} != {1}
    return [] if swept or len({row.request for row in rows}) < 2 else rows


@styled
def sided(run: Run, stacks: Sequence[str] = ()) -> Picture:
    """Latency, connections and threads of every request on every stack, or on those named."""
    rows = of_stacks(sided_rows(run), stacks)
    return bars(rows, [P50, OPEN, THREADS], sided_title(rows))


def sided_title(rows: Sequence[Row]) -> str:
    """The requests of the stack that gathers, each with its time and its connections."""
    stack = next((row.stack for row in rows if row.stack.startswith("async_asgi")), rows[0].stack)
    told = [
        f"{_form(row)} {number(P50.of(row))} ms on {whole(OPEN.of(row))} connection{'' if OPEN.of(row) == 1 else 's'}"
        for row in rows
        if row.stack == stack
    ]
    return f"{stack}: {', '.join(told)}"


def away_rows(run: Run) -> list[Row]:
    """Rows whose database was taken away and came back."""
    return [row for row in rows_of(run) if row.values(WELL_AGAIN.path)]


@styled
def away(run: Run) -> Picture:
    """Requests refused while the database was away, and how soon after its return all was well."""
    rows = away_rows(run)
    return bars(rows, [REFUSED, WELL_AGAIN], away_title(rows))


def away_title(rows: Sequence[Row]) -> str:
    """Who refuses most and least, and the longest that anybody needs afterwards."""
    told = [f"{row.stack} refuses {whole(REFUSED.of(row))} requests" for row in extremes_of(rows, REFUSED)]
    longest = max(WELL_AGAIN.of(row) or 0.0 for row in rows)
    return f"{'; '.join(told)}; after its return all answer within {whole(longest)} ms"
