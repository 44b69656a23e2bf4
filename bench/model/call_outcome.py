"""What came of one call made on an event loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LONG_MS = 50

Outcome = Literal["caught", "other error", "swallowed", "blocks", "waits", "short"]


@dataclass(frozen=True)
class CallOutcome:
    """One call on a loop. `gap_ms` is the longest time between two ticks while it ran."""

    name: str
    code: str
    outcome: Outcome
    caught: bool
    blocked: bool
    ticked: bool
    lasted_ms: int
    gap_ms: int
    error: str = ""
