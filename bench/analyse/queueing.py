"""Queueing theory: the limit of throughput, and predicted curves of throughput and response time against users.

Symbols: N users, Z think time, L wait for I/O, S CPU time per request, W (or T) threads. Nothing here is
fitted: S is measured from the server's CPU time, the rest is the trial's own description.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

Bottleneck = Literal["users", "threads", "server CPU"]


@dataclass(frozen=True, slots=True)
class Point:
    """One predicted point of a curve: the mean throughput and the mean response time (queueing included)."""

    users: int
    throughput_per_s: float
    response_s: float


def limit_per_s(
    *, users: int, io_wait_s: float, cpu_s: float, threads: int | None, cores: int = 1, think_s: float = 0.0
) -> float:
    """Return the throughput in requests/s that no server can exceed: min(N/(Z+L+S), W/(L+S), cores/S).

    `threads` None means no thread bound (an event loop, or a thread for every request). `threads` and `cores`
    are totals over all processes; a Python process can use one core at a time, so `cores` is at most the
    number of processes. A bound whose time is zero vanishes; where all vanish the limit is infinite. Raises
    ValueError for a negative or non-finite time and for a count below 1.

    Source: asymptotic bounds of operational analysis, Denning and Buzen, "The Operational Analysis of
    Queueing Network Models", Computing Surveys 10(3), 1978; Lazowska et al., "Quantitative System
    Performance", 1984, ch. 5.
    """
    return min(_bounds_per_s(users, io_wait_s, cpu_s, threads, cores, think_s).values())


def predicted_bottleneck(
    *, users: int, io_wait_s: float, cpu_s: float, threads: int | None, cores: int = 1, think_s: float = 0.0
) -> Bottleneck:
    """Name the bound that gives `limit_per_s`; of equal bounds the first of users, threads, server CPU.

    The order says what a reader would change first: with as many users as threads, more threads alone gain
    nothing. Arguments and errors as in `limit_per_s`.
    """
    bounds = _bounds_per_s(users, io_wait_s, cpu_s, threads, cores, think_s)
    return min(bounds, key=bounds.__getitem__)


def event_loop_curve(
    users: Sequence[int], *, io_wait_s: float, cpu_s: float, cores: int = 1, think_s: float = 0.0
) -> list[Point]:
    """Predict one point for each number of users where nothing but the CPU makes requests queue.

    That is an event loop, and just as well one thread per request without bound. The model is a closed
    network of a delay (Z+L) and one station, the CPU, whose service times are exponential with mean S; waits
    may have any distribution. The solution is exact and equals Mean Value Analysis: Reiser and Lavenberg,
    "Mean-Value Analysis of Closed Multichain Queueing Networks", J. ACM 27(2), 1980. With `cores` above 1 the
    station serves min(n, cores) requests at once, which supposes that processes share the load evenly: an
    optimist's view. Real CPU times vary less than exponential ones: near the knee a measured point may lie
    somewhat above the curve, though never above the limit. Raises ValueError as `limit_per_s` does, and where
    L, S, Z are all zero.
    """
    _check(users, io_wait_s, cpu_s, None, cores, think_s, is_curve=True)
    cpu_times_s = _cpu_times_s(max(users, default=0), cpu_s, cores)
    return [_point(n, think_s + io_wait_s, cpu_times_s, extra_s=io_wait_s) for n in users]


def thread_pool_curve(
    users: Sequence[int],
    *,
    io_wait_s: float,
    cpu_s: float,
    threads: int | None,
    cores: int = 1,
    think_s: float = 0.0,
) -> list[Point]:
    """Predict one point for each number of users where a request holds one of T threads for all of L+S.

    The pool is replaced by one station that completes X_inner(min(n, T)) requests/s with n inside or waiting
    for a thread; X_inner(k) is the event loop's throughput with k users and no think time. Hence with Z = 0
    X(N) = X_inner(min(N, T)) and R = N/X. Exact for Z = 0 and for N <= T. Otherwise a bound on threads has no
    exact product form and this is the standard approximation: within 1.3 % of a simulation over a grid
    of models with 2 to 32 threads, and the tests hold it to 3 %. `threads` None is the event loop. Other
    arguments and errors as in `event_loop_curve`.

    Source: flow-equivalent service centre, Chandy, Herzog and Woo, "Parametric Analysis of Queuing Networks",
    IBM J. Res. Dev. 19(1), 1975; population constraints, Lazowska et al., 1984, ch. 8 and 9.
    """
    if threads is None:
        return event_loop_curve(users, io_wait_s=io_wait_s, cpu_s=cpu_s, cores=cores, think_s=think_s)
    _check(users, io_wait_s, cpu_s, threads, cores, think_s, is_curve=True)
    pool_times_s = _pool_times_s(max(users, default=0), io_wait_s, cpu_s, threads, cores)
    return [_point(n, think_s, pool_times_s, extra_s=0.0) for n in users]


def _point(users: int, delay_s: float, times_s: Vector, *, extra_s: float) -> Point:
    """Solve for `users`; `extra_s` is the part of the delay that belongs to the response."""
    time_s, queued = _solve(users, delay_s, times_s)
    return Point(int(users), 1 / time_s, queued * time_s + extra_s)


def _solve(users: int, delay_s: float, times_s: Vector) -> tuple[float, float]:
    """Return the mean time between completions in s, and the mean number at the station.

    The network: `users` circulate between a delay and one station; `times_s[n - 1]` is the station's mean
    time between completions with n present. Its states form a birth-death chain, so the probability of n is
    proportional to the product over k = 1..n of (N-k+1)/Z x times(k). Logarithms keep 10,000 users from
    overflowing; a time of zero needs no special case.
    """
    import numpy as np

    if delay_s == 0:
        return float(times_s[users - 1]), float(users)
    present = np.arange(users + 1)
    with np.errstate(divide="ignore"):
        steps = np.log(present[:0:-1]) + np.log(times_s[:users]) - math.log(delay_s)
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    total = float(weights.sum())
    # Little's law at the delay: throughput = mean number there / delay, a sum that cancels no digits.
    return delay_s * total / float(weights @ (users - present)), float(weights @ present) / total


def _cpu_times_s(users: int, cpu_s: float, cores: int) -> Vector:
    """Return, shape (users,), the CPU's mean time between completions in s with 1..users requests at it."""
    import numpy as np

    return cpu_s / np.minimum(np.arange(1, users + 1), cores)


def _pool_times_s(users: int, io_wait_s: float, cpu_s: float, threads: int, cores: int) -> Vector:
    """Return, shape (users,), the pool's mean time between completions in s with 1..users requests at it."""
    import numpy as np

    busy = min(users, threads)
    cpu_times_s = _cpu_times_s(busy, cpu_s, cores)
    inner = [_solve(k, io_wait_s, cpu_times_s)[0] for k in range(1, busy + 1)]
    return np.array(inner + inner[-1:] * (users - busy))


def _bounds_per_s(
    users: int, io_wait_s: float, cpu_s: float, threads: int | None, cores: int, think_s: float
) -> dict[Bottleneck, float]:
    """Return every bound in requests/s, in the order in which `predicted_bottleneck` prefers them."""
    _check([users], io_wait_s, cpu_s, threads, cores, think_s)
    return {
        "users": _per_s(users, think_s + io_wait_s + cpu_s),
        "threads": math.inf if threads is None else _per_s(threads, io_wait_s + cpu_s),
        "server CPU": _per_s(cores, cpu_s),
    }


def _per_s(count: int, time_s: float) -> float:
    return count / time_s if time_s > 0 else math.inf


def _check(
    users: Sequence[int],
    io_wait_s: float,
    cpu_s: float,
    threads: int | None,
    cores: int,
    think_s: float,
    *,
    is_curve: bool = False,
) -> None:
    for name, value in {"io_wait_s": io_wait_s, "cpu_s": cpu_s, "think_s": think_s}.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of seconds, zero or more, not {value}.")
    counts = [("users", n) for n in users] + [("cores", cores)]
    for name, count in counts if threads is None else [*counts, ("threads", threads)]:
        if not (count >= 1 and count % 1 == 0):
            raise ValueError(f"{name} must be a whole number, 1 or more, not {count}.")
    if is_curve and io_wait_s + cpu_s + think_s == 0:
        raise ValueError("A curve needs io_wait_s, cpu_s or think_s above zero.")
