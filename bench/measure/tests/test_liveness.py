"""A test is known to be live by what it starts, however far away, and by nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.measure.readiness import serving_stack
from bench.measure.tests.liveness import is_live
from bench.model.stacks import parse_stack


def helper() -> None:
    with serving_stack(parse_stack("bare_asgi@uvicorn")):
        pass


@contextmanager
def entered() -> Iterator[None]:
    helper()
    yield


def starts() -> None:
    helper()


def enters() -> None:
    with entered():
        pass


def hides() -> list[object]:
    return [lambda: helper()]


class Machine:
    def start(self) -> None:
        helper()


def has_a_machine() -> Machine:
    return Machine()


def goes_round() -> None:
    goes_round()


def looks() -> str:
    return parse_stack("bare_asgi@uvicorn").name


@pytest.mark.parametrize("test", [helper, starts, enters, hides, Machine, has_a_machine])
def test_what_starts_something_is_live(test: object) -> None:
    assert is_live(test)


@pytest.mark.parametrize("test", [looks, goes_round, parse_stack, print, None])
def test_what_starts_nothing_is_not(test: object) -> None:
    assert not is_live(test)


def test_what_has_no_fixture_that_starts_something_is_not(request: pytest.FixtureRequest, tmp_path: object) -> None:
    assert not request.node.get_closest_marker("live")


def test_a_test_is_live_by_its_fixtures_too(request: pytest.FixtureRequest, mark: str) -> None:
    assert request.node.get_closest_marker("live")
