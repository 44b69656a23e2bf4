"""The checklist is whole, its places exist, and what needs no trial holds for what is committed."""

import pytest

from bench.cli import checklist
from bench.cli.checklist import CHECKLIST, Item
from bench.cli.faults import FAULTS


def test_the_21_items_are_there_in_order() -> None:
    assert [item.number for item in CHECKLIST] == list(range(1, 22))


def test_every_item_has_a_test_and_every_place_exists() -> None:
    assert [item.number for item in CHECKLIST if not item.tests] == []
    assert checklist.unknown_places() == []


def test_every_fault_has_a_test_that_exists() -> None:
    assert [fault.test for fault in FAULTS if not checklist.exists(fault.test)] == []


@pytest.mark.parametrize("place", ["verdict.no_such_gate", "no_such_module.judge", "test_gates.py::test_nothing"])
def test_a_place_that_does_not_exist_is_found(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checklist, "CHECKLIST", (Item(1, "", "", gates=(place,)),))
    assert checklist.unknown_places() == [place]


# Timers and cores are this machine's; the others are about what is committed.
@pytest.mark.parametrize("item", [item for item in CHECKLIST if item.check and item.number not in (2, 9, 18)])
def test_what_needs_no_trial_holds(item: Item) -> None:
    assert item.check
    holds, seen = item.check()
    assert holds, seen
