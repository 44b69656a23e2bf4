"""The limiter is read off samples: whatever was used to the full."""

from dataclasses import replace

import pytest

from bench.analyse import utilisation
from bench.analyse.rows import Row
from bench.analyse.utilisation import observed_bottleneck, utilisation_of
from bench.model.servers import BACKLOG
from bench.model.trial_record import LoadUse, MachineUse, Samples, ServerEnvironment, ServerUse, Trial

SERVER = ServerUse(threads_max=10, rss_bytes_max=1, connections_max=50, cpu_share=0.4, cpu_s=1.0, processes=1, cpus=[0])
QUEUE = Trial(
    "sync_wsgi@gthread:8", "wait", {"ms": 100}, [], users=50, repeat=0, throughput_per_s=76.0, io_wait_s=0.1, slots=8,
    server=SERVER, load=LoadUse(0.1, 1, [1], 0.1), machine=MachineUse(0.0, 0.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("utilisation", "limiter"),
    [
        ({"users": 0.5, "threads": 0.97, "server CPU": 0.3, "client": 0.9}, "threads"),
        ({"users": 0.99, "server CPU": 0.5, "client": 0.2}, "users"),
        ({"users": 0.4, "server CPU": 0.96, "client": 0.75}, "server CPU"),
        ({"users": 0.2, "server CPU": 0.2, "upstream": 0.98}, "upstream"),
        ({"users": 0.2, "backlog": 1.0}, "backlog"),
        ({"users": 0.6, "server CPU": 0.7, "client": 0.8}, "client"),
        ({"users": 0.6, "server CPU": 0.7, "client": 0.6}, None),
    ],
)
def test_the_fullest_is_the_limiter(utilisation: dict[str, float], limiter: str | None) -> None:
    assert observed_bottleneck(utilisation) == limiter


def test_a_queue_before_8_threads_is_limited_by_threads() -> None:
    used = utilisation_of(QUEUE, cpu_s=0.002, cores=1)
    assert used["threads"] == pytest.approx(76 * 0.102 / 8, abs=1e-3)
    assert used["users"] == pytest.approx(76 * 0.102 / 50, abs=1e-3)
    assert observed_bottleneck(used) == "threads"


def test_threads_that_suffice_for_all_users_bound_nothing() -> None:
    assert "threads" not in utilisation_of(replace(QUEUE, users=8), cpu_s=0.002, cores=1)


def test_an_open_loop_is_bounded_by_its_rate_and_by_threads() -> None:
    used = utilisation_of(replace(QUEUE, users=None, rate_per_s=100.0), cpu_s=0.002, cores=1)
    assert used["rate"] == pytest.approx(0.76)
    assert "users" not in used
    assert observed_bottleneck(used) == "threads"


def test_the_accept_queue_and_the_upstream_are_looked_at() -> None:
    full = replace(QUEUE, samples=Samples(accept_queue=[3, BACKLOG]), machine=MachineUse(0.0, 0.0, upstream_cores=0.5))
    used = utilisation_of(full, cpu_s=0.0, cores=2)
    assert (used["backlog"], used["upstream"], used["server CPU"]) == (1.0, 0.5, 0.2)
    assert used["backlog"] > utilisation.FULL


def test_where_parts_of_a_request_overlap_it_takes_the_longer_of_wait_and_cpu() -> None:
    trial = replace(QUEUE, io_wait_s=0.02, overlaps=True)
    assert utilisation.waiting_s(trial, 0.005) + 0.005 == pytest.approx(0.02)
    assert utilisation.waiting_s(trial, 0.03) + 0.03 == pytest.approx(0.03)
    assert utilisation.waiting_s(replace(trial, overlaps=False), 0.005) + 0.005 == pytest.approx(0.025)


def test_a_server_without_a_gil_can_keep_all_its_cores_busy() -> None:
    two_cores = replace(SERVER, cpus=[0, 1])
    for gil, stack, cores in ((False, QUEUE.stack, 2), (True, QUEUE.stack, 1), (True, "async_asgi@uvicorn:x2", 2)):
        said = ServerEnvironment("other", "CPython 3.13.5t", gil, 1, {})
        trial = replace(QUEUE, stack=stack, server=two_cores, environment=said)
        assert Row(stack, "wait?ms=100", (), trial.offered_load, (trial,)).cores == cores
