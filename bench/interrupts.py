"""Ctrl-C and SIGTERM, which mean the same here: once is to stop in order, twice is to stop at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import SecondInterrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """The first signal raises KeyboardInterrupt, the second SecondInterrupt, and then nothing disturbs the clearing up.

    Whoever was interrupted is about to end, and one more signal in an interpreter that shuts down would abort it.

    Whoever ignores a signal goes on ignoring it, as a job in the background of a shell does with Ctrl-C.
    """
    left: list[type[BaseException]] = [KeyboardInterrupt, SecondInterrupt]

    def on_signal(number: int, frame: object) -> None:
        if left:
            raise left.pop(0)

    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) or signal.SIG_DFL for number in heard}
    try:
        yield
    finally:
        if len(left) < 2:  # blocked, not ignored: to change a handler while its signal is pending leaves a trace
            signal.pthread_sigmask(signal.SIG_BLOCK, heard)
        else:
            for number, handler in before.items():
                signal.signal(number, handler)
