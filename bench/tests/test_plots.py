"""Figures say what their data say: titles, holes, hollow points, labels that can be read."""

import re
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from bench import plots, summary
from bench.plots import Picture
from bench.record import Run
from bench.stacks import STACKS
from bench.tests import runs

WAIT = "wait?ms=100"


@dataclass(frozen=True)
class Answer:
    start_s: float
    end_s: float
    ok: bool = True


def texts(figure: Picture) -> str:
    found = figure.findobj(Text)
    return " ".join(text.get_text() for text in found)


def labels(figure: Picture) -> set[object]:
    """The names under which lines and markers were drawn."""
    return {line.get_label() for line in figure.findobj(Line2D)}


def pictures(run: Run) -> dict[str, Picture]:
    return {re.sub(r"-.*", "", drawn.slug): drawn.figure for drawn in plots.figures_for(run)}


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
    (row,) = [it for it in summary.rows_of(run) if (it.stack, it.users) == ("sync_wsgi@gthread:8", 400)]
    figures = pictures(run)
    assert summary.number(row.median("throughput_per_s")) in figures["throughput"].finding
    assert summary.percent(row.median("fraction_of_limit")) in figures["throughput"].finding
    assert summary.cells(row, summary.COLUMNS, {})[6] in figures["latency"].finding


def test_title_is_drawn_on_the_figure() -> None:
    for figure in pictures(runs.flawed()).values():
        assert figure.finding in texts(figure)


def test_title_prefers_plainly_ok_rows() -> None:
    spoilt = [
        replace(trial, verdict="degraded", reasons=[runs.CLIENT_LIMITED]) if "gthread:400" in trial.stack else trial
        for trial in runs.sweep().trials
    ]
    assert "gthread:400" not in pictures(runs.run_of(spoilt))["throughput"].finding


@pytest.mark.parametrize("users", [(1, 10, 100, 400), (100,)])
def test_every_stack_is_in_every_figure(users: tuple[int, ...]) -> None:
    for figure in pictures(runs.sweep(users=users)).values():
        for stack in runs.STACKS:
            assert stack in texts(figure)


def test_degraded_points_are_hollow_and_others_full() -> None:
    figure = plots.throughput_vs_users(runs.flawed(), WAIT)
    marks = {line.get_label(): line for line in figure.findobj(Line2D)}
    assert marks["hollow-async_asgi@uvicorn-200"].get_markerfacecolor() == "white"
    assert marks["full-async_asgi@uvicorn-400"].get_markerfacecolor() == plots.colour_of("async_asgi@uvicorn")
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
    assert {"invalid", "not-run"} <= set(texts(plots.cpu_per_request(run, WAIT)).split())


def test_limits_are_drawn_for_users_and_for_each_bounded_stack() -> None:
    drawn = labels(plots.throughput_vs_users(runs.sweep(), WAIT))
    assert {"limit", "ceiling-sync_wsgi@gthread:8", "ceiling-async_asgi@uvicorn"} <= drawn
    assert {f"predicted-{stack}" for stack in runs.STACKS} <= drawn


def test_each_wait_has_a_limit_of_its_own() -> None:
    request = "fan_out?n=5&ms=100"
    figure = plots.throughput_vs_users(runs.sweep(requests=(request,)), request)
    assert "L = 100 ms" in texts(figure)
    assert "L = 500 ms" in texts(figure)


def test_one_level_of_users_is_drawn_as_bars() -> None:
    run = runs.sweep(users=(50,), requests=("hello",), repeats=1)
    assert [drawn.slug for drawn in plots.figures_for(run)] == ["cpu-hello", "latency-hello", "threads-hello"]
    figure = plots.throughput_vs_users(run, "hello")
    bars = figure.findobj(Rectangle)
    widths = {round(bar.get_width(), 6) for bar in bars}
    assert {round(row.values("throughput_per_s")[0], 6) for row in summary.rows_of(run)} <= widths
    assert {f"limit-{stack}" for stack in runs.STACKS} <= labels(figure)


def test_every_request_has_its_own_figures() -> None:
    slugs = [drawn.slug for drawn in plots.figures_for(runs.sweep(requests=(WAIT, "hello"), users=(1, 10)))]
    assert slugs == [
        *("throughput-wait-ms-100", "latency-wait-ms-100", "threads-wait-ms-100"),
        *("throughput-hello", "cpu-hello", "latency-hello", "threads-hello"),
    ]


def test_run_without_numbers_has_no_figures() -> None:
    only_failed = [trial for trial in runs.flawed().trials if trial.stack == "async_asgi@gunicorn_asgi"]
    assert plots.figures_for(runs.run_of(only_failed)) == []
    assert plots.figures_for(runs.run_of([])) == []


def test_one_restart_and_one_stack_are_enough() -> None:
    for users in ((1,), (1, 2), (100, 400)):
        run = runs.sweep(("async_asgi@uvicorn",), users=users, repeats=1)
        assert all(drawn.figure.png() for drawn in plots.figures_for(run))


def test_same_run_gives_the_same_bytes() -> None:
    first, second = (pictures(runs.sweep(users=(1, 50))) for _ in range(2))
    for kind, figure in first.items():
        assert figure.svg() == second[kind].svg()
        assert figure.png() == second[kind].png()


def test_drawing_leaves_the_callers_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    pictures(runs.sweep(users=(1, 50)))["throughput"].svg()
    assert dict(matplotlib.rcParams) == before


def test_svg_is_named_for_those_who_cannot_see_it_and_its_ids_can_be_kept_apart() -> None:
    figure = plots.throughput_vs_users(runs.sweep(), WAIT)
    assert 'role="img"' in figure.svg()
    assert f'aria-label="{figure.finding}"' in figure.svg()
    ids = set(re.findall(r'id="([^"]+)"', figure.svg("a-")))
    assert ids
    assert all(name.startswith("a-") for name in ids)
    assert {link[1:] for link in re.findall(r'href="([^"]+)"', figure.svg("a-"))} <= ids


def test_looks_of_all_stacks_differ_and_do_not_move() -> None:
    looks = {stack.name: plots.look_of(stack.name) for stack in STACKS}
    assert len({look.colour for look in looks.values()}) == len(looks)
    assert looks == {stack.name: plots.look_of(stack.name) for stack in reversed(STACKS)}
    for (_, left), (_, right) in combinations(looks.items(), 2):
        assert np.abs(np.subtract(to_rgb(left.colour), to_rgb(right.colour))).max() > 0.03


def test_stacks_of_one_lab_differ_in_marker_too() -> None:
    budgets = ("sync", "gthread:1", "gthread:8", "gthread:64", "gthread:400", "gthread:1000", "gthread:8x2")
    markers = [plots.look_of(f"sync_wsgi@{budget}").marker for budget in budgets]
    assert len(set(markers)) == len(budgets)


def test_label_colours_can_be_read_on_white() -> None:
    for stack in STACKS:
        red, green, blue = (
            (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
            for c in to_rgb(plots.look_of(stack.name).text_colour)
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 1.05 / (luminance + 0.05) >= 3, stack.name


def test_unknown_lab_still_has_a_look() -> None:
    assert plots.colour_of("gone@nowhere:9x9").startswith("#")


@pytest.mark.parametrize("positions", [[5.0, 5.0, 5.0], [0.0, 1.0, 100.0], [99.0, 98.0, 97.0, 3.0], [50.0], []])
def test_spread_labels_do_not_touch_and_stay_inside(positions: list[float]) -> None:
    moved = plots.spread(positions, 10, 0, 100)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(sorted(moved)))
    assert all(-1e-9 <= position <= 100 + 1e-9 for position in moved)
    assert np.argsort(moved, kind="stable").tolist() == np.argsort(positions, kind="stable").tolist()


def test_spread_leaves_alone_what_has_room_and_shrinks_the_gap_where_there_is_none() -> None:
    assert plots.spread([10, 30, 50], 10) == [10, 30, 50]
    assert plots.spread([5, 5, 5], 10, 0, 10) == [0, 5, 10]


def test_labels_at_line_ends_do_not_overlap() -> None:
    stacks = [f"sync_wsgi@gthread:{threads}" for threads in (400, 401, 402, 403, 404, 405, 406, 407)]
    figure = plots.throughput_vs_users(runs.sweep(stacks), WAIT)
    found = [text for text in figure.findobj(Annotation) if "gthread" in text.get_text()]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in found]  # without its leader
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert len(boxes) == len(stacks)
    assert all(below[1] <= above[0] for below, above in pairwise(tops))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def burst(threads: int, n: int = 40) -> list[Answer]:
    return [Answer(0.0001 * i, 0.1 * (i // threads + 1) + 0.0001 * i) for i in range(n)]


def test_burst_counts_the_waves_of_a_pool_and_the_one_of_a_loop() -> None:
    assert plots.waves_of(burst(8)) == 5
    assert plots.waves_of(burst(40)) == 1
    figure = plots.burst_timeline({"sync_wsgi@gthread:8": burst(8), "async_asgi@uvicorn": burst(40)})
    assert "sync_wsgi@gthread:8 answers in 5 waves" in figure.finding
    assert "async_asgi@uvicorn answers in 1 wave," in figure.finding
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    assert figure.png()


def test_burst_shows_failed_requests_apart() -> None:
    answers = [replace(answer, ok=False) for answer in burst(8, 4)]
    figure = plots.burst_timeline({"sync_wsgi@gthread:8": answers})
    assert "none rightly" in figure.finding
    assert "Red: no right answer." in texts(figure)
