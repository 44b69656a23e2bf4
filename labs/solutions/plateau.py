"""Solution: the lowest of three ceilings, min(N/(L+S), W/(L+S), 1/S).

Source: Denning and Buzen, "The Operational Analysis of Queueing Network Models", Computing Surveys 10(3), 1978.
"""


def plateau_per_s(users: int, threads: int | None, wait_s: float, cpu_s: float) -> float:
    """The throughput in requests/s that no server can exceed."""
    inside = users if threads is None else min(users, threads)
    return min(inside / (wait_s + cpu_s), 1 / cpu_s)
