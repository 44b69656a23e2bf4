"""Wait for something that another process does, by polling, up to a time limit."""

import time
from collections.abc import Callable

POLL_S = 0.05


def eventually(holds: Callable[[], object], within_s: float) -> bool:
    """Call `holds` until it is true; return False when the time is over. Exceptions of `holds` are not caught."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True
