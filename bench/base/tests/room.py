"""Tests run side by side (`scripts/check`); one that is marked `alone` runs while no other does.

Every test is in one room, with others or by itself. All wait in one row at its door, so that who wants the room for
itself is not passed again and again by those who can share it.
"""

import fcntl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Both are only locked, never read, and are there in every checkout.
ROOM = Path(__file__)
DOOR = Path(__file__).parent.with_name("README.md")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of pytest-timeout's hook: who waits here is not late
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not hasattr(item.config, "workerinput"):  # there is one process, hence nobody else
        return (yield)
    with inside(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def inside(*, alone: bool) -> Iterator[None]:
    """In the room from when it is free, or free but for those who share it."""
    with ROOM.open() as room:
        with locked(DOOR):
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # closing would leave it to a forked child


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
