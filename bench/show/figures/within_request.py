"""Draws several calls within one request: how long they take, on how many threads, for how much CPU."""

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.figures.bars import bars
from bench.show.figures.database import P50
from bench.show.figures.layout import Picture
from bench.show.figures.series import CPU, THREADS, extremes_title, is_plainly_closed
from bench.show.figures.stack_style import styled
from bench.show.tables.formatting import number, whole


def within_rows(run: Run, users: int) -> list[Row]:
    """Return the rows of every way to make the calls, on every stack, at so many users."""
    return [row for row in rows_of(run) if is_plainly_closed(row) and row.users == users]


@styled
def within(run: Run, users: int) -> Picture:
    """Draw latency, threads and CPU per request beside each other; the title compares the slowest and the quickest."""
    rows = within_rows(run, users)
    return bars(rows, [P50, THREADS, CPU], extremes_title(rows, P50, _say, "No latency was measured"))


def _say(row: Row) -> str:
    return (
        f"{row.stack} answers half of its {row.request.partition('?')[0]} within {number(P50.of(row))} ms "
        f"on {whole(THREADS.of(row))} threads"
    )
