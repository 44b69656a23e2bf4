"""Tests share a room; one that wants it for itself gets it, in its turn."""

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from bench.base.polling import eventually
from bench.base.tests import room

WITHIN_S = 20.0


@pytest.fixture(autouse=True)
def _another_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one in which this test is itself."""
    for name in ("ROOM", "DOOR"):
        (tmp_path / name).touch()
        monkeypatch.setattr(room, name, tmp_path / name)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def somebody_waits_at_the_door() -> bool:
    with room.DOOR.open() as door:
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_two_that_share_the_room_meet_in_it(threads: ThreadPoolExecutor) -> None:
    both_inside = Barrier(2, timeout=WITHIN_S)

    def share() -> int:
        with room.inside(alone=False):
            return both_inside.wait()

    assert sorted(future.result() for future in [threads.submit(share), threads.submit(share)]) == [0, 1]


def test_one_alone_waits_for_those_inside_and_is_not_passed_by_those_who_come_later(
    threads: ThreadPoolExecutor,
) -> None:
    came: list[str] = []
    left: list[str] = []
    inside, may_leave = Event(), Event()

    def visit(name: str, *, alone: bool) -> None:
        with room.inside(alone=alone):
            came.append(name)
            inside.set()
            assert may_leave.wait(WITHIN_S)
            left.append(name)

    visits = [threads.submit(visit, "first", alone=False)]
    assert inside.wait(WITHIN_S)
    visits.append(threads.submit(visit, "alone", alone=True))
    assert eventually(somebody_waits_at_the_door, WITHIN_S)
    visits.append(threads.submit(visit, "later", alone=False))
    assert came == ["first"]
    may_leave.set()
    for each in visits:
        each.result()
    assert came == left == ["first", "alone", "later"]


def test_waiting_for_the_room_is_no_part_of_a_tests_time_limit(request: pytest.FixtureRequest) -> None:
    outermost = request.config.hook.pytest_runtest_protocol.get_hookimpls()[-1]  # pytest-timeout starts its clock here
    assert outermost.function is room.pytest_runtest_protocol
