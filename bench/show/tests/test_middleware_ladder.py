"""The ladder's figures: every row where it belongs, titles that say what the data say."""

from dataclasses import replace

import pytest

from bench.model.experiment import load_experiment
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_matrix import Overrides, trials_of
from bench.model.trial_record import Hops, Trial
from bench.show.figures import catalogue, middleware_ladder
from bench.show.figures.series import rows_for

STACKS = ("sync_wsgi@gthread:8", "async_asgi@uvicorn")
SEVEN = ("security", "session", "common", "csrfview", "authentication", "message", "xframeoptions")
HOPS_EACH, CPU_EACH_US = 2, 100.0


def measured(stack: str, middleware: tuple[str, ...], there: int, back: int, repeat: int) -> Trial:
    """A trial with so many hops, each of which costs the same CPU."""
    trial = runs.trial_of(stack, "hello", 8, repeat)
    cpu_us = 200.0 + CPU_EACH_US * (there + back) + repeat
    return replace(trial, middleware=list(middleware), hops=Hops(there, back), cpu_us_per_request=cpu_us)


@pytest.fixture(scope="module")
def run() -> Run:
    """Rungs 0 to 7, and a sync-only middleware at each place: outside of it everything folds."""
    trials = []
    for repeat in range(3):
        for count in range(8):
            trials.append(measured(STACKS[0], SEVEN[:count], 0, 0, repeat))
            trials.append(measured(STACKS[1], SEVEN[:count], 2 + HOPS_EACH * count, 0, repeat))
        for place in range(8):
            middleware = (*SEVEN[:place], "sync_only", *SEVEN[place:])
            trials.append(measured(STACKS[0], middleware, 0, 0, repeat))
            trials.append(measured(STACKS[1], middleware, 3 + HOPS_EACH * (7 - place), 1, repeat))
    return runs.run_of(trials)


def test_rungs_are_in_order_and_hold_no_special_middleware(run: Run) -> None:
    rungs = [row for row in middleware_ladder.rungs(rows_for(run, "hello")) if row.stack == STACKS[1]]
    assert [middleware_ladder.stock_layers(row) for row in rungs] == list(range(8))


def test_a_special_middleware_is_placed_by_those_outside_of_it(run: Run) -> None:
    placed = [row for row in middleware_ladder.placed(rows_for(run, "hello"), "sync_only") if row.stack == STACKS[1]]
    assert [middleware_ladder.place_of_special(row) for row in placed] == list(range(8))


def test_titles_tell_hops_and_cpu_of_the_ends(run: Run) -> None:
    assert middleware_ladder.ladder(run, "hello").finding == (
        "From no middleware to 7: async_asgi@uvicorn 2 to 16 hops to a thread, CPU 4.49× (4.48 to 4.50); "
        "sync_wsgi@gthread:8 0 hops to a thread, CPU no difference detected (0.990 to 1.010)"
    )
    assert middleware_ladder.positions(run, "hello").finding.startswith(
        "The place of one sync-only middleware: outermost 17 hops to a thread, innermost 3, and CPU per request 0.3003×"
    )


def test_a_run_of_its_ends_alone_tells_their_hops(run: Run) -> None:
    ends = ((), SEVEN, ("sync_only", *SEVEN), (*SEVEN, "sync_only"))
    once = runs.run_of([trial for trial in run.trials if trial.repeat == 0 and tuple(trial.middleware) in ends])
    assert middleware_ladder.ladder(once, "hello").finding == (
        "From no middleware to 7: async_asgi@uvicorn 2 to 16 hops to a thread; sync_wsgi@gthread:8 0 hops to a thread"
    )
    assert middleware_ladder.positions(once, "hello").finding == (
        "The place of one sync-only middleware: outermost 17 hops to a thread, innermost 3 (async_asgi@uvicorn)"
    )


@pytest.mark.parametrize("trials", [[], [runs.trial_of(STACKS[1], "hello", 8)]], ids=["nothing", "no hops"])
def test_a_run_that_is_no_ladder_is_drawn_all_the_same_and_says_so(trials: list[Trial]) -> None:
    run = runs.run_of(trials)
    assert "not climbed" in middleware_ladder.ladder(run, "hello").finding
    assert "not measured" in middleware_ladder.positions(run, "hello").finding
    assert middleware_ladder.positions(run, "hello").png()


def test_columns_of_places_are_drawn_to_one_scale(run: Run) -> None:
    doubled = [
        replace(
            trial, middleware=["both" if name == "sync_only" else name for name in trial.middleware], hops=Hops(1, 0)
        )
        for trial in run.trials
        if "sync_only" in trial.middleware
    ]
    axes = middleware_ladder.positions(replace(run, trials=[*run.trials, *doubled]), "hello").axes
    assert len(axes) == 4
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[2].get_ylim() == axes[3].get_ylim()


def test_axes_count_middlewares_and_hops_in_whole_numbers(run: Run) -> None:
    for figure in (middleware_ladder.ladder(run, "hello"), middleware_ladder.positions(run, "hello")):
        hops = figure.axes[0]
        assert [tick for tick in (*hops.get_xticks(), *hops.get_yticks()) if tick % 1] == []


def test_a_run_of_the_ladder_is_drawn_as_one(run: Run) -> None:
    assert [drawn.slug for drawn in catalogue.figures_for(run)][:2] == ["ladder-hello", "places-hello"]


def test_the_experiment_has_every_rung_and_every_place() -> None:
    plans = trials_of(load_experiment("middleware_ladder"), "reference", Overrides())
    stacks = {plan.stack.name for plan in plans}
    assert {stack.partition("@")[0] for stack in stacks} == {"sync_wsgi", "async_wsgi", "sync_asgi", "async_asgi"}
    rows = rows_for(runs.run_of([blank_of(plan.stack.name, plan.middleware) for plan in plans]), "hello")
    for stack in stacks:
        mine = [row for row in rows if row.stack == stack]
        assert [middleware_ladder.stock_layers(row) for row in middleware_ladder.rungs(mine)] == list(range(8))
        for name in middleware_ladder.SPECIAL if not stack.startswith("async_wsgi") else ():
            placed = middleware_ladder.placed(mine, name)
            assert [middleware_ladder.place_of_special(row) for row in placed] == list(range(8))
            assert {middleware_ladder.stock_layers(row) for row in placed} == {7}


def blank_of(stack: str, middleware: tuple[str, ...]) -> Trial:
    return measured(stack, middleware, 0, 0, 0)
