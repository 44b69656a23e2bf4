"""The decision: prices come from runs, predictions from theory, and the rule takes what asks least of those that do."""

import shlex
from dataclasses import replace

import pytest

from bench.analyse import queueing, stack_choice
from bench.analyse.rows import rows_of
from bench.analyse.stack_choice import MOST_USERS, Case, Price
from bench.cli import arguments
from bench.learn import sliders
from bench.model import run_store
from bench.model.tests import runs
from bench.show import choice_steps, choice_text
from bench.show.figures import choice

CPU_S = {"sync_wsgi": 0.0005, "sync_asgi": 0.0012, "async_asgi": 0.001, "zero_hop": 0.0003}
PRICES = [
    Price(
        lab,
        {False: {8: cpu_s, 400: cpu_s}, True: {8: 2 * cpu_s, 400: 5 * cpu_s}},
        rest_bytes=50e6,
        each_bytes=10e3 if lab == "zero_hop" else 50e3,
        threads_each=0 if lab == "zero_hop" else 1,
    )
    for lab, cpu_s in CPU_S.items()
]
CASE = Case(wait_s=0.1, users=400, threads=400)


def lab_chosen(case: Case) -> str | None:
    chosen = stack_choice.choose(stack_choice.options_of(case, PRICES))
    return chosen.lab if chosen else None


def option(case: Case, lab: str) -> stack_choice.Option:
    (price,) = (price for price in PRICES if price.lab == lab)
    return stack_choice.option_of(case, price)


def test_a_pool_for_everybody_is_taken_for_it_costs_less_cpu_and_asks_for_nothing() -> None:
    assert lab_chosen(CASE) == "sync_wsgi"


def test_a_pool_that_is_too_small_is_left_for_the_loop() -> None:
    assert lab_chosen(replace(CASE, wait_s=5.0, users=2000, threads=64)) == "sync_asgi"


def test_where_nobody_is_much_better_nothing_is_changed() -> None:
    assert lab_chosen(replace(CASE, users=4, threads=4)) == "sync_wsgi"


def test_async_views_are_asked_for_where_they_alone_answer_enough() -> None:
    dear = [replace(price, cpu_s={False: {8: 0.1}}) if price.lab == "sync_asgi" else price for price in PRICES]
    chosen = stack_choice.choose(stack_choice.options_of(replace(CASE, wait_s=5.0, users=2000, threads=8), dear))
    assert chosen is not None
    assert chosen.lab == "async_asgi"


def test_what_does_not_fit_into_the_memory_is_not_taken() -> None:
    small = replace(CASE, wait_s=5.0, users=2000, threads=64, memory_bytes=60e6)
    assert not option(small, "async_asgi").fits
    assert option(small, "zero_hop").memory_bytes == 50e6 + 2000 * 10e3
    assert lab_chosen(small) == "sync_wsgi"
    assert lab_chosen(replace(small, memory_bytes=10e6)) is None
    assert choice_text.headline(stack_choice.options_of(replace(small, memory_bytes=10e6), PRICES)).startswith(
        "Nothing"
    )


@pytest.mark.parametrize("own_cpu_s", [0.0, 0.05])
@pytest.mark.parametrize("wait_s", [0.0, 0.1])
@pytest.mark.parametrize("users", [1, MOST_USERS])
def test_with_few_or_very_many_or_much_to_compute_the_pool_is_taken_while_it_may_be_large_enough(
    users: int, wait_s: float, own_cpu_s: float
) -> None:
    assert lab_chosen(Case(wait_s=wait_s, own_cpu_s=own_cpu_s, users=users, threads=1000)) == "sync_wsgi"


def test_no_more_threads_are_configured_than_twice_what_keeps_the_core_busy() -> None:
    assert option(replace(CASE, wait_s=0.0), "sync_wsgi").slots == stack_choice.SPARE
    assert option(replace(CASE, own_cpu_s=0.0497), "sync_wsgi").slots == 3 * stack_choice.SPARE  # 0.1502 / 0.0502, up
    assert option(CASE, "sync_wsgi").slots == 400  # few enough: the wait is 200 times the CPU
    kept = option(replace(CASE, own_cpu_s=0.0497), "sync_wsgi").throughput_per_s
    assert kept > 0.95 * queueing.limit_per_s(users=400, io_wait_s=0.1, cpu_s=0.0502, threads=None)


def test_a_crowd_that_only_the_loop_could_serve_is_told_how_much_memory_that_takes() -> None:
    huge = replace(CASE, wait_s=5.0, users=MOST_USERS, threads=64)
    assert lab_chosen(huge) == "sync_wsgi"
    assert {it.lab for it in stack_choice.ruled_out_by_memory(stack_choice.options_of(huge, PRICES))} == {
        "sync_asgi",
        "async_asgi",
    }
    assert "with 550 MB `async_asgi@uvicorn` would answer" in choice_steps.steps(huge, PRICES)
    assert lab_chosen(replace(huge, memory_bytes=600e6)) == "async_asgi"
    assert stack_choice.ruled_out_by_memory(stack_choice.options_of(CASE, PRICES)) == []


def test_where_nothing_fits_what_would_is_told_and_neither_side_is_praised() -> None:
    small = replace(CASE, memory_bytes=55e6, with_seven=False)
    lean = [replace(price, rest_bytes=60e6) if price.lab == "sync_wsgi" else price for price in PRICES]
    told = choice_text.explain_choice(small, lean)
    assert "**Nothing fits: the smallest, sync_wsgi@gthread:1, takes 60 MB.**" in told
    assert "**Give the process 60 MB**" in told
    assert "100 at once fit with `sync_asgi`" in told
    assert "For WSGI" not in told
    assert "at rest `sync_wsgi` takes 50 MB already" in choice_steps.steps(replace(CASE, memory_bytes=10e6), PRICES)
    assert stack_choice.turning_point(replace(CASE, memory_bytes=10e6), PRICES) is None


def test_monday_begins_with_the_server_and_its_budget() -> None:
    pool = choice_steps.steps(CASE, PRICES)
    assert "`gunicorn --worker-class gthread --threads 400 mysite.wsgi:application`" in pool
    assert "`CONN_MAX_AGE = 60`" in pool
    assert "nothing up to 10,000 at once" in pool
    loop = choice_steps.steps(replace(CASE, wait_s=5.0, users=2000, threads=64), PRICES)
    assert "the sync views as they are: `uvicorn --limit-concurrency 4000 mysite.asgi:application`. " in loop
    assert "That is twice what you have in flight; to more it answers 503." in loop
    assert "Each takes a thread, so up to 4,000 threads." in loop
    small = choice_steps.steps(replace(CASE, wait_s=5.0, users=2000, threads=64, memory_bytes=150e6), PRICES)
    assert "That is all that the memory has room for; to more it answers 503." in small
    assert "`CONN_MAX_AGE = 0` and a pool" in loop
    assert "lab trace" not in loop
    assert "below about 75 at once the rule stays with threads" in loop


def test_async_views_under_the_seven_are_to_be_traced_first() -> None:
    steps = choice_steps.steps(replace(CASE, wait_s=5.0, users=2000, threads=64, with_seven=True), PRICES)
    assert "**Serve** async views for what waits: `uvicorn" in steps
    assert "lab trace --app mysite.asgi:application /" in steps


def test_a_worker_is_told_of_more_connections_where_its_own_number_is_too_small_for_its_threads() -> None:
    wide = choice_steps.steps(replace(CASE, wait_s=5.0, users=1000, threads=1000), PRICES)
    assert "--threads 1000 --worker-connections 2000 " in wide


@pytest.mark.parametrize(
    "case", [CASE, replace(CASE, wait_s=0.0), replace(CASE, with_seven=True, users=MOST_USERS, own_cpu_s=0.01)]
)
def test_the_command_to_measure_is_one_that_lab_takes(case: Case) -> None:
    command = choice_steps.command_to_measure(case, stack_choice.options_of(case, PRICES))
    parsed = arguments.build_parser().parse_args(shlex.split(command)[1:])
    assert parsed.experiment == "io_wait"
    assert parsed.users == [case.users]


def test_a_handler_that_is_not_django_s_is_shown_and_never_taken() -> None:
    options = stack_choice.options_of(CASE, PRICES)
    assert max(options, key=lambda it: it.throughput_per_s).lab == "zero_hop"
    assert "zero_hop" in choice_text.table(options)
    assert lab_chosen(CASE) != "zero_hop"


def test_the_memory_bounds_the_pool_too() -> None:
    assert option(replace(CASE, memory_bytes=55e6), "sync_wsgi").slots == 100
    assert option(CASE, "sync_wsgi").slots == 400
    assert option(replace(CASE, users=30), "sync_wsgi").stack == "sync_wsgi@gthread:30"


@pytest.mark.parametrize("users", [1, 40, 64, 400])
def test_a_pool_is_predicted_as_theory_does(users: int) -> None:
    found = option(replace(CASE, users=users, threads=64), "sync_wsgi")
    (point,) = queueing.thread_pool_curve([users], io_wait_s=0.1, cpu_s=CPU_S["sync_wsgi"], threads=64)
    assert found.throughput_per_s == pytest.approx(point.throughput_per_s)
    assert found.response_s == pytest.approx(point.response_s)


def test_what_the_reader_s_own_code_computes_comes_on_top() -> None:
    assert option(replace(CASE, own_cpu_s=0.02), "async_asgi").cpu_s == pytest.approx(0.021)
    assert option(replace(CASE, with_seven=True), "async_asgi").cpu_s == pytest.approx(0.005)


def test_a_price_between_two_crowds_lies_between_theirs() -> None:
    points = {8: 1.0, 800: 3.0}
    assert stack_choice.interpolate(points, 80) == pytest.approx(2.0)
    assert [stack_choice.interpolate(points, users) for users in (1, 8, 800, 5000)] == [1.0, 1.0, 3.0, 3.0]
    assert stack_choice.interpolate({400: 2.0}, 8) == 2.0
    with pytest.raises(KeyError):
        stack_choice.interpolate({}, 8)


def test_the_turning_point_is_where_the_rule_leaves_the_pool() -> None:
    case = replace(CASE, wait_s=5.0, threads=64)
    turn = stack_choice.turning_point(case, PRICES)
    assert turn is not None
    assert 64 < turn < 100
    assert lab_chosen(replace(case, users=turn)) != "sync_wsgi"
    assert stack_choice.turning_point(replace(CASE, wait_s=0.0), PRICES) is None


def test_both_sides_are_told_with_the_numbers_of_the_case() -> None:
    told = choice_text.explain_choice(replace(CASE, threads=64, users=100), PRICES)
    assert "**For WSGI:** a request takes 0.50 of the CPU" in told
    assert "and 36 requests wait for a thread" in told
    assert "**For ASGI:** there is no pool to size, and none that protects the database" in told
    assert told.count("\n| `") == len(PRICES)


def test_prices_of_the_reference_runs_are_whole() -> None:
    ladder, crowd, held = (
        run_store.load_run(run_store.REFERENCE / name) for name in ("middleware_ladder", "without_hops", "held")
    )
    prices = stack_choice.prices_of(ladder, crowd, held)
    assert [price.lab for price in prices] == list(stack_choice.LEAST_ASKED_FIRST)
    for price in prices:
        assert all(price.cpu_s[with_seven] for with_seven in (False, True))
        assert price.rest_bytes > price.each_bytes > 0
        assert price.threads_each == (0 if price.lab == "zero_hop" else 1)


def test_the_model_is_set_beside_every_measured_row() -> None:
    run = runs.run_of([runs.trial_of(stack, users=users) for stack in runs.STACKS for users in (8, 200)])
    lines = choice_text.predictions_table(PRICES, run).splitlines()[2:]
    assert len(lines) == len(rows_of(run))
    assert lines[0].startswith("| `sync_wsgi@gthread:8` | 100 ms | 8 | ")


def test_only_predictions_that_are_off_are_listed() -> None:
    run = runs.run_of([runs.trial_of(stack, users=8) for stack in runs.STACKS])
    right, dear = PRICES, [replace(price, cpu_s={False: {8: 0.1}}) for price in PRICES]
    assert "The others" not in choice_text.missed_predictions(right, run)
    assert choice_text.missed_predictions(dear, run).count("\n| `") == len(rows_of(run))


def test_what_stands_for_something_else_is_said_below_the_prices() -> None:
    single = [replace(price, cpu_s={False: {400: 1.0}, True: {400: 1.0}}) for price in PRICES]
    table = choice_text.price_table([*PRICES[:3], single[3]])
    assert table.count("\n| `") == 2 * len(PRICES)
    assert "`sync_asgi` serves no feed: its memory is that of `async_asgi@uvicorn`." in table
    assert "`zero_hop` was measured at 400 users alone" in table
    assert "alone" not in choice_text.price_table(PRICES)


def test_a_line_that_fits_at_no_number_of_users_is_named_instead_of_drawn() -> None:
    picture = choice.curves(replace(CASE, memory_bytes=50.02e6), PRICES)
    labels = {line.get_label() for line in picture.axes[0].lines}
    assert "predicted-zero_hop@uvicorn" in labels
    assert not any("sync" in str(label) for label in labels)
    assert any("Not drawn, too large" in text.get_text() for text in picture.texts)


def test_points_of_a_pool_are_shown_where_it_lets_in_as_many_as_the_case_would() -> None:
    stacks = ("sync_wsgi@gthread:64", "sync_wsgi@gthread:400")
    run = runs.run_of([runs.trial_of(stack, users=users) for stack in stacks for users in (50, 400)])
    shown = choice.measured_of(replace(CASE, threads=64), PRICES, [run])
    assert {(row.stack, row.users) for row in shown} == {(stacks[0], 50), (stacks[1], 50), (stacks[0], 400)}


def test_the_figure_tells_the_decision_and_shows_points_of_this_case_alone() -> None:
    run = runs.run_of([runs.trial_of(stack, users=users) for stack in runs.STACKS for users in (8, 200, 400)])
    picture = choice.curves(CASE, PRICES, [run])
    assert picture.finding.startswith("Take sync_wsgi@gthread:400: ")
    shown = {(row.stack, row.users) for row in choice.measured_of(CASE, PRICES, [run])}
    assert {stack for stack, users in shown if users > 64} == {
        "sync_wsgi@gthread:400",
        "sync_asgi@uvicorn",
        "async_asgi@uvicorn",
    }
    for other in ({"wait_s": 0.2}, {"own_cpu_s": 0.01}, {"with_seven": True}):
        assert choice.measured_of(replace(CASE, **other), PRICES, [run]) == []
    assert picture.png() == choice.curves(CASE, PRICES, [run]).png()


def test_without_a_front_end_a_case_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sliders.FRONT_END, raising=False)
    monkeypatch.delenv(sliders.ASKED_FOR, raising=False)
    shown: list[Case] = []
    sliders.explore(shown.append, CASE)
    assert shown == [CASE]


def test_with_one_each_slider_shows_the_case_it_stands_at(monkeypatch: pytest.MonkeyPatch) -> None:
    import ipywidgets  # type: ignore[import-untyped]

    monkeypatch.setenv(sliders.FRONT_END, "notebooks/09_choosing.ipynb")
    made = {}
    controls = sliders._controls
    monkeypatch.setattr(sliders, "_controls", lambda *given: made.update(controls(*given)) or made)
    shown: list[Case] = []
    sliders.explore(shown.append, CASE)
    made["users"].value, made["with_seven"].value = 1000.0, True
    assert shown[0] == CASE
    assert shown[-1] == replace(CASE, users=1000, with_seven=True)
    ipywidgets.Widget.close_all()
