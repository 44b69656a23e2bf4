"""Chooses a stack for a site, by one rule that can be read and argued with.

`prices_of` reads from three runs what a request costs each stack, `option_of` predicts by `queueing.py` how a stack
serves the site, and `choose` decides. `choice.py` draws the choice, `choice_text.py` writes it, and
`choice_steps.py` lists the next steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, log

from bench.analyse import queueing
from bench.analyse.rows import Row, rows_of
from bench.model.run_record import Run
from bench.model.stacks import LABS, split_name

LEAST_ASKED_FIRST = ("sync_wsgi", "sync_asgi", "async_asgi", "zero_hop")
"""The labs to choose from; the one that needs the fewest changes to a sync project comes first."""
STOCK = LEAST_ASKED_FIRST[:3]
"""The labs with Django's own handler: only they are recommended."""
HELD = {
    "sync_wsgi": "sync_wsgi@gthread:1000",
    "sync_asgi": "async_asgi@uvicorn",
    "async_asgi": "async_asgi@uvicorn",
    "zero_hop": "zero_hop@uvicorn",
}
"""The stack in the run `held` whose memory counts for each lab. sync_asgi serves no feed, and holds a thread for
each request as async_asgi does.
"""
HELD_AT_ONCE = 1000
SPARE = 2
"""Room for a peak. A pool has at most so many times the threads that keep the core busy: more would queue for it."""
SEVEN = ("startproject",)
NEAR = 0.9
"""A stack with this share of the best throughput is as good: machines and restarts differ by as much."""
MOST_USERS = 10_000
"""The most streams that were held in a measurement."""


@dataclass(frozen=True)
class Case:
    """A site, as one of its processes on one core sees it.

    A request waits `wait_s` and computes `own_cpu_s` in code that is not Django's; `users` are in flight at once;
    `with_seven`: under the middlewares of a new project. `threads` is the largest pool that would be configured;
    `memory_bytes` what the process may take.
    """

    wait_s: float = 0.1
    own_cpu_s: float = 0.0
    users: int = 400
    with_seven: bool = False
    threads: int = 400
    memory_bytes: float = 512e6


@dataclass(frozen=True)
class Price:
    """What a lab costs. `cpu_s`: without (False) and with (True) the seven middlewares, CPU seconds of a request by
    number of users. Memory in bytes at rest and per request in flight; threads per request in flight.
    """

    lab: str
    cpu_s: Mapping[bool, Mapping[int, float]]
    rest_bytes: float
    each_bytes: float
    threads_each: int

    @property
    def is_pool(self) -> bool:
        """True if a request needs a thread of the server's pool before its view can start."""
        return LABS[self.lab].interface == "wsgi"


@dataclass(frozen=True)
class Option:
    """How a stack is predicted to serve a case. `slots`: its threads, None if unbounded. `fits`: into memory."""

    lab: str
    slots: int | None
    cpu_s: float
    throughput_per_s: float
    response_s: float
    threads: int
    memory_bytes: float
    limiter: queueing.Bottleneck
    fits: bool

    @property
    def stack(self) -> str:
        """Return the stack in its notation, such as `sync_wsgi@gthread:8`."""
        return f"{self.lab}@gthread:{self.slots}" if self.slots else f"{self.lab}@uvicorn"


def prices_of(ladder: Run, crowd: Run, held: Run) -> list[Price]:
    """Read prices from runs of `middleware_ladder` (few users), `without_hops` (many) and `held` (memory, threads)."""
    rows = [*rows_of(ladder), *rows_of(crowd)]
    open_rows = {(row.stack, row.trial.connections): row for row in rows_of(held)}
    return [_price(lab, rows, open_rows[HELD[lab], HELD_AT_ONCE]) for lab in LEAST_ASKED_FIRST]


def _price(lab: str, rows: Sequence[Row], open_row: Row) -> Price:
    mine = [row for row in rows if split_name(row.stack).lab == lab]
    rest_threads, threads = (open_row.median(f"held.threads_{when}") or 0.0 for when in ("before", "held"))
    return Price(
        lab,
        {with_seven: _cpu_s(mine, SEVEN if with_seven else ()) for with_seven in (False, True)},
        rest_bytes=open_row.median("held.rss_before_bytes") or 0.0,
        each_bytes=open_row.median("held.rss_per_connection_bytes") or 0.0,
        threads_each=round((threads - rest_threads) / HELD_AT_ONCE),
    )


def _cpu_s(rows: Sequence[Row], middleware: tuple[str, ...]) -> dict[int, float]:
    found = {row.users: row.median("cpu_us_per_request") for row in rows if row.middleware == middleware}
    return {users: cpu_us / 1e6 for users, cpu_us in found.items() if cpu_us is not None}


def interpolate(points: Mapping[int, float], users: int) -> float:
    """Return the value at so many users: linear in log(users) between the points, constant beyond them.

    Raises KeyError if there are no points.
    """
    levels = sorted(points)
    if not levels:
        raise KeyError(users)
    inside = min(max(users, levels[0]), levels[-1])
    for low, high in pairwise(levels):
        if low <= inside <= high:
            share = log(inside / low) / log(high / low)
            return (1 - share) * points[low] + share * points[high]
    return points[levels[0]]


def option_of(case: Case, price: Price) -> Option:
    """Predict how a lab's stack serves the case, by mean value analysis; users without a thread wait for one."""
    slots = _pool(case, price) if price.is_pool else None
    inside = min(case.users, slots) if slots else case.users
    cpu_s = interpolate(price.cpu_s[case.with_seven], inside) + case.own_cpu_s
    # With no think time a pool serves what a loop with as many users does: see queueing.thread_pool_curve.
    (point,) = queueing.event_loop_curve([inside], io_wait_s=case.wait_s, cpu_s=cpu_s)
    memory_bytes = price.rest_bytes + inside * price.each_bytes
    return Option(
        price.lab,
        slots,
        cpu_s,
        point.throughput_per_s,
        response_s=case.users / point.throughput_per_s,
        threads=inside * price.threads_each,
        memory_bytes=memory_bytes,
        limiter=queueing.predicted_bottleneck(users=case.users, io_wait_s=case.wait_s, cpu_s=cpu_s, threads=slots),
        fits=memory_bytes <= case.memory_bytes,
    )


def _pool(case: Case, price: Price) -> int:
    """Return the threads to configure: one for each user, up to what is allowed, fits into memory, and is of use."""
    most = max(1, min(case.users, case.threads, fitting_users(case, price)))
    cpu_s = interpolate(price.cpu_s[case.with_seven], most) + case.own_cpu_s
    return min(most, ceil(SPARE * (case.wait_s + cpu_s) / cpu_s))


def fitting_users(case: Case, price: Price) -> int:
    """Return how many requests in flight the memory has room for; below 1 if the process alone is too large."""
    return int((case.memory_bytes - price.rest_bytes) // price.each_bytes)


def admitted_users(case: Case, price: Price) -> int:
    """Return how many requests to let in: twice what the case has in flight, as far as the memory has room."""
    return min(SPARE * case.users, fitting_users(case, price))


def options_of(case: Case, prices: Sequence[Price]) -> list[Option]:
    """Return an Option for each price, in their order."""
    return [option_of(case, price) for price in prices]


def choose(options: Sequence[Option]) -> Option | None:
    """Choose among the stacks of stock Django that fit into memory and have nearly the highest throughput.

    Of these the one that needs the fewest changes to a sync project is chosen. None if nothing fits.
    """
    fitting = [option for option in options if option.fits and option.lab in STOCK]
    most = max((option.throughput_per_s for option in fitting), default=0.0)
    good = [option for option in fitting if option.throughput_per_s >= NEAR * most]
    return min(good, key=lambda option: LEAST_ASKED_FIRST.index(option.lab), default=None)


def turning_point(case: Case, prices: Sequence[Price]) -> int | None:
    """Return from how many users on the rule chooses another stack than the pool of threads.

    None if it never does, up to MOST_USERS.
    """
    for users in _levels():
        chosen = choose(options_of(replace(case, users=users), prices))
        if chosen is not None and chosen.lab != LEAST_ASKED_FIRST[0]:
            return users
    return None


def ruled_out_by_memory(options: Sequence[Option]) -> list[Option]:
    """Return the options of stock Django that would be chosen or as good, if there were more memory."""
    chosen = choose(options)
    enough = chosen.throughput_per_s / NEAR if chosen else 0.0
    return [it for it in options if it.lab in STOCK and not it.fits and it.throughput_per_s > enough]


def _levels() -> list[int]:
    """Return 1 to MOST_USERS, each about a tenth more than the one before."""
    levels = [1]
    while levels[-1] < MOST_USERS:
        levels.append(min(MOST_USERS, max(levels[-1] + 1, round(1.1 * levels[-1]))))
    return levels
