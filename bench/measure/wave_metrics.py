"""Computes `trial_record.WavesResult` from what load/waves.py wrote and the connections counted meanwhile. Pure."""

from collections.abc import Sequence
from typing import Any

from bench.model.trial_record import WaveResult, WavesResult

Look = tuple[float, int]
"""Monotonic seconds, and how many connections were open on the database then."""
PHASES = (("first", "after_first", "second"), ("second", "after_second", "asking"))
"""For each wave: its own phase, the quiet phase after it, and the phase that ends the quiet."""


def wave_metrics_of(wrote: dict[str, Any], looks: Sequence[Look]) -> WavesResult:
    """Compute the record of both waves. `looks` are in order of time; none if the database has no connections."""
    began_s = wrote["phases"]
    first, second = (
        _wave(asked, _between(looks, began_s[wave], began_s[quiet]), _between(looks, began_s[quiet], began_s[end]))
        for asked, (wave, quiet, end) in zip(wrote["waves"], PHASES, strict=True)
    )
    everyone = [one for wave in wrote["waves"] for one in wave]
    seen = _between(looks, began_s["first"], began_s["asking"])
    recovered_s = wrote["recovered_s"]
    return WavesResult(
        first,
        second,
        None if recovered_s is None else round(1e6 * recovered_s),
        at_s=[round(at_s - began_s["first"], 3) for at_s, _ in seen],
        in_flight=[sum(one["began_s"] <= at_s < one["ended_s"] for one in everyone) for at_s, _ in seen],
        open=[count for _, count in seen],
        failed_at_s=[round(one["began_s"] - began_s["first"], 3) for one in everyone if one["error"]],
    )


def _between(looks: Sequence[Look], start_s: float, end_s: float) -> list[Look]:
    return [look for look in looks if start_s <= look[0] < end_s]


def _wave(asked: Sequence[dict[str, Any]], during: Sequence[Look], after: Sequence[Look]) -> WaveResult:
    right = [one for one in asked if not one["error"]]
    failed = [place for place, one in enumerate(asked, start=1) if one["error"]]
    return WaveResult(
        answered=len(right),
        failed=len(failed),
        first_failed=failed[0] if failed else None,
        slowest_us=max((round(1e6 * (one["ended_s"] - one["began_s"])) for one in right), default=None),
        open_max=max((count for _, count in during), default=0),
        open_left=after[-1][1] if after else 0,
    )
