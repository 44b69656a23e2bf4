"""What Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) do: all three stop a program cleanly.

A second Ctrl-C or SIGTERM stops it at once. A second SIGHUP does not: shell and kernel each send one.

How a run ends: `run_program` in `base/console.py` runs each command under `interruptible`, so the first signal raises
KeyboardInterrupt. `watch` in `measure/window_trial.py` takes what the load has recorded, `run_trial` in
`measure/trial.py` makes an `aborted` trial of it, `perform` in `measure/runner.py` saves the run as
run.json (`save_run` in `model/run_store.py`), and `lab` exits with 130.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from bench.base.errors import SecondInterrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Result = TypeVar("Result")


@contextmanager
def interruptible() -> Iterator[None]:
    """The first signal raises KeyboardInterrupt, the second SecondInterrupt; further ones do nothing.

    An interrupted process is about to end, and one more signal would abort the interpreter while it shuts down.

    A signal that the process ignores stays ignored: a job in the background of a shell ignores Ctrl-C, and one
    that was started with nohup ignores SIGHUP.
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


def run(
    main: Coroutine[Any, Any, Result], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Result:
    """Run as `asyncio.run` does, but a signal cancels `main`, and a second one stops the loop; then it is raised.

    Raised inside a task, the exception would stay unfetched in other tasks, and asyncio would warn.
    """
    raised: list[BaseException] = []
    before = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        task = runner.get_loop().create_task(main)

        def on_signal(number: int, frame: FrameType | None) -> None:
            try:
                before[signal.Signals(number)](number, frame)
            except BaseException as error:
                runner.get_loop().call_soon_threadsafe(runner.get_loop().stop if raised else task.cancel)
                raised.append(error)

        for number in before:
            signal.signal(number, on_signal)
        try:
            result = runner.get_loop().run_until_complete(task)
        except (asyncio.CancelledError, Exception):
            if not raised:
                raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if raised:
        raise raised[-1]
    return result
