"""The figure of several calls within one request: how long they take, on how many threads, for how much CPU."""

from collections.abc import Sequence

from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.show.figures.bars import bars
from bench.show.figures.database import P50
from bench.show.figures.layout import Picture
from bench.show.figures.series import CPU, THREADS, extremes_of, is_plainly_closed
from bench.show.figures.stack_style import styled
from bench.show.tables.formatting import number, whole


def within_rows(run: Run, users: int) -> list[Row]:
    """Every way to make the calls, on every stack, at so many users."""
    return [row for row in rows_of(run) if is_plainly_closed(row) and row.users == users]


@styled
def within(run: Run, users: int) -> Picture:
    """Latency, threads and CPU per request beside each other."""
    rows = within_rows(run, users)
    return bars(rows, [P50, THREADS, CPU], within_title(rows))


def within_title(rows: Sequence[Row]) -> str:
    """The slowest and the quickest way, each with its threads."""
    extremes = extremes_of(rows, P50)
    if not extremes:
        return "No latency was measured"
    told = [
        f"{row.stack} answers half of its {row.request.partition('?')[0]} within {number(P50.of(row))} ms "
        f"on {whole(THREADS.of(row))} threads"
        for row in extremes
    ]
    return f"At {rows[0].load_text} {'; '.join(told)}"
