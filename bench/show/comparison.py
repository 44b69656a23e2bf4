"""Shows a comparison of two runs: in a terminal, as Markdown for a pull request, as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.analyse.comparability import commit_of
from bench.analyse.compare import CPU, Change, Comparison, Pair, Ratio, counts_of
from bench.analyse.rows import Row
from bench.analyse.stats import NO_DIFFERENCE
from bench.model.run_record import Run
from bench.show.tables.formatting import code, number, verbatim
from bench.show.tables.json_rows import interval_to_json, load_to_json
from bench.show.tables.markdown import markdown_table
from bench.show.tables.terminal import plain_table

CHANCE = "By chance alone about 1 interval in 20 leaves out the truth (1 in 10 with three restarts a side)."
RATIO_WIDTH = 40
"""Characters of the last column; a reason for having no ratio may take more lines."""
HEADINGS = ("stack", "measure", "first", "second", "second / first")
_STYLES: dict[Change, str] = {"better": "green", "worse": "red", "cannot compare": "yellow"}


def _summary(comparison: Comparison) -> str:
    """Count the pairs that became faster, slower, neither, or cannot be compared."""
    counts = counts_of(comparison.pairs)
    cpu = Counter(ratio.outcome for pair in comparison.pairs for ratio in pair.ratios if ratio.measure is CPU)
    total = len(comparison.pairs)
    speed = (
        f"{total} pair{'' if total == 1 else 's'} by throughput, p99 or delay: {counts['better']} faster, "
        f"{counts['worse']} slower, {_neither(counts)}, {counts['cannot compare']} not comparable."
    )
    spent = f"{cpu['better']} less, {cpu['worse']} more, {_neither(cpu)}"
    return f"{speed} CPU per request: {spent}." if cpu else speed


def _neither(counts: Counter[Change]) -> str:
    return f"{counts['no change that matters']} no change that matters, {counts['no difference']} {NO_DIFFERENCE}"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data."""
    return {
        "first": _run_to_json(comparison.first),
        "second": _run_to_json(comparison.second),
        "differences": comparison.differences,
        "notes": comparison.notes,
        "counts": dict(counts_of(comparison.pairs)),
        "pairs": [
            _row_to_json(pair.first) | {"ratios": list(map(_ratio_to_json, pair.ratios))} for pair in comparison.pairs
        ],
        "only_first": list(map(_row_to_json, comparison.only_first)),
        "only_second": list(map(_row_to_json, comparison.only_second)),
    }


def _run_to_json(run: Run) -> dict[str, Any]:
    names = ("experiment", "profile", "started_at", "sha256")
    return {**{name: getattr(run, name) for name in names}, "commit": commit_of(run)}


def _row_to_json(row: Row) -> dict[str, Any]:
    """Return what a row must share with its partner; the rate only where it is no share of the capacity."""
    load = load_to_json(row) | ({} if row.trial.capacity_share is None else {"rate_per_s": None})
    return {"stack": row.stack, "request": row.request, "middleware": list(row.middleware), **load}


def _ratio_to_json(ratio: Ratio) -> dict[str, Any]:
    return {
        "measure": ratio.measure.path,
        "first": ratio.first,
        "second": ratio.second,
        "ratio": None if ratio.interval is None else ratio.interval.estimate,
        "ratio_interval": interval_to_json(ratio.interval),
        "outcome": ratio.outcome,
        "text": ratio.text,
    }


def _cells(pair: Pair, ratio: Ratio) -> list[str]:
    """Return the cells under HEADINGS, both numbers in the measure's shown unit."""
    values = (None if it is None else it * ratio.measure.scale for it in (ratio.first, ratio.second))
    return [pair.first.stack, ratio.measure.heading, *map(number, values), ratio.said]


def _row_text(row: Row) -> str:
    """Name a row that is in one run only."""
    return ", ".join(filter(None, [row.stack, row.request, row.load_text, "+".join(row.middleware)]))


def _cautions(comparison: Comparison) -> Iterator[str]:
    """Yield what a reader must know before the numbers, one line each."""
    yield from (f"differs: {text}" for text in comparison.differences)
    yield from (f"note: {text}" for text in comparison.notes)


def _unpaired(comparison: Comparison) -> Iterator[str]:
    """Yield the rows without a partner, one line each."""
    yield from (f"only in the first run: {_row_text(row)}" for row in comparison.only_first)
    yield from (f"only in the second run: {_row_text(row)}" for row in comparison.only_second)


def to_markdown(comparison: Comparison) -> str:
    """Return Markdown for a pull request: the summary, what differs, what changed; all pairs folded away."""
    older, newer = (verbatim(f"{run.started_at} ({commit_of(run)})") for run in (comparison.first, comparison.second))
    lines = [(ratio.outcome, _markdown_cells(pair, ratio)) for pair in comparison.pairs for ratio in pair.ratios]
    changed = [line for outcome, line in lines if outcome in ("better", "worse")]
    parts = [
        f"**{verbatim(comparison.second.experiment)}**: {newer} over {older}",
        _summary(comparison),
        _bullets(_cautions(comparison)),
        _markdown_pairs(changed) if changed else "",
        f"<details><summary>all pairs</summary>\n\n{_markdown_pairs([line for _, line in lines])}\n\n</details>",
        _bullets(_unpaired(comparison)),
        CHANCE,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown_cells(pair: Pair, ratio: Ratio) -> list[str]:
    stack, *others = _cells(pair, ratio)
    middleware = verbatim("+".join(pair.first.middleware))
    return [code(pair.first.request), verbatim(pair.load_text), middleware, code(stack), *map(verbatim, others)]


def _markdown_pairs(lines: Sequence[list[str]]) -> str:
    """Return the table of these lines; the column of middleware only where there is some."""
    drops = not any(line[2] for line in lines)
    lines = [["request", "load", "middleware", *HEADINGS], *lines]
    headings, *rows = ([*line[:2], *line[2 + drops :]] for line in lines)
    return markdown_table(headings, rows)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {verbatim(line)}" for line in lines)


def show(comparison: Comparison, console: Console) -> None:
    """Print what differs, a table for each request and load, the rows without a partner, and the summary."""
    for line in _cautions(comparison):
        console.print(line, style="yellow", highlight=False, markup=False)
    groups: dict[str, list[Pair]] = {}
    for pair in comparison.pairs:
        parts = [pair.first.request, pair.first.load_text, "+".join(pair.first.middleware)]
        groups.setdefault(" · ".join(filter(None, parts)), []).append(pair)
    lines = [_cells(pair, ratio) for pair in comparison.pairs for ratio in pair.ratios]
    *widths, last = (max(map(len, texts)) for texts in zip(HEADINGS, *lines, strict=True))
    is_narrow = sum(widths) + min(last, RATIO_WIDTH) + 2 * len(HEADINGS) > console.width
    for heading, pairs in groups.items():
        console.print(f"\n{heading}", style="bold", highlight=False, markup=False)
        console.print(_table(pairs, [*widths, None], is_narrow=is_narrow))
    for line in _unpaired(comparison):
        console.print(line, style="dim", highlight=False, markup=False)
    console.print(f"\n{_summary(comparison)}", highlight=False, markup=False)
    console.print(CHANCE, style="dim", highlight=False)


def _table(pairs: Sequence[Pair], widths: Sequence[int | None], *, is_narrow: bool) -> Table:
    """Return a line for each measure; on a narrow terminal without the two numbers, which each run's table has."""
    table = plain_table()
    shown = [place for place in range(len(HEADINGS)) if not is_narrow or place not in (2, 3)]
    for place in shown:
        table.add_column(HEADINGS[place], justify="right" if place in (2, 3) else "left", min_width=widths[place])
    for pair in pairs:
        for ratio in pair.ratios:
            line = _cells(pair, ratio)
            texts = [line[place] if place or ratio is pair.ratios[0] else "" for place in shown[:-1]]
            table.add_row(*map(Text, texts), Text(line[-1], style=_STYLES.get(ratio.outcome, "")))
    return table
