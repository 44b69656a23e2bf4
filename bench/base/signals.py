"""Ctrl-C, SIGTERM and a terminal that is closed (SIGHUP), which mean the same here: stop in order.

Ctrl-C or SIGTERM once more means to stop at once. SIGHUP does not: shell and kernel each send one.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from bench.base.errors import SecondInterrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Result = TypeVar("Result")
Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def interruptible() -> Iterator[None]:
    """The first signal raises KeyboardInterrupt, the second SecondInterrupt, and then nothing disturbs the clearing up.

    Whoever was interrupted is about to end, and one more signal in an interpreter that shuts down would abort it.

    Whoever ignores a signal goes on ignoring it, as a job in the background of a shell does with Ctrl-C, and one
    that was started with nohup does with SIGHUP.
    """
    left: list[type[BaseException]] = [KeyboardInterrupt, SecondInterrupt]

    def on_signal(number: int, frame: object) -> None:
        is_repeated_hangup = number == signal.SIGHUP and len(left) < 2
        if left and not is_repeated_hangup:
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


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As `asyncio.run`, but a signal cancels `main` and a second one stops the loop; then it is raised.

    Raised in whatever task is at work, it would leave the others an exception that nobody fetches, and asyncio tells.
    """
    raised: list[BaseException] = []
    before = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
    with asyncio.Runner() as runner:
        task = runner.get_loop().create_task(main)

        def on_signal(number: int, frame: FrameType | None) -> None:
            try:
                before[signal.Signals(number)](number, frame)
            except BaseException as error:
                runner.get_loop().call_soon_threadsafe(runner.get_loop().stop if raised else task.cancel)
                raised.append(error)

        with _handled_by(on_signal, before):
            try:
                result = runner.get_loop().run_until_complete(task)
            except (asyncio.CancelledError, Exception):
                if not raised:
                    raise
    if raised:
        raise raised[-1]
    return result


@contextmanager
def _handled_by(on_signal: Handler, before: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
