"""The figures of open feeds and of streams: lines of those that serve some, and words where nobody does."""

from dataclasses import replace

from bench.analyse.rows import rows_of
from bench.model import run_store
from bench.model.histograms import encode_histogram, new_histogram
from bench.model.tests import runs
from bench.model.trial_record import Latency, StreamsResult, Trial
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


def passed_on(stack: str, at_once: int, carried: int, first_us: int) -> Trial:
    """A made-up trial of streams."""
    first, gap = (Latency(us, us, us, us, us) for us in (first_us, 60_000))
    seen = StreamsResult(
        whole=at_once,
        left=0,
        late=0,
        failed=0,
        carried=carried,
        parts=100 * at_once,
        first_part_us=first,
        gap_us=gap,
        gaps=encode_histogram(new_histogram()),
        gap_growth=1.2,
        cpu_us_per_part=150.0,
        stopped=0,
        in_vain=0,
        parts_in_vain=0,
    )
    return Trial(
        stack, "tokens", {"n": 100, "ms": 50}, [], None, 0, connections=at_once, leaving=0, verdict="ok", streams=seen
    )


def test_streams_are_drawn_against_streams_at_once_and_the_title_compares_the_most() -> None:
    trials = [
        passed_on(stack, at_once, min(most, at_once), 5_000)
        for stack, most in {"async_asgi@uvicorn": 400, "sync_wsgi@gthread:64": 64}.items()
        for at_once in (10, 100, 400)
    ]
    picture = connections.streams(runs.run_of(trials), "tokens?n=100&ms=50")
    assert len(picture.axes) == len(connections.OF_STREAMS)
    assert picture.finding == (
        "At 400 streams (0 left half way) async_asgi@uvicorn carries 400 at 150 µs a part; "
        "sync_wsgi@gthread:64 carries 64 at 150 µs a part"
    )
    carried = {text.get_text() for text in picture.axes[0].texts}
    assert carried == {"async_asgi@uvicorn  400", "sync_wsgi@gthread:64  64"}
