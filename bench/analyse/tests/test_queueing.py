"""The predictions against closed forms, their own limits, and a simulation that shares no code."""

from __future__ import annotations

import heapq
import math
import random
from itertools import pairwise, product

import pytest

from bench.analyse.queueing import Point, event_loop_curve, limit_per_s, predicted_bottleneck, thread_pool_curve

USERS = [1, 2, 3, 7, 8, 9, 20, 64, 150, 400]
GRID = [
    {"io_wait_s": io_wait_s, "cpu_s": cpu_s, "think_s": think_s, "threads": threads, "cores": cores}
    for io_wait_s, cpu_s, think_s, threads, cores in product(
        (0.0, 0.01, 0.1), (0.0, 0.0005, 0.02), (0.0, 0.3), (1, 8, 64, None), (1, 2)
    )
    if io_wait_s + cpu_s + think_s > 0
]


def throughput(points: list[Point]) -> list[float]:
    return [point.throughput_per_s for point in points]


@pytest.mark.parametrize(
    ("arguments", "expected", "name"),
    [
        ({"users": 10, "io_wait_s": 0.1, "cpu_s": 0.0, "threads": None}, 100.0, "users"),
        ({"users": 10, "io_wait_s": 0.1, "cpu_s": 0.0, "threads": None, "think_s": 0.9}, 10.0, "users"),
        ({"users": 400, "io_wait_s": 0.099, "cpu_s": 0.001, "threads": 8}, 80.0, "threads"),
        ({"users": 400, "io_wait_s": 0.098, "cpu_s": 0.002, "threads": None}, 500.0, "server CPU"),
        (
            {"users": 400, "io_wait_s": 0.098, "cpu_s": 0.002, "threads": 400, "cores": 2},
            1000.0,
            "server CPU",
        ),
    ],
)
def test_the_limit_is_the_least_bound_and_has_its_name(arguments: dict, expected: float, name: str) -> None:
    assert limit_per_s(**arguments) == pytest.approx(expected)
    assert predicted_bottleneck(**arguments) == name


def test_equal_bounds_are_named_users_then_threads_then_server_cpu() -> None:
    assert predicted_bottleneck(users=8, io_wait_s=0.1, cpu_s=0.01, threads=8) == "users"
    assert predicted_bottleneck(users=1, io_wait_s=0.0, cpu_s=0.01, threads=1) == "users"
    assert predicted_bottleneck(users=2, io_wait_s=0.0, cpu_s=0.01, threads=1) == "threads"


def test_a_request_that_takes_no_time_has_no_limit() -> None:
    assert limit_per_s(users=1, io_wait_s=0, cpu_s=0, threads=1) == math.inf


@pytest.mark.parametrize(
    "bad",
    [
        {"users": 0},
        {"users": 1.5},
        {"threads": 0},
        {"cores": 0},
        {"io_wait_s": -0.1},
        {"cpu_s": math.nan},
        {"think_s": math.inf},
    ],
)
def test_bad_input_is_refused_in_one_sentence_that_names_it(bad: dict) -> None:
    arguments = {"users": 1, "io_wait_s": 0.1, "cpu_s": 0.01, "threads": 1} | bad
    (name,) = bad
    with pytest.raises(ValueError, match=rf"^{name} must be .*\.$"):
        limit_per_s(**arguments)
    with pytest.raises(ValueError, match=rf"^{name} must be .*\.$"):
        thread_pool_curve([arguments.pop("users")], **arguments)


@pytest.mark.parametrize("threads", [1, None])
def test_a_curve_of_requests_that_take_no_time_is_refused(threads: int | None) -> None:
    with pytest.raises(ValueError, match="above zero"):
        thread_pool_curve([1], io_wait_s=0, cpu_s=0, threads=threads)


@pytest.mark.parametrize("threads", [1, 8, None])
def test_one_user_never_queues(threads: int | None) -> None:
    (point,) = thread_pool_curve([1], io_wait_s=0.1, cpu_s=0.02, threads=threads, think_s=0.3)
    assert point.throughput_per_s == pytest.approx(1 / 0.42)
    assert point.response_s == pytest.approx(0.12)


@pytest.mark.parametrize("threads", [1, 8, None])
def test_cpu_work_alone_fills_the_core_whatever_the_concurrency(threads: int | None) -> None:
    for point in thread_pool_curve(USERS, io_wait_s=0, cpu_s=0.02, threads=threads):
        assert point.throughput_per_s == pytest.approx(50)
        assert point.response_s == pytest.approx(point.users * 0.02)


def test_waits_alone_scale_with_threads_and_then_stop() -> None:
    points = thread_pool_curve([4, 8, 80], io_wait_s=0.1, cpu_s=0, threads=8)
    assert throughput(points) == pytest.approx([40, 80, 80])
    assert [point.response_s for point in points] == pytest.approx([0.1, 0.1, 1.0])


@pytest.mark.parametrize("users", [1, 2, 5, 12, 30])
def test_the_event_loop_is_the_machine_repairman(users: int) -> None:
    """M/M/1//N: N machines that run for L, one repairman who takes S; p(0) as in any textbook."""
    io_wait_s, cpu_s = 0.1, 0.01
    terms = (math.factorial(users) // math.factorial(users - n) * (cpu_s / io_wait_s) ** n for n in range(users + 1))
    idle = 1 / sum(terms)
    assert throughput(event_loop_curve([users], io_wait_s=io_wait_s, cpu_s=cpu_s)) == pytest.approx(
        [(1 - idle) / cpu_s]
    )


def test_the_event_loop_follows_the_recursion_of_mean_value_analysis() -> None:
    """Reiser and Lavenberg: R(n) = S (1 + Q(n-1)), X(n) = n / (Z + L + R(n)), Q(n) = X(n) R(n)."""
    users, io_wait_s, cpu_s, think_s, queued = range(1, 301), 0.1, 0.002, 0.2, 0.0
    expected = []
    for n in users:
        at_cpu_s = cpu_s * (1 + queued)
        expected.append(n / (think_s + io_wait_s + at_cpu_s))
        queued = expected[-1] * at_cpu_s
    points = event_loop_curve(users, io_wait_s=io_wait_s, cpu_s=cpu_s, think_s=think_s)
    assert throughput(points) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("model", GRID, ids=str)
def test_no_prediction_lies_above_its_limit(model: dict) -> None:
    for point in thread_pool_curve(USERS, **model):
        assert point.throughput_per_s <= limit_per_s(users=point.users, **model) * (1 + 1e-9)


@pytest.mark.parametrize("model", GRID, ids=str)
def test_every_prediction_obeys_littles_law(model: dict) -> None:
    for point in thread_pool_curve(USERS, **model):
        inside = point.throughput_per_s * (point.response_s + model["think_s"])
        assert inside == pytest.approx(point.users, rel=1e-9)


@pytest.mark.parametrize("model", GRID, ids=str)
def test_more_users_never_lower_throughput_or_response_time(model: dict) -> None:
    for fewer, more in pairwise(thread_pool_curve(USERS, **model)):
        assert more.throughput_per_s >= fewer.throughput_per_s * (1 - 1e-9)
        assert more.response_s >= fewer.response_s * (1 - 1e-9)


@pytest.mark.parametrize("model", [model for model in GRID if model["threads"] is None], ids=str)
def test_with_a_thread_for_every_user_the_pool_equals_the_event_loop(model: dict) -> None:
    pool = thread_pool_curve(USERS, **model | {"threads": max(USERS)})
    loop = thread_pool_curve(USERS, **model)
    assert throughput(pool) == pytest.approx(throughput(loop), rel=1e-9)
    assert [p.response_s for p in pool] == pytest.approx([p.response_s for p in loop], rel=1e-6)


def test_without_think_time_a_full_pool_is_a_smaller_closed_network() -> None:
    full, beyond = thread_pool_curve([8, 50], io_wait_s=0.1, cpu_s=0.02, threads=8)
    (inner,) = event_loop_curve([8], io_wait_s=0.1, cpu_s=0.02)
    assert full.throughput_per_s == pytest.approx(inner.throughput_per_s)
    assert beyond.throughput_per_s == pytest.approx(inner.throughput_per_s)
    assert beyond.response_s == pytest.approx(50 / inner.throughput_per_s)


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize(("threads", "think_s"), [(None, 0.0), (None, 1.0), (600, 1.0)])
def test_ten_thousand_users_reach_the_limit(threads: int | None, think_s: float, cores: int) -> None:
    (point,) = thread_pool_curve([10_000], io_wait_s=0.1, cpu_s=0.002, threads=threads, cores=cores, think_s=think_s)
    limit = limit_per_s(users=10_000, io_wait_s=0.1, cpu_s=0.002, threads=threads, cores=cores, think_s=think_s)
    assert point.throughput_per_s == pytest.approx(limit, rel=1e-3)


def test_points_come_in_the_order_asked_for() -> None:
    assert [point.users for point in event_loop_curve([9, 1, 9], io_wait_s=0.1, cpu_s=0)] == [9, 1, 9]
    assert thread_pool_curve([], io_wait_s=0.1, cpu_s=0, threads=4) == []


class Simulation:
    """Users, a pool of threads and a CPU as discrete events; every duration is exponential."""

    def __init__(self, users: int, threads: int, io_wait_s: float, cpu_s: float, think_s: float, cores: int) -> None:
        self.means_s = {"think": think_s, "io": io_wait_s, "cpu": cpu_s}
        self.random = random.Random(1)
        self.now_s, self.done = 0.0, 0
        self.free = {"thread": threads, "core": cores}
        self.waiting = {"thread": 0, "core": 0}
        self.events: list[tuple[float, int, str]] = []
        self.started = 0
        for _ in range(users):
            self.start("think")

    def start(self, what: str) -> None:
        self.started += 1
        end_s = self.now_s + self.random.expovariate(1.0) * self.means_s[what]
        heapq.heappush(self.events, (end_s, self.started, what))

    def take(self, resource: str, then: str) -> None:
        if not self.free[resource]:
            self.waiting[resource] += 1
            return
        self.free[resource] -= 1
        self.start(then)

    def give_back(self, resource: str, then: str) -> None:
        self.free[resource] += 1
        if self.waiting[resource]:
            self.waiting[resource] -= 1
            self.take(resource, then)

    def step(self) -> None:
        self.now_s, _, ended = heapq.heappop(self.events)
        if ended == "think":
            self.take("thread", "io")
        elif ended == "io":
            self.take("core", "cpu")
        else:
            self.done += 1
            self.give_back("core", "cpu")
            self.give_back("thread", "io")
            self.start("think")

    def throughput_per_s(self, warm_up: int = 5_000, measured: int = 40_000) -> float:
        while self.done < warm_up:
            self.step()
        start_s = self.now_s
        while self.done < warm_up + measured:
            self.step()
        return measured / (self.now_s - start_s)


@pytest.mark.parametrize(
    ("users", "threads", "io_wait_s", "cpu_s", "think_s", "cores"),
    [
        (12, 12, 0.1, 0.01, 0.0, 1),  # a loop, below the knee
        (12, 12, 0.1, 0.02, 0.3, 2),  # a loop on two cores, with think time
        (20, 6, 0.1, 0.02, 0.0, 1),  # a full pool
        (30, 8, 0.1, 0.01, 0.3, 1),  # a pool at the knee, where the model is an approximation
        (30, 8, 0.05, 0.01, 0.3, 2),
        (60, 10, 0.1, 0.005, 0.5, 1),
    ],
)
def test_a_simulation_agrees_within_three_percent(
    users: int, threads: int, io_wait_s: float, cpu_s: float, think_s: float, cores: int
) -> None:
    simulated_per_s = Simulation(users, threads, io_wait_s, cpu_s, think_s, cores).throughput_per_s()
    (point,) = thread_pool_curve(
        [users], io_wait_s=io_wait_s, cpu_s=cpu_s, threads=threads, think_s=think_s, cores=cores
    )
    assert point.throughput_per_s == pytest.approx(simulated_per_s, rel=0.03)
