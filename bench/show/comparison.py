"""A comparison of two runs in a terminal, as Markdown for a pull request, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.analyse.comparability import commit_of
from bench.analyse.compare import CPU, Change, Comparison, Pair, Ratio, counts_of
from bench.analyse.rows import Row
from bench.model.run_record import Run
from bench.show.tables.formatting import code, number, verbatim
from bench.show.tables.markdown import markdown_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def summary_line(comparison: Comparison) -> str:
    """How many pairs, and what became of them."""
    counts = counts_of(comparison.pairs)
    cpu = Counter(ratio.outcome for pair in comparison.pairs for ratio in pair.ratios if ratio.measure is CPU)
    total = len(comparison.pairs)
    speed = (
        f"{total} pair{'' if total == 1 else 's'} by throughput, p99 or delay: {counts['better']} faster, "
        f"{counts['worse']} slower, {counts['no difference']} no difference detected, "
        f"{counts['cannot compare']} not comparable."
    )
    if not cpu:
        return speed
    spent = f"{cpu['better']} less, {cpu['worse']} more, {cpu['no difference']} no difference detected"
    return f"{speed} CPU per request: {spent}."


CHANCE = "By chance alone about 1 interval in 20 leaves out the truth (1 in 10 with three restarts a side)."


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "first": _named(comparison.first),
        "second": _named(comparison.second),
        "differences": comparison.differences,
        "notes": comparison.notes,
        "counts": dict(counts_of(comparison.pairs)),
        "pairs": [_load_of(pair.first) | {"ratios": list(map(_plain, pair.ratios))} for pair in comparison.pairs],
        "only_first": list(map(_load_of, comparison.only_first)),
        "only_second": list(map(_load_of, comparison.only_second)),
    }


def _named(run: Run) -> dict[str, Any]:
    return {
        "experiment": run.experiment,
        "profile": run.profile,
        "started_at": run.started_at,
        "sha256": run.sha256,
        "commit": commit_of(run),
    }


def _load_of(row: Row) -> dict[str, Any]:
    share = row.trial.capacity_share
    return {
        "stack": row.stack,
        "request": row.request,
        "middleware": list(row.middleware),
        "users": row.trial.users,
        "rate_per_s": row.trial.rate_per_s if share is None else None,
        "capacity_share": share,
        "connections": row.trial.connections,
        "max_connections": row.trial.max_connections,
    }


def _plain(ratio: Ratio) -> dict[str, Any]:
    interval = ratio.interval
    return {
        "measure": ratio.measure.path,
        "first": ratio.first,
        "second": ratio.second,
        "ratio": None if interval is None else interval.estimate,
        "ratio_interval": None if interval is None else [interval.low, interval.high],
        "outcome": ratio.outcome,
        "text": ratio.text,
    }


RATIO_WIDTH = 40
"""Of a ratio in words; why there is none may take more lines."""
HEADINGS = ("stack", "of what", "first", "second", "second / first")


def _lines(pair: Pair) -> list[tuple[str, ...]]:
    return [
        (
            pair.first.stack,
            ratio.measure.heading,
            *(number(None if it is None else it * ratio.measure.scale) for it in (ratio.first, ratio.second)),
            ratio.text,
        )
        for ratio in pair.ratios
    ]


def heading_of(pair: Pair) -> str:
    """What the pairs of one table have in common; the rates of a share belong to the stack."""
    parts = [pair.first.request, pair.first.load_text, "+".join(pair.first.middleware)]
    return " · ".join(part for part in parts if part)


def row_text(row: Row) -> str:
    """A row that is in one run only."""
    return ", ".join(filter(None, [row.stack, row.request, row.load_text, "+".join(row.middleware)]))


def told(comparison: Comparison) -> Iterator[str]:
    """What is to be read before the numbers, one line each."""
    yield from (f"differs: {text}" for text in comparison.differences)
    yield from (f"note: {text}" for text in comparison.notes)


def left_over(comparison: Comparison) -> Iterator[str]:
    """What has no partner, one line each."""
    yield from (f"only in the first run: {row_text(row)}" for row in comparison.only_first)
    yield from (f"only in the second run: {row_text(row)}" for row in comparison.only_second)


def to_markdown(comparison: Comparison) -> str:
    """For a pull request: the summary, what differs, what changed; all pairs folded away."""
    older, newer = (verbatim(f"{run.started_at} ({commit_of(run)})") for run in (comparison.first, comparison.second))
    changed = _markdown_rows(comparison, only_changes=True)
    parts = [
        f"**{verbatim(comparison.second.experiment)}**: {newer} over {older}",
        summary_line(comparison),
        _bullets(told(comparison)),
        _markdown_table(changed) if changed else "",
        f"<details><summary>all pairs</summary>\n\n{_markdown_table(_markdown_rows(comparison))}\n\n</details>",
        _bullets(left_over(comparison)),
        CHANCE,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_rows(comparison: Comparison, *, only_changes: bool = False) -> list[Sequence[str]]:
    return [
        [code(pair.first.request), *map(verbatim, _beside(pair)), code(line[0]), *map(verbatim, line[1:])]
        for pair in comparison.pairs
        for ratio, line in zip(pair.ratios, _lines(pair), strict=True)
        if not only_changes or ratio.outcome in ("better", "worse")
    ]


def _beside(pair: Pair) -> tuple[str, str]:
    return pair.load_text, "+".join(pair.first.middleware)


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    head: list[Sequence[str]] = [["request", "load", "middleware", *HEADINGS], [":--"] * 8]
    named = any(row[2] for row in rows)
    lines = [[cell for place, cell in enumerate(row) if named or place != 2] for row in [*head, *rows]]
    return "\n".join(map(markdown_line, lines))


def _bullets(lines: Iterator[str]) -> str:
    return "\n".join(f"- {verbatim(line)}" for line in lines)


def show(comparison: Comparison, console: Console) -> None:
    """What differs, a table for each request and load, what has no partner, and the summary."""
    for line in told(comparison):
        console.print(line, style="yellow", highlight=False, markup=False)
    groups: dict[str, list[Pair]] = {}
    for pair in comparison.pairs:
        groups.setdefault(heading_of(pair), []).append(pair)
    lines = [line for pair in comparison.pairs for line in _lines(pair)]
    *widths, last = (max(map(len, texts)) for texts in zip(HEADINGS, *lines, strict=True))
    widths.append(min(last, RATIO_WIDTH))
    for heading, pairs in groups.items():
        console.print(f"\n{heading}", style="bold", highlight=False, markup=False)
        console.print(_table(pairs, widths, is_narrow=sum(widths) + 2 * len(widths) > console.width))
    for line in left_over(comparison):
        console.print(line, style="dim", highlight=False, markup=False)
    console.print(f"\n{summary_line(comparison)}", highlight=False, markup=False)
    console.print(CHANCE, style="dim", highlight=False)


_STYLES: dict[Change, str] = {"better": "green", "worse": "red", "no difference": "", "cannot compare": "yellow"}


def _table(pairs: Sequence[Pair], widths: Sequence[int], *, is_narrow: bool) -> Table:
    """A line for each measure; where the terminal is narrow without the two numbers, which the runs show."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    shown = [place for place in range(len(HEADINGS)) if not is_narrow or place not in (2, 3)]
    for place in shown:
        is_last = place == len(HEADINGS) - 1
        width = None if is_last else widths[place]
        table.add_column(HEADINGS[place], justify="right" if place in (2, 3) else "left", min_width=width)
    for pair in pairs:
        for ratio, line in zip(pair.ratios, _lines(pair), strict=True):
            texts = [line[place] if place or ratio is pair.ratios[0] else "" for place in shown[:-1]]
            table.add_row(*map(Text, texts), Text(line[-1], style=_STYLES[ratio.outcome]))
    return table
