"""Draws the database: connections through two waves of requests, payments that are torn, queries, an outage."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.model.stacks import split_name
from bench.model.trial_record import WavesResult
from bench.show.figures.bars import bars
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import THREADS, Measure, extremes_of, rows_with
from bench.show.figures.stack_style import FAILED, GREY, PALE, look_of, styled
from bench.show.tables.formatting import number, whole

P50 = Measure("latency_us.p50", 1e-3, "p50, ms", number)
OPEN = Measure("database.connections_max", 1, "connections open", whole)
COINS_LOST = Measure("database.coins_off", -1, "coins lost", whole)
FAILED_FOR_STAYING = Measure("failed", 1, "stayed, got an error", whole)
CUT_SHORT = Measure("gone.cut_short", 1, "cancelled views", whole)
REFUSED = Measure("failed", 1, "requests failed", whole)
RECOVERY = Measure("database.recovered_us", 1e-3, "first right answer after, ms", whole)
LEFT_OPEN = Measure("waves.first.open_left", 1, "left open", whole)
COLUMNS = 3
WAVES_KEY = (
    "Grey: requests in flight. Line: connections open on the database, in the first restart measured. Red dots: "
    "requests that failed, when they were asked. Dashed: what the database allows."
)


def wave_rows(run: Run, allowed: int, requests: Sequence[str] = ()) -> list[Row]:
    """Return the rows of waves against a database that allows so many connections; of all requests or those named."""
    rows = [row for request in requests or run.plan.requests for row in rows_with(run, request, LEFT_OPEN)]
    return [row for row in rows if allowed_of(row) == allowed]


def _of_stacks(rows: Sequence[Row], stacks: Sequence[str]) -> list[Row]:
    """Return the rows of these stacks; all rows if no stack is named or none of those is there."""
    return [row for row in rows if row.stack in stacks] or list(rows)


def allowed_of(row: Row) -> int:
    """Return how many connections the database allowed; 0 if that was not bounded."""
    return row.trial.max_connections or 0


@styled
def waves(run: Run, request: str, allowed: int, stacks: Sequence[str] = ()) -> Picture:
    """Draw requests in flight and open connections through both waves, a panel for each stack (of those named)."""
    rows = _of_stacks(wave_rows(run, allowed, [request]), stacks)
    lines, wave = -(-len(rows) // COLUMNS), rows[0].trial.connections
    figure, axes = new_page(
        _waves_title(rows),
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
    """Return the waves of the first restart that was measured."""
    return next(trial.waves for trial in row.measured if trial.waves)


def _wave_panel(ax: Axes, row: Row, allowed: int) -> None:
    seen, look = _shown(row), look_of(row.stack)
    ax.fill_between(seen.at_s, seen.in_flight, color=PALE, alpha=0.6, linewidth=0)
    ax.plot(seen.at_s, seen.open, color=look.colour, linewidth=1.8, label=row.stack)
    ax.axhline(allowed, color=GREY, linewidth=0.9, linestyle="--")
    ax.plot(seen.failed_at_s, [allowed] * len(seen.failed_at_s), "o", color=FAILED, markersize=3.5, markeredgewidth=0)
    failed = f" · {whole(row.median('failed'))} failed" if row.median("failed") else ""
    ax.set_title(row.stack + failed, color=look.text_colour, size=9, parse_math=False)


def _waves_title(rows: Sequence[Row]) -> str:
    """Name the most and the fewest connections that the first wave leaves open, and where most requests fail."""
    left = "; ".join(
        f"{row.stack} leaves {whole(LEFT_OPEN.of(row))} connections open" for row in extremes_of(rows, LEFT_OPEN)
    )
    most, *_ = extremes_of(rows, REFUSED)
    if not most.median("failed"):
        return f"{left}; no request fails"
    return f"{left}; {most.stack} fails {whole(most.median('failed'))} of {2 * (most.trial.connections or 0)} requests"


def torn_rows(run: Run) -> list[Row]:
    """Return the rows of clients that leave while they pay."""
    return [row for row in rows_of(run) if row.values("gone.left") and row.values(COINS_LOST.path)]


@styled
def torn(run: Run, stacks: Sequence[str] = ()) -> Picture:
    """Draw coins lost, failed requests of clients that stayed, and cancelled views; of all stacks or of those named."""
    rows = _of_stacks(torn_rows(run), stacks)
    losing = dict.fromkeys(_form(row) for row in rows if COINS_LOST.of(row))
    failing = dict.fromkeys(f"{_form(row)} on {row.stack}" for row in rows if row.median("failed"))
    keeping = [form for form in dict.fromkeys(map(_form, rows)) if form not in losing]
    texts = [
        f"Coins are lost by {' and '.join(losing)}" if losing else "No coin is lost",
        f"never by {' and '.join(keeping)}" if losing and keeping else "",
        f"those who stay get errors from {' and '.join(failing)}" if failing else "",
    ]
    return bars(rows, [COINS_LOST, FAILED_FOR_STAYING, CUT_SHORT], "; ".join(filter(None, texts)))


def _form(row: Row) -> str:
    return row.trial.workload


def sided_rows(run: Run) -> list[Row]:
    """Return the rows of several requests that use the database with one user each; none if users were swept."""
    rows = [row for row in rows_of(run) if row.users == 1 and row.values(OPEN.path) and row.values(P50.path)]
    is_swept = {row.users for row in rows_of(run)} != {1}
    return [] if is_swept or len({row.request for row in rows}) < 2 else rows


@styled
def sided(run: Run, stacks: Sequence[str] = ()) -> Picture:
    """Draw latency, connections and threads of every request, side by side; of all stacks or of those named."""
    rows = _of_stacks(sided_rows(run), stacks)
    stack = next((row.stack for row in rows if split_name(row.stack).lab == "async_asgi"), rows[0].stack)
    texts = [
        f"{_form(row)} {number(P50.of(row))} ms on {whole(OPEN.of(row))} connection{'' if OPEN.of(row) == 1 else 's'}"
        for row in rows
        if row.stack == stack
    ]
    return bars(rows, [P50, OPEN, THREADS], f"{stack}: {', '.join(texts)}")


def away_rows(run: Run) -> list[Row]:
    """Return the rows whose database was taken away and came back."""
    return [row for row in rows_of(run) if row.values(RECOVERY.path)]


@styled
def away(run: Run) -> Picture:
    """Draw the requests that failed while the database was away, and the time from its return to the right answers."""
    rows = away_rows(run)
    texts = [f"{whole(REFUSED.of(row))} requests fail on {row.stack}" for row in extremes_of(rows, REFUSED)]
    longest = max(RECOVERY.of(row) or 0.0 for row in rows)
    title = f"{', '.join(texts)}; once the database is back the slowest takes {whole(longest)} ms to answer (median)"
    return bars(rows, [REFUSED, RECOVERY], title)
