"""Exercise: predict where the climb ends.

So many users each ask, wait for the answer, and ask again at once. A request waits `wait_s` for somebody else and costs
`cpu_s` of the server's one core, in seconds. A server with `threads` threads gives one to each request for all of that
time; None is an event loop, which has no such bound.

Task: give the most requests per second that there can be. Here only the number of users ends the climb; two more
things can. The check sets your numbers beside those of the reference run of `io_wait`, and beside a server of today.
Run: lab check plateau
Hint: "Explain" in notebooks/02_io_wait: of three ceilings the lowest counts.
"""


def plateau_per_s(users: int, threads: int | None, wait_s: float, cpu_s: float) -> float:
    """The throughput in requests/s that no server can exceed."""
    return users / (wait_s + cpu_s)
