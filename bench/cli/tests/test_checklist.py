"""The checklist is whole, its places exist, and what needs no trial holds for what is committed."""

import re
from collections.abc import Sequence

import pytest

from bench.cli.checklist import BENCH, CHECKLIST, Item, path_of_tests
from bench.cli.faults import FAULTS
from bench.cli.places import PLACES


def unknown_places(items: Sequence[Item]) -> list[str]:
    """Names in the checklist and in PLACES that do not exist."""
    named = [*(place for one in items for place in (*one.gates, *one.tests)), *(place for _, place in PLACES)]
    return [place for place in named if not exists(place)]


def exists(place: str) -> bool:
    """Whether bench has this name (`room.module.name`), or this test (`test_file.py::test_name`)."""
    if "::" in place:
        file, _, name = place.partition("::")
        path, pattern = path_of_tests(file), rf"^ *(async )?def {name}\("
    else:
        module, _, name = place.rpartition(".")
        path, pattern = BENCH / f"{module.replace('.', '/')}.py", rf"^(def|class) {name}\b|^{name}\b"
    return path is not None and path.exists() and bool(re.search(pattern, path.read_text(), re.MULTILINE))


def test_the_21_items_are_there_in_order() -> None:
    assert [item.number for item in CHECKLIST] == list(range(1, 22))


def test_every_item_has_a_test_and_every_place_exists() -> None:
    assert [item.number for item in CHECKLIST if not item.tests] == []
    assert unknown_places(CHECKLIST) == []


def test_every_fault_has_a_test_that_exists() -> None:
    assert [fault.test for fault in FAULTS if not exists(fault.test)] == []


@pytest.mark.parametrize("place", ["verdict.no_such_gate", "no_such_module.judge", "test_gates.py::test_nothing"])
def test_a_place_that_does_not_exist_is_found(place: str) -> None:
    assert unknown_places([Item(1, "", "", gates=(place,))]) == [place]


# Timers and cores are this machine's; the others are about what is committed.
@pytest.mark.parametrize("item", [item for item in CHECKLIST if item.check and item.number not in (2, 9, 18)])
def test_what_needs_no_trial_holds(item: Item) -> None:
    assert item.check
    holds, seen = item.check()
    assert holds, seen
