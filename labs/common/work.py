"""The work that is equal in sync and async code: spending CPU, and telling where one runs."""

import asyncio
import os
import threading
import time

from labs.common.gauge import GAUGE


def spend_cpu(ms: int) -> None:
    """Spins for `ms` of this thread's own CPU time: waiting for the GIL or for a core does not count."""
    end = time.thread_time() + ms / 1000
    while time.thread_time() < end:
        pass


def whereabouts() -> dict[str, object]:
    """Return process, thread, whether a loop runs in it, threads alive, and the counts of GAUGE."""
    return {
        "thread_name": threading.current_thread().name,
        "thread_id": threading.get_native_id(),
        "loop_running": _loop_running(),
        "threads_alive": threading.active_count(),
        "inside_now": GAUGE.now,
        "inside_most": GAUGE.most,
        "inside_ended": GAUGE.ended,
        "inside_cut_short": GAUGE.cut_short,
        "pid": os.getpid(),
    }


def _loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
