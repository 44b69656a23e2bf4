"""Which tests are `live`: those that start a server, a program, a database, a browser or a notebook.

A test is live where it, a fixture of its or a helper of the tests that it calls names one of STARTERS. What starts
something behind another name is marked where it stands. `-m "not live"` leaves what runs in this process alone.
"""

import sys
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import pytest

STARTERS = frozenset(
    (
        *(
            "subprocess",
            "Popen",
            "run_python",
            "MARK",
            "serving",
            "serving_stack",
            "running_front",
            "serving_database",
            "serving_exercise",
        ),
        *("serving_upstream", "serving_services", "serving_all_services", "run_trial", "running_load", "perform"),
        *(
            "trace_stack",
            "trace_application",
            "check_file",
            "show_crowd",
            "run_in_subprocess",
            "try_traps",
            "run_probe",
            "LiveMaterial",
            "execute_source",
            "record_scene",
            "chromium",
            "burst",
        ),
        *("run_probe", "LiveMaterial", "new_run", "try_traps", "live_cell", "find_system", "make_environment"),
    )
)
PASSING = ("git",)
"""Programs that end at once, and that everybody may start: a run names the commit that it measured."""
_not_live: list[str] = []


def forbid_programs(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: what a test that is not live starts is an error, so that no mark is forgotten."""
    if event == "subprocess.Popen" and _not_live and str(arguments[0]) not in PASSING:
        raise AssertionError(f"{_not_live[-1]} starts {arguments[0]}: mark it live, or name its helper in STARTERS.")


sys.addaudithook(forbid_programs)


@pytest.hookimpl(tryfirst=True)  # before fixtures of any scope
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let `forbid_programs` know which test runs, unless it is live."""
    _not_live[:] = [] if item.get_closest_marker("live") else [item.name]


@pytest.hookimpl(tryfirst=True)  # before pytest looks which marks are asked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and any(map(is_live, functions_of(item))):
            item.add_marker("live")


def functions_of(item: pytest.Function) -> Iterator[Any]:
    """The test and all fixtures that it gets."""
    yield item.function
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        yield from (definition.func for definition in definitions)


@cache
def is_live(helper: Any, beyond: frozenset[Any] = frozenset()) -> bool:
    """Whether a function or class of the tests starts something; `beyond`: those that call it."""
    helper = getattr(helper, "__wrapped__", helper)
    if ".tests" not in (getattr(helper, "__module__", "") or "") or helper in beyond:
        return False
    if isinstance(helper, type):
        return any(is_live(method, beyond | {helper}) for method in vars(helper).values() if callable(method))
    return isinstance(helper, FunctionType) and _starts(helper, beyond | {helper})


def _starts(function: FunctionType, beyond: frozenset[Any]) -> bool:
    names = set(names_in(function.__code__))
    helpers = [helper for name in names if callable(helper := function.__globals__.get(name))]
    starts = bool(names & STARTERS) or {"Process", "start"} <= names
    return starts or any(is_live(helper, beyond) for helper in helpers)


def names_in(code: CodeType) -> Iterator[str]:
    """All that it names, also in functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
