"""Waiting for what happens in another process: asked again and again, up to a time."""

import socket
import time
from collections.abc import Callable

from bench.servers import Process
from bench.stacks import HOST

POLL_S = 0.05


def eventually(holds: Callable[[], object], within_s: float) -> bool:
    """Ask until it holds; False when the time is over. What `holds` raises is not caught."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def listens_within(process: Process, port: int, within_s: float) -> bool:
    """Wait until the port accepts connections; False when the process has ended, at once, or the time is over."""
    is_decided = eventually(lambda: process.exit_status is not None or _accepts(port), within_s)
    return is_decided and process.exit_status is None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
