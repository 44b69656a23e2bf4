"""Which cores the server gets, and which the load, so that neither measures the other."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.base.errors import NotRun


@dataclass(frozen=True)
class CpuPlan:
    """Core numbers for the server and for the load; `shared` where they could not be kept apart."""

    server: list[int]
    load: list[int]

    @property
    def shared(self) -> bool:
        """Return whether server and load have a core in common, or cannot be bound to cores at all."""
        return not set(self.server).isdisjoint(self.load) or not self.server


@functools.cache
def available() -> list[int]:
    """Return the cores that this process was started with; none if the system has no affinity (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def plan(processes: int, load_processes: int = 1, server_cores: int | None = None) -> CpuPlan:
    """Give each server process a core from below, each load process one from above.

    `server_cores` gives the server so many instead, also those of the load if there are no others.

    With too few cores for both, server processes share what is left of the load's one core. Where the load is made on
    other machines (`load_processes` 0) one core remains for the lab itself, which watches.
    """
    cores = available()
    if len(cores) < 2:
        return CpuPlan(cores, cores)
    load = cores[-min(max(1, load_processes), len(cores) - 1) :]
    rest = [core for core in cores if core not in load]
    return CpuPlan(rest[:processes] if server_cores is None else cores[:server_cores], load)


def require_cores(server_cores: int | None) -> None:
    """Raise NotRun if a server is to have more cores than this process may use."""
    if server_cores and server_cores > len(available()):
        raise NotRun(f"The server is to have {server_cores} cores, and {len(available())} can be given to it here.")


def cores_of(server: list[int], processes: int, *, has_gil: bool = True) -> int:
    """Return how many of its cores the server can keep busy: one for each process that has a GIL, else all."""
    given = len(server) or psutil.cpu_count() or 1
    return min(processes, given) if has_gil else given


@contextmanager
def watching_from_load_cores() -> Iterator[None]:
    """Bind this process to the load's cores for a while, as `bind_to_load_cores` does for good."""
    bind_to_load_cores(plan(1))
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, available())


def bind_to_load_cores(where: CpuPlan) -> None:
    """Bind this process, which watches, to the cores of the load: the server has its own to itself."""
    available()
    if hasattr(os, "sched_setaffinity") and where.server != where.load:
        os.sched_setaffinity(0, where.load)
