"""The shows for a room: what they show is what the servers do, and an interrupted one leaves nothing behind."""

import io
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

import httpx
import psutil
import pytest
from rich.console import Console

from bench.base.console import run_program
from bench.base.errors import ExitCode
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.learn.shows import show_hops, show_screen, show_stall, show_threads
from bench.learn.shows.__main__ import SHOWS
from bench.measure.tests.processes import assert_nothing_is_left, end, left_of, running
from bench.model.servers import HOST
from bench.model.workloads import WORKLOADS

EARLY = "bench.base.options"
"""A module of ours that every show imports, with many more to come."""
PLAYED, ENOUGH = 5, 5
"""So often at most, until a busy machine has let a crowd meet, or the fast client have so many answers."""
SCREEN = Console(file=io.StringIO(), width=100)


@pytest.mark.live
def test_one_blocking_line_makes_the_fast_client_wait_for_the_slow_one() -> None:
    pace = replace(show_stall.QUICK, phase_s=1.5)
    for _ in range(PLAYED):
        before, blocked, after = show_stall.show(pace, SCREEN)
        if blocked.took_ms and min(len(before.took_ms), len(after.took_ms)) >= ENOUGH:
            break
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


@pytest.mark.live
def test_threads_grow_with_the_crowd_where_they_do_and_a_pool_lets_in_no_more_than_it_has() -> None:
    pace = show_threads.Pace(levels=(1, 4, 12), wait_ms=400, pause_s=0.0)
    for _ in range(PLAYED):
        pool, stock, free = show_threads.show(
            pace, SCREEN, ["sync_wsgi@gthread:4", "async_asgi@uvicorn", "zero_hop@uvicorn"]
        )
        inside = [[level.inside for level in column.levels] for column in (pool, stock, free)]
        if inside == [[1, 4, 4], [1, 4, 12], [1, 4, 12]] and threads_added(stock) >= 9:
            break
    assert inside == [[1, 4, 4], [1, 4, 12], [1, 4, 12]]
    assert threads_added(stock) >= 9
    assert free.levels[-1].threads <= free.levels[0].threads  # one that only helped it to start may have ended
    assert all(level.rss_bytes > 0 and not level.failed for column in (pool, stock, free) for level in column.levels)
    assert show_threads.summary([pool, stock, free]).row_count == 3


def threads_added(column: show_threads.Column) -> int:
    return column.levels[-1].threads - column.levels[0].threads


def test_each_level_doubles_the_one_before() -> None:
    assert all(more == 2 * fewer for fewer, more in pairwise(show_threads.Pace().levels))


@pytest.mark.parametrize("name", ["show_stall", "show_threads"])
def test_an_interrupted_show_leaves_nothing_running(mark: str, name: str) -> None:
    def plays() -> bool:
        return any(
            "labs." in " ".join(process.cmdline()) for process in left_of(mark) if psutil.pid_exists(process.pid)
        )

    with running(sys.executable, "-m", "bench.learn.shows", name) as popen:
        assert eventually(plays, 20)
        time.sleep(1.5)  # until the stall has begun, and in the middle of starting the three servers of the other
        status, out, err = end(popen, signal.SIGINT)
    assert status == ExitCode.INTERRUPTED
    assert "Traceback" not in out + err
    assert_nothing_is_left(mark)


@pytest.mark.parametrize("name", SHOWS)
def test_a_show_interrupted_while_it_is_imported_ends_with_a_sentence(name: str) -> None:
    with running(sys.executable, "-X", "importtime", "-m", "bench.learn.shows", name) as popen:
        assert popen.stderr
        assert any(line.split()[-1] == EARLY for line in popen.stderr)
        status, out, err = end(popen, signal.SIGINT)
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert (status, out, said) == (ExitCode.INTERRUPTED, "", ["lab: interrupted."])


def test_where_nobody_looks_each_phase_is_a_line_and_a_table_ends_it() -> None:
    quick = [sys.executable, "-m", "bench.learn.shows", "show_stall", "--quick"]
    played = subprocess.run(quick, cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = played.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [phase.line for phase in show_stall.PHASES]
    assert "\x1b" not in played.stdout
    assert "The fast client of" in lines[3]


@pytest.mark.timeout(300)  # it may play several times
def test_show_hops_counts_the_hops_of_one_request_and_the_threads_of_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), width=100)
    show_hops.show_lanes(screen, 0.0)
    crowded = ("sync_wsgi@gthread:100", "async_asgi@uvicorn", "zero_hop@uvicorn")
    monkeypatch.setattr(show_hops, "STACKS", {name: show_hops.STACKS[name] for name in crowded})
    monkeypatch.setattr(show_hops, "WAIT_MS", 2000)
    for _ in range(PLAYED):
        show_hops.show_crowd(screen)
        played = screen.file.getvalue()  # type: ignore[attr-defined]
        counted = re.findall(r"^(\S+@\S+) +(\d+) threads  █", played, re.MULTILINE)
        threads = {name: int(count) for name, count in counted}  # the last play's
        if min(threads[name] for name in crowded[:2]) >= show_hops.AT_ONCE:
            break
    assert tuple(threads) == crowded
    assert min(threads["sync_wsgi@gthread:100"], threads["async_asgi@uvicorn"]) >= show_hops.AT_ONCE
    assert threads["zero_hop@uvicorn"] < show_hops.AT_ONCE / 2
    assert all(count in played for count in ("no hop · 1 thread", "2 hops to a thread · 2 threads"))


def test_show_hops_shows_every_lane_and_then_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(show_hops, "show_lanes", lambda screen, pause_s: shown.append(pause_s))
    monkeypatch.setattr(show_hops, "show_crowd", lambda screen: shown.append("crowd"))
    assert show_hops.main(["--quick"]) == show_hops.main(["--pause", "2"]) == ExitCode.FINE
    assert shown == [0.0, "crowd", 2.0, "crowd"]


def shown_by(pid: int) -> list[psutil.Process]:
    """The server of a show, once somebody has waited in it."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error, ValueError, httpx.HTTPError):
            words = child.cmdline()
            url = f"http://{HOST}:{words[words.index('--port') + 1]}/whoami"
            if httpx.get(url, trust_env=False, timeout=30).json()["inside_most"]:
                return [child]
    return []


def test_a_server_that_dies_ends_the_show_with_a_sentence(mark: str) -> None:
    with running(sys.executable, "-m", "bench.learn.shows", "show_stall", "--phase", "30") as popen:
        assert eventually(lambda: shown_by(popen.pid), 20)
        shown_by(popen.pid)[0].kill()
        out, err = popen.communicate(timeout=40)
    assert popen.returncode == ExitCode.NOT_RUN
    assert err.splitlines()[-1].startswith(f"lab: {show_stall.STACK} no longer answers")
    assert "Traceback" not in out + err
    assert_nothing_is_left(mark)


def test_a_terminal_that_is_too_small_gets_a_sentence() -> None:
    said = show_screen.fitted(lambda width, height: "never drawn", 60, 20)
    assert "60 columns and 20 lines" in str(said)
    fits = show_screen.LEAST_WIDTH, show_screen.LEAST_HEIGHT
    assert show_screen.fitted(lambda width, height: "drawn", *fits) == "drawn"


def test_a_phase_too_short_to_count_in_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(lambda: show_stall.main(["--phase", "1"])) == ExitCode.USAGE
    assert "--phase 1 is too short" in capsys.readouterr().err


def test_what_is_said_beside_the_number_is_computed_from_what_the_client_met() -> None:
    assert show_stall.sentence([]) == "no answer yet"
    assert show_stall.sentence([3.2]) == "1 answer in 3 ms"
    assert show_stall.sentence([2.0, 900.0, 1004.0]) == "3 answers: half in 900 ms, all in 1,004 ms"
    few, many = (show_threads.Level(n, n, n + 2, 1, 0) for n in (1, 64))
    assert show_threads.added([few]) == ""
    assert show_threads.added([few, many]) == "+63 threads for +63"


def test_big_type_is_as_wide_as_there_is_room() -> None:
    narrow, wide = show_screen.big(1024, 20), show_screen.big(1024, 40)
    assert [len(lines.splitlines()) for lines in (narrow, wide)] == [show_screen.HEIGHT] * 2
    assert max(map(len, narrow.splitlines())) == 15
    assert max(map(len, wide.splitlines())) == 30
    assert "█" in show_screen.big(None, 20)


def test_big_type_grows_with_the_screen_and_keeps_its_size_from_number_to_number() -> None:
    sizes = [show_screen.pixel(4, width, height) for width, height in ((15, 5), (47, 13), (80, 29), (127, 39))]
    assert sizes == sorted(sizes)
    assert sizes[0] == (1, 1)
    assert sizes[-1][0] > 4 * sizes[0][0]
    one, many = (show_screen.big(number, 60, 20, digits=4).splitlines() for number in (7, 1024))
    assert len(one) == len(many)


def test_sparks_are_full_from_the_most_on() -> None:
    assert show_screen.sparks([0, 50, 100, 500], 100, 3) == "▅██"


def test_both_screens_fit_into_a_plain_terminal() -> None:
    stall = show_stall.Scene(show_stall.QUICK)
    stall.fast.took_ms, stall.slow.took_ms = [3.0, 950.0], [1001.0]
    column = show_threads.Column("sync_wsgi@gthread:64", None, 514, 91_000_000)  # type: ignore[arg-type]
    crowd = show_threads.Scene([column] * 3, 1500, 512)
    for width, height in ((show_screen.LEAST_WIDTH, show_screen.LEAST_HEIGHT), (80, 24), (120, 40), (200, 50)):
        screen = Console(file=io.StringIO(), width=width)
        for draw in (partial(show_stall.draw, stall), partial(show_threads.draw, crowd)):
            lines = screen.render_lines(draw(width, height), screen.options)
            assert len(lines) <= height
            assert not any("…" in segment.text for segment in lines[-2] + lines[-3])
