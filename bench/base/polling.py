"""Waiting for what happens in another process: asked again and again, up to a time."""

import time
from collections.abc import Callable

POLL_S = 0.05


def eventually(holds: Callable[[], object], within_s: float) -> bool:
    """Ask until it holds; False when the time is over. What `holds` raises is not caught."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True
