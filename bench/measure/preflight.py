"""Checks before a trial starts that there are file descriptors and ports enough for its load."""

import math
import resource

from bench.base.errors import NotRun
from bench.measure.machine import read_text

SPARE = 100
"""Descriptors that a server or a load process has open besides connections: files, pipes, an event loop."""
MOST_IN_FLIGHT = 4000
"""Bound of unanswered requests of an open loop, where descriptors allow so many."""
PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as the system allows them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """Read how many files a process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def ports() -> int | None:
    """Read how many ports there are for outgoing connections; None if the system does not say."""
    low, high = (int(word) for word in (read_text(PORT_RANGE) or "0 0").split())
    return high - low + 1 if high else None


def require_room(count: int, who: str = "users") -> None:
    """Raise NotRun if so many connections cannot be open at once; each of `who` has one."""
    needs = f"1 {who.removesuffix('s')} needs" if count == 1 else f"{count} {who} need"
    _require(count, needs, f"ask for fewer {who}")


def require_room_for_rate(rate_per_s: float, io_wait_s: float) -> None:
    """Raise NotRun if the requests of a rate that are in flight at once, by Little's law, have no room."""
    count = max(1, min(MOST_IN_FLIGHT, math.ceil(rate_per_s * io_wait_s)))
    in_flight = f"A rate of {rate_per_s:,.4g}/s, with {count} in flight at once, needs"
    _require(count, in_flight, "ask for a lower rate")


def _require(count: int, needs: str, instead: str) -> None:
    if count + SPARE > descriptors():
        raise NotRun(
            f"{needs} {count + SPARE} file descriptors in a process, {descriptors()} are allowed: "
            f"run `ulimit -n {count + SPARE}` before, or {instead}."
        )
    room = ports()
    if room is not None and count > room:
        raise NotRun(
            f"{needs} as many ports, {room} are there: "
            f"run `sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, or {instead}."
        )


def most_in_flight() -> int:
    """Return the bound of unanswered requests of an open loop here."""
    return max(1, min(MOST_IN_FLIGHT, descriptors() - SPARE))
