"""The outcome of one call made on an event loop, for the list of blocking calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LONG_MS = 50

Outcome = Literal["caught", "other error", "swallowed", "blocks", "waits", "short"]


@dataclass(frozen=True)
class CallOutcome:
    """One call on a loop. `ticked`: the loop went on meanwhile; `gap_ms`: the longest time between two of its ticks."""

    name: str
    code: str
    outcome: Outcome
    caught: bool
    blocked: bool
    ticked: bool
    lasted_ms: int
    gap_ms: int
    error: str = ""
