"""The figure of a database that is further and further away: what was measured, at its distance."""

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from bench.analyse.rows import rows_of
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import Trial
from bench.show.figures import distance
from bench.show.figures.catalogue import figures_for

REQUEST = "wait?ms=100"
NEAR, FAR, THREADS = "async_asgi+pool_16@uvicorn", "async_asgi+pool_16+db_10ms@uvicorn", "sync_wsgi@gthread:8"
P50_MS = {NEAR: 4, FAR: 14, THREADS: 2}


def trial_of(stack: str, users: int, repeat: int) -> Trial:
    trial = runs.trial_of(stack, users=users, repeat=repeat)
    assert trial.latency_us
    return replace(
        trial, cpu_us_per_request=100.0 * users, latency_us=replace(trial.latency_us, p50=1000 * P50_MS[stack])
    )


def run_of(*stacks: str) -> Run:
    return runs.run_of([trial_of(stack, users, repeat) for stack in stacks for users in (2, 16) for repeat in range(3)])


def markers(ax: Axes) -> set[tuple[float, float]]:
    points = (line.get_data() for line in ax.lines if line.get_marker() not in ("None", "", "."))
    return {tuple(map(float, np.concatenate(data))) for data in points}  # type: ignore[misc]


def test_cpu_at_the_most_users_and_latency_at_the_fewest_are_drawn_against_the_distance() -> None:
    (figure,) = [drawn.figure for drawn in figures_for(run_of(*P50_MS)) if drawn.slug.startswith("distance")]
    cpu, latency = figure.axes
    assert markers(cpu) == {(0, 1600.0), (10, 1600.0)}
    assert markers(latency) == {(0, 4.0), (10, 14.0), (0, 2.0)}
    assert {text.get_text() for text in latency.texts} == {NEAR, THREADS}
    assert figure.finding == ("At 2 users with the database 0 and 10 ms away: async_asgi in 4.00 and 14.0 ms")


def test_a_database_at_one_distance_has_no_such_figure() -> None:
    assert not distance.is_at_distances(rows_of(run_of(NEAR, THREADS)))
