"""The figures of the database show the stacks that a lesson names, and all of them where none is named."""

from collections.abc import Callable, Sequence

import pytest

from bench.model import run_store
from bench.model.run_record import Run
from bench.show.figures import database
from bench.show.figures.layout import Picture

STOCK = "async_asgi@uvicorn"


@pytest.fixture(scope="module")
def connections() -> Run:
    return run_store.load_run(run_store.REFERENCE / "connections")


def panels_of(picture: Picture) -> list[str]:
    return [ax.get_title("left") for ax in picture.axes if ax.get_visible()]


def names_of(picture: Picture) -> set[str]:
    return {label.get_text() for label in picture.axes[0].get_yticklabels()}


def test_waves_are_those_of_the_database_that_is_asked_for(connections: Run) -> None:
    assert {database.allowed_of(row) for row in database.wave_rows(connections, 40)} == {40}
    assert database.wave_rows(connections, 41) == []


def test_waves_of_a_named_stack_stand_alone(connections: Run) -> None:
    request = connections.plan.requests[0]
    assert panels_of(database.waves(connections, request, 100, [STOCK])) == [STOCK]
    rows = database.wave_rows(connections, 100)
    assert len(panels_of(database.waves(connections, request, 100))) == len(rows) > 1


def test_what_failed_is_told_of_how_many(connections: Run) -> None:
    picture = database.waves(connections, connections.plan.requests[0], 40, ["sync_wsgi@gthread:64"])
    (row,) = (row for row in database.wave_rows(connections, 40) if row.stack == "sync_wsgi@gthread:64")
    assert picture.finding.endswith(f"fails {row.median('failed'):.0f} of 120 requests")


@pytest.mark.parametrize(("experiment", "draw"), [("transactions", database.torn), ("serial_gather", database.sided)])
def test_bars_are_of_the_named_stacks_or_of_all(experiment: str, draw: Callable[[Run, Sequence[str]], Picture]) -> None:
    run = run_store.load_run(run_store.REFERENCE / experiment)
    named, every, none = (names_of(draw(run, stacks)) for stacks in ([STOCK], [], ["bare_asgi@uvicorn"]))
    assert {name.split()[0] for name in named} == {STOCK}
    assert named < every == none
