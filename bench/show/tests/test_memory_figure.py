"""The figure of processes and threads: throughput over the memory that was measured."""

from dataclasses import replace

import numpy as np

from bench.analyse.rows import rows_of
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import Trial
from bench.show.figures import memory
from bench.show.figures.catalogue import figures_for

RATES_AND_MB = {
    "sync_wsgi@gthread:8": (80.0, 80),
    "sync_wsgi@gthread:64": (600.0, 90),
    "sync_wsgi@gthread:8x2": (160.0, 140),
}


def trial_of(stack: str, repeat: int) -> Trial:
    rate_per_s, megabytes = RATES_AND_MB[stack]
    trial = runs.trial_of(stack, repeat=repeat, throughput_per_s=rate_per_s)
    assert trial.server
    return replace(trial, server=replace(trial.server, rss_bytes_max=megabytes * 10**6))


def ladder(*stacks: str) -> Run:
    return runs.run_of([trial_of(stack, repeat) for stack in stacks for repeat in range(3)])


def test_processes_with_several_numbers_of_threads_are_drawn_over_their_memory() -> None:
    run = ladder(*RATES_AND_MB)
    (figure,) = [drawn.figure for drawn in figures_for(run) if drawn.slug.startswith("memory")]
    (ax,) = figure.axes
    points = {tuple(np.concatenate(line.get_data())) for line in ax.lines if line.get_marker() not in ("None", "")}
    assert points == {(megabytes, rate) for rate, megabytes in RATES_AND_MB.values()}
    assert {text.get_text() for text in ax.texts} == {"8", "64", "1 process", "2 processes"}
    assert "sync_wsgi@gthread:64 answers 600/s in 90 MB; sync_wsgi@gthread:8 answers 80.0/s in 80 MB" in figure.finding


def test_one_number_of_processes_or_of_threads_is_no_ladder() -> None:
    for stacks in (("sync_wsgi@gthread:8", "sync_wsgi@gthread:64"), ("sync_wsgi@gthread:8", "sync_wsgi@gthread:8x2")):
        assert not memory.is_ladder_of_processes(rows_of(ladder(*stacks)))
