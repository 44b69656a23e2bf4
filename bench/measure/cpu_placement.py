"""Which cores the server gets and which the load, so that neither measures the other."""

import functools
import os
from dataclasses import dataclass

import psutil


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
    """The cores this process was started with; empty where the system has no affinity (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def plan(processes: int, load_processes: int = 1) -> CpuPlan:
    """One core for each server process from below, one for each load process from above.

    With too few cores for both, server processes share what is left of the load's one core. Where the load is made on
    other machines (`load_processes` 0) one core remains to those who watch here.
    """
    cores = available()
    if len(cores) < 2:
        return CpuPlan(cores, cores)
    load = cores[-min(max(1, load_processes), len(cores) - 1) :]
    rest = [core for core in cores if core not in load]
    return CpuPlan(rest[:processes], load)


def cores_of(server: list[int], processes: int) -> int:
    """How many cores the server can keep busy: one for each process (the GIL), no more than it was given."""
    return min(processes, len(server) or psutil.cpu_count() or 1)


def stay_with_the_load(where: CpuPlan) -> None:
    """Bind this process, which watches, to the load's cores, so that the server has its own to itself."""
    available()
    if hasattr(os, "sched_setaffinity") and not where.shared:
        os.sched_setaffinity(0, where.load)
