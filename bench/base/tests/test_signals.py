"""A signal on an event loop: `main` is cancelled and ends in order, then the signal is what it is elsewhere."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from bench.base.errors import SecondInterrupt
from bench.base.signals import SIGNALS, interruptible, run


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Signals as they were: whoever was interrupted leaves them blocked."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number, handler in handlers.items():
        signal.signal(number, handler)


async def crowd(ended: list[str], *signals: signal.Signals) -> None:
    """Two tasks, one of which is at work when a signal comes; both wait for good."""

    async def member(name: str, *mine: signal.Signals) -> None:
        try:
            for number in mine:
                signal.raise_signal(number)
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    await asyncio.gather(member("waits"), member("works", *signals))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_all_tasks_in_order_and_is_raised_then(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        run(crowd(ended, number))
    assert sorted(ended) == ["waits", "works"]
    assert caplog.records == []  # asyncio tells of exceptions that nobody has fetched


def test_a_second_signal_does_not_wait_for_main_to_end(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(60)

    with pytest.raises(SecondInterrupt), interruptible():
        run(stubborn())
    assert caplog.records == []


async def answer() -> int:
    signal.raise_signal(signal.SIGINT)
    return 1


async def fail() -> None:
    raise LookupError


def test_a_signal_is_raised_also_where_the_work_was_done() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        run(answer())


def test_without_a_signal_it_is_as_asyncio_s_own() -> None:
    with interruptible():
        before = [signal.getsignal(number) for number in SIGNALS]
        assert run(asyncio.sleep(0, 2)) == 2
        with pytest.raises(LookupError):
            run(fail())
        assert [signal.getsignal(number) for number in SIGNALS] == before
