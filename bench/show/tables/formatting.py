"""Writes numbers and texts of a run wherever they are shown, and defines the signs that go with them."""

import re

from bench.analyse import stats
from bench.analyse.rows import Row
from bench.base.printable import printable

HOLLOW = "○"
HOLE = "–"
AT_LEAST = "≥"


def number(value: float | None) -> str:
    """Write three digits, or all before the point: 0.82, 7.91, 79.1, 791, 7,912; a dash for None."""
    if value is None:
        return HOLE
    decimals = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{decimals}f}"


def percent(share: float | None) -> str:
    """Return a share as whole per cent; a dash for None."""
    return HOLE if share is None else f"{100 * share:.0f} %"


def whole(value: float | None) -> str:
    """Return a number without decimals; a dash for None."""
    return HOLE if value is None else f"{value:,.0f}"


def span(interval: stats.Interval | None) -> str:
    """Return an interval as `low–high`; a dash for None."""
    return HOLE if interval is None else f"{number(interval.low)}–{number(interval.high)}"


def requests_per_s(row: Row) -> str:
    """Write the median of requests/s over restarts, with ○ where some restart is not `ok`."""
    return (f"{HOLLOW} " if row.is_hollow else "") + number(row.median("throughput_per_s"))


def is_lower_bound(row: Row, percentile: str) -> bool:
    """Return whether the percentile, such as `p99`, is only a lower bound in some restart."""
    return any(percentile in trial.lower_bounds for trial in row.measured)


def milliseconds(row: Row, percentile: str, measure: str = "latency_us") -> str:
    """Write the percentile's median over restarts in ms, with ≥ where it is a lower bound."""
    value_us = row.median(f"{measure}.{percentile}")
    is_bound = value_us is not None and measure == "latency_us" and is_lower_bound(row, percentile)
    return (AT_LEAST if is_bound else "") + number(None if value_us is None else value_us / 1000)


def one_line(text: str) -> str:
    """Return the text in one line, safe in Markdown (no HTML) and in a terminal (no control characters)."""
    return printable(" ".join(text.split())).replace("<", "&lt;")


# Signs of Markdown; an underscore only at the edge of a word, a bracket only where it makes a link.
_SIGNS = re.compile(r"[\\`*~$]|(?<!\w)_|_(?!\w)|(?<=\])[(\[]|&(?=#?\w+;)")


def verbatim(text: str) -> str:
    """Escape a run's text, so that Markdown shows it as it is, in one line."""
    return one_line(_SIGNS.sub(lambda sign: "&amp;" if sign[0] == "&" else f"\\{sign[0]}", text))


def code(text: str) -> str:
    """Return a run's text as a Markdown code span, with more backticks around it than it has in a row."""
    line = printable(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence}{line}{fence}" if fence == "`" else f"{fence} {line} {fence}"
