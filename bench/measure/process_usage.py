"""What a process tree uses: CPU time to the nanosecond, memory, threads."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

import psutil

from bench.measure.socket_counts import accept_queue
from bench.model.trial_record import FrontUse, Samples


def cpu_time_s(process: psutil.Process) -> float:
    """Read the CPU seconds used so far by all threads of one process, ended ones included.

    On Linux from the process's CPU clock (clock_getcpuclockid(3): clock id `~pid << 3 | 2`), in nanoseconds;
    `/proc/PID/stat` counts in ticks of 10 ms, too coarse for a window of seconds at a low rate.
    """
    try:
        return time.clock_gettime((~process.pid << 3) | 2)
    except OSError:
        times = process.cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True)
class Reading:
    """One look at a process tree. `at_s` is monotonic time; `machine_s` the CPU seconds all programs used so far,
    `stolen_s` those that the machine's host kept for others. `accept_queue` counts connections not yet accepted.
    """

    at_s: float
    cpu_s: float
    machine_s: float
    stolen_s: float
    rss_bytes: int
    threads: int
    accept_queue: int


def read(family: Sequence[psutil.Process], port: int | None = None) -> Reading:
    """Read all members of a tree now; one that has just ended counts as nothing."""
    cpu_s, rss_bytes, threads = 0.0, 0, 0
    for process in family:
        with suppress(psutil.Error, OSError), process.oneshot():
            cpu_s += cpu_time_s(process)
            rss_bytes += process.memory_info().rss
            threads += process.num_threads()
    times = psutil.cpu_times()  # interrupts are left out
    machine_s, stolen_s = float(times.user + times.nice + times.system), float(getattr(times, "steal", 0.0))
    queue = 0 if port is None else accept_queue(port)
    return Reading(time.monotonic(), cpu_s, machine_s, stolen_s, rss_bytes, threads, queue)


def read_with_ended(family: Sequence[psutil.Process]) -> Reading:
    """Read a tree that makes a process for each connection: with the CPU time of those that have ended, too.

    Their parent keeps it, in ticks of 10 ms.
    """
    reading, ended_s = read(family), 0.0
    for process in family:
        with suppress(psutil.Error):
            times = process.cpu_times()
            ended_s += times.children_user + times.children_system
    return replace(reading, cpu_s=reading.cpu_s + ended_s)


def front_use(
    readings: Sequence[Reading], connections: int, cpus: list[int], answered: float | None = None
) -> FrontUse | None:
    """Return what a front used between its first and its last reading; None without any, where there is no front.

    `answered`: how many requests passed it in that time, if that was counted.
    """
    if not readings:
        return None
    cpu_s = readings[-1].cpu_s - readings[0].cpu_s
    return FrontUse(
        rss_bytes_max=max(reading.rss_bytes for reading in readings),
        connections_max=connections,
        cpu_share=cpu_share(readings[0], readings[-1]),
        cpu_s=cpu_s,
        cpus=cpus,
        cpu_us_per_request=1e6 * cpu_s / answered if answered else None,
    )


def add_readings(one: Reading, other: Reading) -> Reading:
    """Add two trees to one, at the first one's time."""
    return replace(
        one,
        cpu_s=one.cpu_s + other.cpu_s,
        rss_bytes=one.rss_bytes + other.rss_bytes,
        threads=one.threads + other.threads,
    )


def samples_of(readings: Sequence[Reading], start_s: float) -> Samples:
    """Turn readings into columns; the CPU share is that of the stretch before each reading."""
    pairs = list(pairwise(readings))
    return Samples(
        at_s=[round(after.at_s - start_s, 3) for _, after in pairs],
        cpu_share=[round(cpu_share(before, after), 4) for before, after in pairs],
        rss_bytes=[after.rss_bytes for _, after in pairs],
        threads=[after.threads for _, after in pairs],
        accept_queue=[after.accept_queue for _, after in pairs],
    )


def cpu_share(before: Reading, after: Reading) -> float:
    """Return the cores kept busy between two readings."""
    elapsed_s = after.at_s - before.at_s
    return (after.cpu_s - before.cpu_s) / elapsed_s if elapsed_s > 0 else 0.0
