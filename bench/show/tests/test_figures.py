"""Figures say what their data say: titles, holes, hollow points, limits, waves."""

import re
from dataclasses import dataclass, replace

import matplotlib
import pytest
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bench.analyse import rows
from bench.model import run_store
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.show.figures import burst_timeline, catalogue, resources, throughput
from bench.show.figures.latency_curve import NAMES, curve_of
from bench.show.figures.layout import Picture
from bench.show.figures.series import THROUGHPUT, Measure, extremes_of
from bench.show.figures.stack_style import look_of
from bench.show.tables.columns import cells, columns_of
from bench.show.tables.formatting import number, percent

WAIT = "wait?ms=100"
REFERENCE_RUNS = sorted(path.parent.name for path in run_store.REFERENCE.glob("*/run.json"))
WITHOUT_CURVES = {"connections", "gone", "held", "outage", "transactions", "slow_clients", "token_streams"}
"""Runs of connections count and time other things; beside failed requests no latency is kept."""
LIMITED = r"(\w\S*@\S+) (?:answers )?[\d.,]+(?: requests/s)? \((\d+ %) of its limit, (?:limited by )?([^)]+)\)"


@dataclass(frozen=True)
class Answer:
    start_s: float
    end_s: float
    ok: bool = True


def texts(figure: Picture) -> str:
    found = figure.findobj(Text)
    return " ".join(text.get_text() for text in found).replace("\N{NO-BREAK SPACE}", " ")


def labels(figure: Picture) -> set[object]:
    """The names under which lines and markers were drawn."""
    return {line.get_label() for line in figure.findobj(Line2D)}


def pictures(run: Run) -> dict[str, Picture]:
    return {re.sub(r"-.*", "", drawn.slug): drawn.figure for drawn in catalogue.figures_for(run)}


def swapped(run: Run, left: str, right: str) -> Run:
    """The same run with the numbers of two stacks exchanged."""
    names = {left: right, right: left}
    return replace(run, trials=[replace(trial, stack=names.get(trial.stack, trial.stack)) for trial in run.trials])


def test_titles_are_findings_that_change_with_the_data() -> None:
    stacks = ("sync_wsgi@gthread:8", "async_asgi@uvicorn")
    before = pictures(runs.sweep(stacks, users=(1, 400)))
    after = pictures(swapped(runs.sweep(stacks, users=(1, 400)), *stacks))
    assert set(before) == {"throughput", "latency", "threads"}
    for kind, figure in before.items():
        assert figure.finding != after[kind].finding
        first, second = (figure.finding.index(stack) for stack in stacks)
        assert (first < second) != (after[kind].finding.index(stacks[0]) < after[kind].finding.index(stacks[1]))


def test_title_has_the_same_numbers_as_the_table() -> None:
    run = runs.sweep()
    at_400 = {row.stack: row for row in rows.rows_of(run) if row.users == 400}
    figures = pictures(run)
    most = at_400["sync_wsgi@gthread:400"]
    assert number(most.median("throughput_per_s")) in figures["throughput"].finding
    assert percent(most.median("fraction_of_limit")) in figures["throughput"].finding
    columns = columns_of(rows.rows_of(run))
    p99 = [column.heading for column in columns].index("p99 ms")
    assert cells(at_400["sync_wsgi@gthread:8"], columns, {})[p99] in figures["latency"].finding


@pytest.mark.parametrize("name", REFERENCE_RUNS)
def test_every_number_and_every_limit_of_a_row_that_a_figure_shows_stands_in_the_table(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, of = run_store.load_run(run_store.REFERENCE / name), Measure.of
    drawn: dict[tuple[str, str, int], rows.Row] = {}

    def noted(measure: Measure, row: rows.Row) -> float | None:
        drawn[measure.path, measure.text(of(measure, row)), id(row)] = row
        return of(measure, row)

    monkeypatch.setattr(Measure, "of", noted)
    for figure in catalogue.figures_for(run):
        assert_says_what_its_rows_are_limited_by(figure, run)
    columns = columns_of(rows.rows_of(run))
    written = {at: [cell.lstrip("○≥ ") for cell in cells(row, columns, {})] for at, row in drawn.items()}
    assert [(at, texts) for at, texts in written.items() if at[1] not in texts] == []
    assert drawn


def assert_says_what_its_rows_are_limited_by(drawn: catalogue.Drawn, run: Run) -> None:
    """A title that names a share of a limit and what a stack is limited by, as the row of the table has them."""
    load = re.match(r"At ([\d,]+ users) ", drawn.figure.finding)
    at = {(row.stack, row.request, row.load_text): row for row in rows.rows_of(run)}
    for stack, share, limiter in re.findall(LIMITED, drawn.figure.finding):
        row = at[stack, drawn.caption.partition(": ")[0], load[1] if load else ""]
        assert (share, limiter) == (percent(row.median("fraction_of_limit")), row.limiter or "nothing was full")


@pytest.mark.parametrize("name", REFERENCE_RUNS)
def test_a_latency_curve_goes_through_the_percentiles_of_the_table(name: str) -> None:
    found = [
        (curve[at], row.median(f"{measure}.{percentile}"))
        for row in rows.rows_of(run_store.load_run(run_store.REFERENCE / name))
        for measure, kept in (("latency_us", "histogram"), ("latency_from_send_us", "histogram_from_send"))
        for curve in [curve_of(row, kept)]
        for at, percentile in NAMES.items()
        if at in curve
    ]
    assert [curve_ms for curve_ms, _ in found] == pytest.approx([(us or 0.0) / 1000 for _, us in found])
    assert found or name in WITHOUT_CURVES


def test_throughput_title_sets_the_best_of_each_lab_side_by_side() -> None:
    finding = pictures(runs.sweep())["throughput"].finding
    assert "sync_wsgi@gthread:400" in finding
    assert "async_asgi@uvicorn" in finding
    assert "sync_wsgi@gthread:8" not in finding


def test_title_is_drawn_on_the_figure() -> None:
    for figure in pictures(runs.flawed()).values():
        assert figure.finding in texts(figure)


def test_title_prefers_rows_whose_number_stands() -> None:
    disturbed = replace(runs.CLIENT_LIMITED, code="other-load")
    spoilt = [
        replace(trial, verdict="degraded", reasons=[disturbed]) if "gthread:400" in trial.stack else trial
        for trial in runs.sweep().trials
    ]
    assert "gthread:400" not in pictures(runs.run_of(spoilt))["throughput"].finding


def test_extremes_are_the_row_with_the_most_and_then_the_one_with_the_least() -> None:
    most, least = extremes_of(rows.rows_of(runs.sweep()), THROUGHPUT)
    assert (THROUGHPUT.of(most) or 0) > (THROUGHPUT.of(least) or 0)


@pytest.mark.parametrize("users", [(1, 10, 100, 400), (100,)])
def test_every_stack_is_in_every_figure(users: tuple[int, ...]) -> None:
    for figure in pictures(runs.sweep(users=users)).values():
        for stack in runs.STACKS:
            assert stack in texts(figure)


def test_throughput_in_proportion_to_users_is_a_straight_line() -> None:
    (ax,) = throughput.throughput_vs_users(runs.sweep(("async_asgi@uvicorn",), users=(10, 100)), WAIT).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_degraded_points_are_hollow_and_others_full() -> None:
    figure = throughput.throughput_vs_users(runs.flawed(), WAIT)
    marks = {line.get_label(): line for line in figure.findobj(Line2D)}
    assert marks["hollow-async_asgi@uvicorn-200"].get_markerfacecolor() == "white"
    assert marks["full-async_asgi@uvicorn-400"].get_markerfacecolor() == look_of("async_asgi@uvicorn").colour
    assert "hollow-sync_wsgi@gthread:64-100" in marks


def test_invalid_and_unmade_trials_are_holes_that_are_told() -> None:
    for figure in pictures(runs.flawed()).values():
        assert "sync_asgi@uvicorn invalid at 400 users" in texts(figure)
        assert "async_asgi@gunicorn_asgi not-run" in texts(figure)
        assert not {"full-sync_asgi@uvicorn-400", "hollow-sync_asgi@uvicorn-400"} & labels(figure)
        assert "987,654" not in texts(figure)


def test_bars_say_the_verdict_where_there_is_no_number() -> None:
    run = runs.flawed()
    run = replace(run, trials=[trial for trial in run.trials if trial.users == 400])
    assert {"invalid", "not-run"} <= set(texts(resources.cpu_per_request(run, WAIT)).split())


def test_limits_are_drawn_for_users_and_for_each_bounded_stack() -> None:
    drawn = labels(throughput.throughput_vs_users(runs.sweep(), WAIT))
    assert {"limit", "ceiling-sync_wsgi@gthread:8", "ceiling-async_asgi@uvicorn"} <= drawn
    assert {f"predicted-{stack}" for stack in runs.STACKS} <= drawn


def test_each_wait_has_a_limit_of_its_own() -> None:
    request = "fan_out?n=5&ms=100"
    figure = throughput.throughput_vs_users(runs.sweep(requests=(request,)), request)
    assert "L = 100 ms" in texts(figure)
    assert "L = 500 ms" in texts(figure)


def test_plateau_s_limiter_stands_beside_its_line() -> None:
    drawn = texts(throughput.throughput_vs_users(runs.sweep(), WAIT))
    assert re.search(r"sync_wsgi@gthread:8  [\d.,]+, threads", drawn)
    assert re.search(r"async_asgi@uvicorn  [\d.,]+, server CPU", drawn)


def test_figures_over_users_know_closed_loops_only() -> None:
    run = runs.open_sweep()
    held = [replace(trial, users=7, rate_per_s=50.0) for trial in runs.sweep(users=(200,)).trials]
    both = replace(run, trials=[*run.trials, *held])
    for draw in (throughput.throughput_vs_users, resources.threads_and_memory, resources.cpu_per_request):
        assert not re.search(r"\b7 users|capacity", texts(draw(both, WAIT)))
        assert draw(both, WAIT).finding == draw(runs.run_of(run.trials[:9]), WAIT).finding


def test_closed_loop_s_latency_is_said_to_be_the_closed_loop_s() -> None:
    drawn = next(drawn for drawn in catalogue.figures_for(runs.sweep()) if drawn.slug.startswith("latency"))
    assert "closed loop" in drawn.caption
    assert "closed loop, 400 users" in texts(drawn.figure)


def test_one_level_of_users_is_drawn_as_bars() -> None:
    run = runs.sweep(users=(50,), requests=("hello",), repeats=1)
    assert [drawn.slug for drawn in catalogue.figures_for(run)] == ["cpu-hello", "latency-hello", "threads-hello"]
    figure = throughput.throughput_vs_users(run, "hello")
    bars = figure.findobj(Rectangle)
    widths = {round(bar.get_width(), 6) for bar in bars}
    assert {round(row.values("throughput_per_s")[0], 6) for row in rows.rows_of(run)} <= widths
    assert {f"limit-{stack}" for stack in runs.STACKS} <= labels(figure)


def test_every_request_has_its_own_figures() -> None:
    slugs = [drawn.slug for drawn in catalogue.figures_for(runs.sweep(requests=(WAIT, "hello"), users=(1, 10)))]
    assert slugs == [
        *("throughput-wait-ms-100", "latency-wait-ms-100", "threads-wait-ms-100"),
        *("throughput-hello", "cpu-hello", "latency-hello", "threads-hello"),
    ]


def test_run_without_numbers_has_no_figures() -> None:
    only_failed = [trial for trial in runs.flawed().trials if trial.stack == "async_asgi@gunicorn_asgi"]
    assert catalogue.figures_for(runs.run_of(only_failed)) == []
    assert catalogue.figures_for(runs.run_of([])) == []


def test_one_restart_and_one_stack_are_enough() -> None:
    for users in ((1,), (1, 2), (100, 400)):
        run = runs.sweep(("async_asgi@uvicorn",), users=users, repeats=1)
        assert all(drawn.figure.png() for drawn in catalogue.figures_for(run))


def test_same_run_gives_the_same_bytes() -> None:
    first, second = (pictures(runs.sweep(users=(1, 50))) for _ in range(2))
    for kind, figure in first.items():
        assert figure.svg() == second[kind].svg()
        assert figure.png() == second[kind].png()


def test_drawing_leaves_the_callers_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    pictures(runs.sweep(users=(1, 50)))["throughput"].svg()
    assert dict(matplotlib.rcParams) == before


def burst(threads: int, n: int = 40) -> list[Answer]:
    return [Answer(0.0001 * i, 0.1 * (i // threads + 1) + 0.0001 * i) for i in range(n)]


def test_burst_counts_the_waves_of_a_pool_and_the_one_of_a_loop() -> None:
    assert burst_timeline.waves_of(burst(8)) == 5
    assert burst_timeline.waves_of(burst(40)) == 1
    figure = burst_timeline.burst_timeline({"sync_wsgi@gthread:8": burst(8), "async_asgi@uvicorn": burst(40)})
    assert "sync_wsgi@gthread:8 answers in 5 waves" in figure.finding
    assert "async_asgi@uvicorn answers in 1 wave," in figure.finding
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert figure.png()


def test_burst_shows_failed_requests_apart() -> None:
    answers = [replace(answer, ok=False) for answer in burst(8, 4)]
    figure = burst_timeline.burst_timeline({"sync_wsgi@gthread:8": answers})
    assert "none rightly" in figure.finding
    assert "Red: no right answer." in texts(figure)
