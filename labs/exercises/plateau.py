"""Exercise: predict the throughput that cannot be exceeded.

Each of `users` users asks, waits for the answer, and asks again at once. A request waits `wait_s` for something else and
takes `cpu_s` of the server's one core, both in seconds. A server with `threads` threads gives one to each request for
all of that time. None stands for an event loop, which has no such bound.

Task: return the most requests per second that are possible. The function knows only the limit that the users set; there
are two more. The check compares your numbers with the reference run of `io_wait`, and with a server that it starts.
Run: lab check plateau
Hint: "Explain" in notebooks/02_io_wait: the lowest of three ceilings is the limit.
"""


def plateau_per_s(users: int, threads: int | None, wait_s: float, cpu_s: float) -> float:
    """The throughput in requests/s that no server can exceed."""
    return users / (wait_s + cpu_s)
