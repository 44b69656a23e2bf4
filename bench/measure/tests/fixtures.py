"""Fixtures for tests with real processes. Helpers without state are in `processes.py`."""

import os
import re
import signal
import uuid
from collections.abc import Iterator

import pytest

from bench.base.signals import SIGNALS
from bench.base.tests.room import pytest_runtest_protocol as pytest_runtest_protocol
from bench.measure import cpu_placement
from bench.measure.database.database import Database, serving_database
from bench.measure.readiness import RunningServer
from bench.measure.services import serving_upstream
from bench.measure.tests.liveness import pytest_collection_modifyitems as pytest_collection_modifyitems
from bench.measure.tests.liveness import pytest_runtest_setup as pytest_runtest_setup
from bench.measure.tests.processes import MARK

# Started in the background of a shell, pytest ignores Ctrl-C, and so would every process that the tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# With nohup it ignores SIGHUP, and so would they. It goes on doing nothing here.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


OPERATORS = {"and", "or", "not"}
WORKERS = 4
"""Tests at a time: most of them wait for a server."""


@pytest.hookimpl(tryfirst=True)  # before xdist says how many cores there are
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Say how many processes `-n auto` is. Tests that start no server compute: more than the cores would be slower."""
    return (os.cpu_count() or 1) if config.option.markexpr == "not live" else WORKERS


@pytest.hookimpl(trylast=True)  # when every plugin has named its marks
def pytest_configure(config: pytest.Config) -> None:
    """Refuse tests and marks that are not there: xdist's workers would say it, and it does not pass that on."""
    known = [line.partition(":")[0].partition("(")[0] for line in config.getini("markers")]
    for name in set(re.findall(r"\w+", config.option.markexpr)) - OPERATORS - set(known):
        raise pytest.UsageError(f"there is no mark {name!r}: `pytest --markers` lists all.")
    for name in config.args:
        if not (config.invocation_params.dir / name.partition("::")[0]).exists():
            raise pytest.UsageError(f"{name} is not there: give a file or folder of tests, such as bench/analyse.")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything that this test starts carries the mark; see `processes.left_of`."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    return mark


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A `lab` that was interrupted in this process blocks signals to its end, and so would whatever starts later."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@pytest.fixture(autouse=True)
def _unbound() -> Iterator[None]:
    """`runner.perform` binds the process it runs in to the load's cores; the next test starts unbound."""
    everywhere = cpu_placement.available()
    yield
    if everywhere:
        os.sched_setaffinity(0, everywhere)


@pytest.fixture(scope="session")
def upstream() -> Iterator[RunningServer]:
    """The slow service, once for all tests."""
    with serving_upstream() as server:
        yield server


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """What `lab` would start here, once for all tests that change nothing of its settings."""
    with serving_database() as database:
        yield database
