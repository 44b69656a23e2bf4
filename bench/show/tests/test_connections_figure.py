"""The figure of open feeds: lines of those that serve some, and words where nobody does."""

from dataclasses import replace

from bench.analyse.rows import rows_of
from bench.model import run_store
from bench.model.tests import runs
from bench.show.figures import connections


def test_where_nothing_was_measured_every_stack_says_so() -> None:
    run = run_store.load_run(run_store.REFERENCE / "held")
    request = run.plan.requests[0]
    bare = replace(run, trials=[runs.without_numbers(trial, "not-run", runs.NO_BOOT) for trial in run.trials])
    picture = connections.held(bare, request)
    assert picture.finding == "No feed was served"
    assert len(picture.axes[0].texts) == len(rows_of(bare))
    assert {text.get_text() for text in picture.axes[0].texts} == {"not-run"}


def test_where_no_iterator_fits_its_door_nobody_is_served_and_that_is_shown() -> None:
    run = run_store.load_run(run_store.REFERENCE / "held")
    wrong = replace(run, trials=[trial for trial in run.trials if trial.stack == "sync_asgi@uvicorn"])
    picture = connections.held(wrong, run.plan.requests[0])
    assert picture.finding == "No feed was served"
    assert [text.get_text() for text in picture.axes[0].texts] == ["0"]
