import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from labs.common.gauge import Gauge
from labs.common.upstream_client import LoopThreadPool
from labs.common.work import spend_cpu, whereabouts


def test_the_gauge_counts_every_thread_that_is_inside_and_keeps_the_most() -> None:
    gauge, all_inside = Gauge(), Barrier(20, timeout=10)

    def enter() -> int:
        with gauge.inside():
            all_inside.wait()
            return gauge.most

    with ThreadPoolExecutor(20) as pool:
        assert [call.result() for call in [pool.submit(enter) for _ in range(20)]] == [20] * 20
    assert (gauge.now, gauge.most) == (0, 20)


def test_the_gauge_is_left_also_after_an_error() -> None:
    gauge = Gauge()
    with pytest.raises(ZeroDivisionError), gauge.inside():
        1 / 0  # noqa: B018
    assert (gauge.now, gauge.most) == (0, 1)


def test_burning_spends_the_cpu_of_its_own_thread_also_when_threads_fight_for_the_interpreter() -> None:
    def cpu_used(ms: int) -> float:
        before = time.thread_time()
        spend_cpu(ms)
        return time.thread_time() - before

    with ThreadPoolExecutor(2) as pool:
        assert all(0.02 <= used_s < 0.04 for used_s in pool.map(cpu_used, [20, 20]))


def test_whereabouts_tell_whether_a_loop_runs_in_this_thread() -> None:
    async def inside_a_loop() -> dict[str, object]:
        return whereabouts()

    assert whereabouts()["loop_running"] is False
    assert asyncio.run(inside_a_loop())["loop_running"] is True


def test_leaving_a_loop_thread_pool_does_not_wait_for_its_threads() -> None:
    release = Event()
    with LoopThreadPool(1) as pool:
        busy = pool.submit(release.wait, 10)
    assert not busy.done()
    release.set()
    assert busy.result(10)
