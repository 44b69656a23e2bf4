"""Figures of open loops say what was asked, what is only known to be more, and what the closed loop does not see."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text

from bench.analyse.rows import rows_of
from bench.model.histograms import decode_histogram
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import Reason
from bench.show.figures import catalogue, open_loop
from bench.show.figures.latency_curve import curve_of, odds
from bench.show.figures.layout import Picture
from bench.show.figures.stack_style import look_of
from bench.show.tables.formatting import milliseconds
from bench.show.tests.test_figures import labels, swapped, texts

WAIT = "wait?ms=100"
LATE = Reason("client-limited", "The load generator did not keep its schedule.")
POOL, EVENT_LOOP = "sync_wsgi@gthread:8", "async_asgi@uvicorn"


def marks(figure: Picture) -> dict[object, Line2D]:
    return {line.get_label(): line for line in figure.findobj(Line2D)}


def heights(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def slugs(run: Run) -> list[str]:
    return [drawn.slug for drawn in catalogue.figures_for(run)]


def p99_ms(run: Run, stack: str, share: float) -> str:
    (row,) = [row for row in rows_of(run) if (row.stack, row.trial.capacity_share) == (stack, share)]
    return milliseconds(row, "p99")


def with_late_client(run: Run, stack: str, share: float) -> Run:
    return replace(
        run,
        trials=[
            replace(trial, verdict="degraded", reasons=[LATE])
            if (trial.stack, trial.capacity_share) == (stack, share)
            else trial
            for trial in run.trials
        ],
    )


def test_title_sets_the_p99_near_capacity_beside_that_at_little_load() -> None:
    run = runs.open_sweep((POOL, EVENT_LOOP))
    finding = open_loop.latency_against_load(run, WAIT).finding
    assert finding.startswith("At 90 % of capacity the p99 is ")
    for stack in (POOL, EVENT_LOOP):
        assert f"{p99_ms(run, stack, 0.9)} ms for {stack} ({p99_ms(run, stack, 0.1)} ms at 10 %)" in finding
    other = open_loop.latency_against_load(swapped(run, POOL, EVENT_LOOP), WAIT).finding
    assert (finding.index(POOL) < finding.index(EVENT_LOOP)) != (other.index(POOL) < other.index(EVENT_LOOP))


def test_client_limited_points_are_hollow_and_left_out_of_the_title() -> None:
    run = with_late_client(runs.open_sweep(), POOL, 0.9)
    figure = open_loop.latency_against_load(run, WAIT)
    assert marks(figure)[f"hollow-{POOL}-90"].get_markerfacecolor() == "white"
    assert marks(figure)[f"full-{EVENT_LOOP}-90"].get_markerfacecolor() == look_of(EVENT_LOOP).colour
    assert f"for {POOL}" not in figure.finding
    assert EVENT_LOOP in figure.finding


def test_title_admits_that_nothing_stands() -> None:
    run = runs.open_sweep((POOL,), shares=(0.5, 0.9))
    for share in (0.5, 0.9):
        run = with_late_client(run, POOL, share)
    assert "No latency stands" in open_loop.latency_against_load(run, WAIT).finding


def test_lower_bounds_have_an_arrow_upwards_and_no_other_point_has() -> None:
    figure = open_loop.latency_against_load(runs.open_sweep(), WAIT)
    arrows = {label: line for label, line in marks(figure).items() if str(label).startswith("at-least")}
    assert set(arrows) == {f"at-least-{stack}-120" for stack in (POOL, "sync_wsgi@gthread:64", EVENT_LOOP)}
    for line in arrows.values():
        low, high = heights(line)
        assert low < high < figure.axes[0].get_ylim()[1]


def test_median_and_uncorrected_p99_are_drawn_too() -> None:
    run = runs.open_sweep()
    figure = open_loop.latency_against_load(run, WAIT)
    rows = [row for row in rows_of(run) if row.is_open and row.stack == POOL]
    for name, path in (("p50", "latency_us.p50"), ("sent", "latency_from_send_us.p99")):
        drawn = heights(marks(figure)[f"{name}-{POOL}"])
        assert drawn == pytest.approx([(row.median(path) or 0.0) / 1000 for row in rows])


def test_holes_are_told_with_their_load() -> None:
    run = runs.open_sweep((POOL, EVENT_LOOP))
    trials = [
        runs.without_numbers(trial, "not-run", runs.NO_BOOT)
        if trial.stack == POOL and trial.capacity_share in (0.5, 0.9)
        else trial
        for trial in run.trials
    ]
    figure = open_loop.latency_against_load(replace(run, trials=trials), WAIT)
    assert f"{POOL} not-run at 50 % and 90 % of capacity" in texts(figure)
    assert f"full-{POOL}-50" not in labels(figure)


def test_rates_are_an_axis_of_their_own() -> None:
    trials = [runs.open_trial_of(stack, rate_per_s=rate) for stack in (POOL, EVENT_LOOP) for rate in (10.0, 60.0)]
    figure = open_loop.latency_against_load(runs.run_of(trials), WAIT)
    assert figure.finding.startswith("At 60 requests/s the p99 is ")
    assert "capacity" not in texts(figure)
    assert slugs(runs.run_of(trials)) == ["load-wait-ms-100"]
    assert slugs(runs.run_of(trials[::2])) == ["open-wait-ms-100"]


def test_labels_do_not_overlap() -> None:
    figure = open_loop.latency_against_load(runs.open_sweep(), WAIT)
    figure.draw_without_rendering()
    found = [text for text in figure.findobj(Annotation) if re.match("p[59]", text.get_text())]
    boxes = sorted((box.y0, box.y1) for box in map(Text.get_window_extent, found))
    assert len(boxes) == 6
    assert all(below[1] <= above[0] for below, above in pairwise(boxes))


def test_both_loops_stand_side_by_side_with_their_p99() -> None:
    run = runs.freeze()
    (pair,) = open_loop.loop_pairs(run, "hello")
    figure = open_loop.both_distributions(run, "hello")
    for row in pair:
        assert f"{milliseconds(row, 'p99')} ms" in figure.finding
    assert "freezes for 1.0 s" in figure.finding
    assert {open_loop.INTENDED, open_loop.ACTUAL, "closed loop, 10 users"} <= labels(figure)
    assert figure.png()
    assert slugs(run) == ["loops-1-hello", "timeline-1"]


def test_the_closed_loop_is_named_where_it_stands_alone_and_not_at_its_end() -> None:
    figure = open_loop.both_distributions(runs.freeze(), "hello")
    (name,) = (text for text in figure.findobj(Annotation) if text.get_text().startswith("closed loop"))
    assert name.xy[0] <= odds(99.0) < figure.axes[0].get_xlim()[1]
    assert name.xy[1] < 1000 * runs.freeze().trials[0].events[0].for_s / 2  # the open loop lies far above
    assert len([text for text in figure.findobj(Annotation) if text.get_text().startswith("open loop")]) == 2


def test_loops_at_different_rates_or_stacks_are_no_pair() -> None:
    run = runs.freeze()
    other = [replace(trial, rate_per_s=50.0) if trial.users else trial for trial in run.trials]
    assert open_loop.loop_pairs(replace(run, trials=other), "hello") == []
    other = [replace(trial, stack=POOL) if trial.users else trial for trial in run.trials]
    assert open_loop.loop_pairs(replace(run, trials=other), "hello") == []
    with pytest.raises(ValueError, match="same rate"):
        open_loop.both_distributions(replace(run, trials=other), "hello")


def test_of_many_pairs_the_one_that_differs_most_is_drawn() -> None:
    run = runs.freeze()
    calm = [replace(trial, rate_per_s=10.0, latency_us=run.trials[1].latency_us) for trial in run.trials]
    both = replace(run, trials=[*calm, *run.trials])
    assert len(open_loop.loop_pairs(both, "hello")) == 2
    (pair,) = open_loop.telling_pairs(both, "hello")
    assert pair.open.trial.rate_per_s == 100


def test_curve_ends_where_five_answers_lie_beyond() -> None:
    (row,) = rows_of(runs.run_of([runs.open_trial_of(EVENT_LOOP)]))
    answers = decode_histogram(row.trial.histogram or "").get_total_count()
    assert answers * (1 - max(curve_of(row)) / 100) == pytest.approx(5, abs=0.01)


def test_curve_ends_where_unanswered_requests_begin_to_matter() -> None:
    whole, cut = (
        curve_of(rows_of(runs.run_of([runs.open_trial_of(EVENT_LOOP, share=share)]))[0]) for share in (0.9, 1.2)
    )
    assert 99.0 not in cut
    assert max(cut) < 99 <= max(whole) + 1
    trial = runs.open_trial_of(EVENT_LOOP, share=0.9)
    (row,) = rows_of(runs.run_of([replace(trial, in_flight=400, latency_at_least=["p90", "p99"])]))
    assert max(curve_of(row)) < 90
    assert curve_of(row)[50.0] >= whole[90.0]  # half of all asked for is all that was answered
