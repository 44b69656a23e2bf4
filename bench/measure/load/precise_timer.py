"""A wait that ends within some tenths of a millisecond of its time; event loops count in whole milliseconds."""

import asyncio
import ctypes
import os
import sys
import time

from bench.measure.load.driver import NS_PER_S

CLOCK_MONOTONIC, TFD_TIMER_ABSTIME = 1, 1  # timerfd_create(2)


class _Itimerspec(ctypes.Structure):
    """struct itimerspec: an interval, unused, and when to ring."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class PreciseTimer:
    """A kernel timer (timerfd) in the running event loop; where there is none (not Linux), the loop's own."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.file = -1
        self.rang: asyncio.Future[None] | None = None
        if sys.platform == "linux":
            self.libc = ctypes.CDLL(None)
            self.file = self.libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.file >= 0:
            self.loop.add_reader(self.file, self._ring)

    def close(self) -> None:
        """Give the timer back."""
        if self.file >= 0:
            self.loop.remove_reader(self.file)
            os.close(self.file)

    async def wait_until(self, at_ns: int) -> None:
        """Wait until a monotonic time in ns; return at once if it has passed."""
        if self.file < 0:
            await asyncio.sleep((at_ns - time.monotonic_ns()) / NS_PER_S)
            return
        self.rang = self.loop.create_future()
        when = _Itimerspec(0, 0, *divmod(at_ns, NS_PER_S))
        self.libc.timerfd_settime(self.file, TFD_TIMER_ABSTIME, ctypes.byref(when), None)
        await self.rang

    def _ring(self) -> None:
        os.read(self.file, 8)
        if self.rang and not self.rang.done():
            self.rang.set_result(None)
