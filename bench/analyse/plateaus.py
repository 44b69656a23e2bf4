"""Plateaus of a run: where more users bring no more throughput, and which resource was saturated there.

The resource comes from the samples of each trial; `utilisation.py` says what counts as saturated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse import stats
from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run

WITHIN = 0.10
"""Throughputs within this share of the highest are one plateau."""
FEWEST_LEVELS = 3


@dataclass(frozen=True)
class Plateau:
    """Rows of one stack x request x middleware over rising users, all near the highest throughput."""

    stack: str
    request: str
    middleware: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def users_text(self) -> str:
        """Return its levels, such as `100 to 400`."""
        return f"{self.rows[0].users:,} to {self.rows[-1].users:,}"

    @property
    def throughput_per_s(self) -> float:
        """The median over its levels."""
        return stats.median_of([rate for row in self.rows if (rate := row.median("throughput_per_s")) is not None])

    @property
    def limiter(self) -> str | None:
        """Return what its last row, the one with the most users, is limited by; None if nothing was full there."""
        return self.rows[-1].limiter

    @property
    def most_used(self) -> tuple[str, float] | None:
        """Return the limiter, or else the resource used most, with its used share in the last row."""
        used = self.rows[-1].utilisation
        named = self.limiter or max(used, key=used.__getitem__, default=None)
        return None if named is None else (named, used[named])

    @property
    def limiter_text(self) -> str:
        """Return `threads, 97 % used`, or that nothing sampled was full and what was used most."""
        used = "" if self.most_used is None else f"{self.most_used[0]}, {100 * self.most_used[1]:.0f} % used"
        if self.limiter is not None:
            return used or self.limiter
        return "nothing sampled was full" + (f" (most of all {used})" if used else "")


def plateaus_of(run: Run) -> list[Plateau]:
    """Find one for each stack x request x middleware with a closed loop of three levels of users that flattens out."""
    lines: dict[tuple[str, str, tuple[str, ...]], list[Row]] = {}
    for row in rows_of(run):
        if row.values("throughput_per_s") and row.users and row.trial.rate_per_s is None:
            lines.setdefault((row.stack, row.request, row.middleware), []).append(row)
    flat = {key: _flat_rows(rows) for key, rows in lines.items() if len(rows) >= FEWEST_LEVELS}
    return [Plateau(*key, rows) for key, rows in flat.items() if len(rows) > 1]


def _flat_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the topmost neighbouring levels that are near the highest throughput."""
    rates = [row.median("throughput_per_s") or 0.0 for row in rows]
    near = [rate >= (1 - WITHIN) * max(rates) for rate in rates]
    last = max(place for place, is_near in enumerate(near) if is_near)
    first = last
    while first > 0 and near[first - 1]:
        first -= 1
    return tuple(rows[first : last + 1])
