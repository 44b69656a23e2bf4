"""The shows for a room: what they show is what the servers do, and an interrupted one leaves nothing behind."""

import io
import signal
import sys
import time
from dataclasses import replace
from itertools import pairwise

import psutil
import pytest
from rich.console import Console

from bench import show_screen, show_stall, show_threads
from bench.errors import ExitCode
from bench.record import ROOT
from bench.tests.processes import assert_nothing_is_left, end, eventually, left_of, running
from bench.workloads import WORKLOADS

SCREEN = Console(file=io.StringIO(), width=100)


def test_one_blocking_line_makes_the_fast_client_wait_for_the_slow_one() -> None:
    pace = replace(show_stall.QUICK, phase_s=1.5)
    before, blocked, after = show_stall.show(pace, SCREEN)
    assert max(blocked.took_ms) > pace.slow_ms / 2
    for free in (before, after):
        assert sorted(free.took_ms)[len(free.took_ms) // 2] < pace.slow_ms / 2
        assert len(free.took_ms) > len(blocked.took_ms)
    assert show_stall.summary([before, blocked, after]).row_count == 3


def test_the_lines_shown_are_those_of_the_views() -> None:
    views = (ROOT / "labs" / "async_asgi" / "views.py").read_text()
    for phase in show_stall.PHASES:
        assert phase.workload in WORKLOADS
        view = views.partition(f"async def {phase.workload}(")[2].partition("async def")[0]
        assert f"        {phase.line}\n" in view


def test_threads_grow_with_the_crowd_where_they_do_and_a_pool_lets_in_no_more_than_it_has() -> None:
    pace = show_threads.Pace(levels=(1, 4, 12), wait_ms=400, pause_s=0.0)
    pool, stock, free = show_threads.show(
        pace, SCREEN, ["sync_wsgi@gthread:4", "async_asgi@uvicorn", "zero_hop@uvicorn"]
    )
    assert [level.inside for level in pool.levels] == [1, 4, 4]
    assert [level.inside for level in stock.levels] == [level.inside for level in free.levels] == [1, 4, 12]
    assert stock.levels[-1].threads - stock.levels[0].threads >= 9
    assert free.levels[-1].threads == free.levels[0].threads
    assert all(level.rss_bytes > 0 and not level.failed for column in (pool, stock, free) for level in column.levels)
    assert show_threads.summary([pool, stock, free]).row_count == 3


def test_each_level_doubles_the_one_before() -> None:
    assert all(more == 2 * fewer for fewer, more in pairwise(show_threads.Pace().levels))


@pytest.mark.parametrize("name", ["show_stall", "show_threads"])
def test_an_interrupted_show_leaves_nothing_running(mark: str, name: str) -> None:
    def plays() -> bool:
        return any(
            "labs." in " ".join(process.cmdline()) for process in left_of(mark) if psutil.pid_exists(process.pid)
        )

    with running(sys.executable, "-m", f"bench.{name}") as popen:
        assert eventually(plays, 20)
        time.sleep(1.5)  # until the stall has begun, and in the middle of starting the three servers of the other
        status, out, err = end(popen, signal.SIGINT)
    assert status == ExitCode.INTERRUPTED
    assert "Traceback" not in out + err
    assert_nothing_is_left(mark)


def test_big_type_is_as_wide_as_there_is_room() -> None:
    narrow, wide = show_screen.big(1024, 20), show_screen.big(1024, 40)
    assert [len(lines.splitlines()) for lines in (narrow, wide)] == [show_screen.HEIGHT] * 2
    assert max(map(len, narrow.splitlines())) == 15
    assert max(map(len, wide.splitlines())) == 30
    assert "█" in show_screen.big(None, 20)


def test_sparks_are_full_from_the_most_on() -> None:
    assert show_screen.sparks([0, 50, 100, 500], 100, 3) == "▅██"


def test_both_screens_fit_into_a_plain_terminal() -> None:
    stall = show_stall.scene_of(show_stall.QUICK)
    stall.fast.took_ms, stall.slow.took_ms = [3.0, 950.0], [1001.0]
    column = show_threads.Column("sync_wsgi@gthread:64", None, 514, 91_000_000)  # type: ignore[arg-type]
    crowd = show_threads.Scene([column] * 3, 1500, 512)
    for drawn in (show_stall.drawn(stall, 80), show_threads.drawn(crowd, 80)):
        screen = Console(file=io.StringIO(), width=80)
        lines = screen.render_lines(drawn, screen.options)
        assert len(lines) <= 24
