"""Draws what stacks answer over the memory that they take: where a process pays, and where threads do."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.model.stacks import split_name
from bench.show.figures.axes import End, label_ends, scale_values
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.series import (
    MEMORY,
    THROUGHPUT,
    at_load,
    draw_markers,
    holes_in,
    rows_for,
    subtitle_of,
    top_of,
)
from bench.show.figures.stack_style import look_of, styled
from bench.show.tables.formatting import number, whole

NOTE = (
    "Each point: a budget, its threads per process beside it; medians over restarts, bars their intervals. "
    "What forked processes share is counted in each."
)


def is_ladder_of_processes(rows: Sequence[Row]) -> bool:
    """Return whether the rows have several numbers of processes, one of them with several numbers of threads."""
    names = [split_name(row.stack) for row in rows]
    processes = [name.processes for name in {(name.processes, name.threads): name for name in names}.values()]
    return 1 < len(set(processes)) < len(processes)


@styled
def throughput_over_memory(run: Run, request: str) -> Picture:
    """Draw throughput against the server's memory at the most users, one line for each number of processes."""
    rows = top_of(rows_for(run, request), THROUGHPUT)
    lines = _lines(rows)
    figure, (ax,) = new_page(
        _finding(rows),
        subtitle_of(rows, f"{rows[0].load_text}, throughput over the server's memory"),
        labels=[_name(line) for line in lines],
        notes=[NOTE, *holes_in(rows_for(run, request))],
    )
    scale_values(ax, [value for row in rows for value in THROUGHPUT.restarts(row)])
    ax.set(xlabel="resident memory of the server, MB", ylabel="requests/s", xlim=(0, 1.1 * _most(rows)))
    for line in lines:
        _draw_line(ax, line)
    label_ends(ax, [_end(line) for line in lines])
    return figure


def _lines(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows by number of processes, each line in the order of its threads."""
    lines: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (split_name(row.stack).processes, split_name(row.stack).threads or 0)):
        lines.setdefault(split_name(row.stack).processes, []).append(row)
    return list(lines.values())


def _name(line: Sequence[Row]) -> str:
    count = split_name(line[0].stack).processes
    return f"{count} process{'' if count == 1 else 'es'}"


def _most(rows: Sequence[Row]) -> float:
    return max(value for row in rows for value in MEMORY.restarts(row))


def _place(row: Row) -> tuple[float, float]:
    return MEMORY.of(row) or 0.0, THROUGHPUT.of(row) or 0.0


def _end(line: Sequence[Row]) -> End:
    return End(*_place(line[-1]), _name(line), look_of(line[-1].stack).text_colour)


def _draw_line(ax: Axes, line: Sequence[Row]) -> None:
    look = look_of(line[-1].stack)
    ax.plot(*zip(*map(_place, line), strict=True), color=look.colour, linestyle=look.line, linewidth=1.1)
    for row in line:
        x, y = _place(row)
        ax.plot(MEMORY.bounds(row) or (x, x), (y, y), color=look.colour, linewidth=1.1)
        ax.plot((x, x), THROUGHPUT.bounds(row) or (y, y), color=look.colour, linewidth=1.1)
        draw_markers(ax, row, [x], [y], row.stack)
        ax.annotate(str(split_name(row.stack).threads), (x, y), (7, 5), textcoords="offset points", size=8.5)


def _finding(rows: Sequence[Row]) -> str:
    """Compare the stack that answers most for its memory with the one that answers least."""
    ordered = sorted(rows, key=lambda row: _place(row)[1] / (_place(row)[0] or 1.0))
    texts = [
        f"{row.stack} answers {number(THROUGHPUT.of(row))}/s in {whole(MEMORY.of(row))} MB"
        for row in (ordered[-1], ordered[0])
    ]
    return f"{at_load(rows)} {'; '.join(texts)}"
