"""What a thread is doing, seen from another thread of the same process: its CPU time, and whether it waits in a call.

Read while the GIL is held, so that the thread cannot go on meanwhile. Linux alone says in which system call a thread
is (`/proc/self/task/TID/syscall`, proc_pid_syscall(5)); elsewhere waits are not seen, and CPU time is.
"""

import os
import sys
import threading
import time
from typing import Any

try:
    import ctypes

    LIBC: Any = ctypes.PyDLL(None)
    """Functions of C that are called without giving the GIL away."""
except (ImportError, OSError):  # an interpreter that was built without it
    LIBC = None

LONGEST = 256
"""Bytes of what the kernel says of a thread."""
NEAR = 512
"""Bytes within which the parts of the GIL lie (a mutex, two conditions). Source: pycore_gil.h of CPython."""
HELD_US = 2000
FOUND_WITHIN_S = 5.0
"""For another thread to wait for the GIL, which takes some ms: on a busy machine that thread may not run for long."""


class ThreadState:
    """A thread that runs Python: what it does at this moment. `sees_waits`: whether this machine says so."""

    def __init__(self, thread: threading.Thread) -> None:
        self._clock = time.pthread_getcpuclockid(thread.ident or 0)
        self._file = _open(thread)
        self.sees_waits = bool(self._file and LIBC)
        self._gil = 0
        if self.sees_waits and getattr(sys, "_is_gil_enabled", lambda: True)():
            self._gil = _find_gil()
            self.sees_waits = self._gil != 0  # else each wait for the GIL would be one in a call

    def cpu_ns(self) -> int:
        """Return the CPU time that it has used."""
        return time.clock_gettime_ns(self._clock)

    def waits_in(self) -> str:
        """Return the system call in which it waits, with its arguments; empty where it runs or waits for the GIL."""
        said = _read(self._file) if self._file and self.sees_waits else ""
        return "" if said[:1] in ("", "r", "-") or self._is_gil(said) else said

    def _is_gil(self, said: str) -> bool:
        """Whether the first argument of the system call is an address in the GIL."""
        return abs(int(said.split()[1], 16) - self._gil) < NEAR

    def close(self) -> None:
        """Close the file of the kernel."""
        if self._file:
            os.close(self._file)
        self._file = 0


def _open(thread: threading.Thread) -> int:
    number = os.getpid() if thread is threading.main_thread() else thread.native_id  # a fork leaves an old native_id
    try:
        return os.open(f"/proc/self/task/{number}/syscall", os.O_RDONLY)
    except OSError:
        return 0


def _read(file: int) -> str:
    """Read the file from its beginning without giving the GIL away, as `os.pread` would."""
    buffer = ctypes.create_string_buffer(LONGEST)
    got = LIBC.pread(file, buffer, LONGEST, ctypes.c_long(0))
    return buffer.raw[: max(got, 0)].decode("ascii", "replace")


def _find_gil() -> int:
    """Find the address at which threads wait for the GIL: where one that computes waits while we hold it. Else 0."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            pass

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    file = _open(thread)
    said, until_s = "", time.monotonic() + FOUND_WITHIN_S
    while file and not said[:1].isdigit() and time.monotonic() < until_s:
        LIBC.usleep(HELD_US)
        said = _read(file)
    done.set()
    thread.join()
    if file:
        os.close(file)
    return int(said.split()[1], 16) if said[:1].isdigit() else 0
