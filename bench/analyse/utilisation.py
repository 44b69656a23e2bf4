"""Which resource a trial saturated, from samples and counts (checklist: limiter named)."""

from collections.abc import Mapping

from bench.analyse import queueing
from bench.model.servers import BACKLOG
from bench.model.trial_record import Trial

FULL = 0.85
"""From this share on a resource counts as saturated."""
CLIENT_FULL = 0.70
"""Of a load process's core: above it the generator's tail latencies are its own (checklist: client headroom)."""
UNBOUNDED = 10**9
"""Stands for the users of an open loop: so many bound nothing."""
TICK_S = 0.001
"""Each wait may end this much early, in s: libuv and others count whole milliseconds."""
CLOCKS_APART = 0.01
"""And by this share of it: clocks of two machines differ, and a histogram has steps."""


def utilisation_of(trial: Trial, cpu_s: float, cores: int) -> dict[str, float]:
    """Return the used share of each resource that could bound the trial; `cpu_s` is the measured CPU time per request.

    users: X (L+S) / N. rate: throughput / requested rate. threads: X (L+S) / W, only if more than W requests can be
    there at once. server CPU, client, upstream: of their cores; a front counts to the server, whose cores it
    has. database: of the core that it shares with the load.
    backlog: longest accept queue / its bound.
    """
    rate = trial.throughput_per_s or 0.0
    inside = rate * (waiting_s(trial, cpu_s) + cpu_s)
    used: dict[str, float] = {}
    if trial.users and not trial.rate_per_s:
        used["users"] = inside / trial.users
    if trial.rate_per_s:
        used["rate"] = rate / trial.rate_per_s
    if trial.slots and (trial.users is None or trial.users > trial.slots):
        used["threads"] = inside / trial.slots
    if trial.server:
        front_share = trial.front.cpu_share if trial.front else 0.0
        used["server CPU"] = (trial.server.cpu_share + front_share) / cores
        used["backlog"] = max(trial.samples.accept_queue, default=0) / BACKLOG
    if trial.machine and trial.machine.upstream_cores:
        used["upstream"] = trial.machine.upstream_cores
    if trial.machine and trial.machine.database_cores:
        used["database"] = trial.machine.database_cores + (trial.load.cpu_share if trial.load else 0.0)
    if trial.load:
        used["client"] = trial.load.busiest_share
    return {name: round(share, 3) for name, share in used.items()}


def waiting_s(trial: Trial, cpu_s: float) -> float:
    """Return L in s; if parts of the request overlap, only what exceeds S."""
    return max(0.0, trial.io_wait_s - cpu_s) if trial.overlaps else trial.io_wait_s


def observed_bottleneck(utilisation: dict[str, float]) -> str | None:
    """Return the resource used most, if it is used at least 85 %; else `client` above 70 %; else None.

    None means that users came in step, or that a request waits for something that is not sampled.
    """
    full = {name: share for name, share in utilisation.items() if share >= FULL and name != "client"}
    if full:
        return max(full, key=full.__getitem__)
    return "client" if utilisation.get("client", 0.0) > CLIENT_FULL else None


def least_s(io_wait_s: float, parameters: Mapping[str, int]) -> float:
    """Return the shortest time in s in which a right answer can come: not before its waits are over."""
    wait_s = parameters.get("ms", 0) / 1000
    waits = io_wait_s / wait_s if wait_s else 0.0
    return max(0.0, (1 - CLOCKS_APART) * io_wait_s - TICK_S * waits)


def ceiling_per_s(trial: Trial) -> float:
    """Return the limit with S = 0, min(N/L, W/L), in requests/s: it holds for any server; infinite if L is 0."""
    users = trial.users or UNBOUNDED
    return queueing.limit_per_s(users=users, io_wait_s=trial.io_wait_s, cpu_s=0.0, threads=trial.slots)
