"""Looked at before a trial starts: file descriptors and ports enough for what is asked (METHOD, faults)."""

import resource

from bench.environment import read_text
from bench.errors import NotRun

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
    """Files that a process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def ports() -> int | None:
    """Ports for outgoing connections; None where the system does not tell."""
    low, high = (int(word) for word in (read_text(PORT_RANGE) or "0 0").split())
    return high - low + 1 if high else None


def require_room(count: int, who: str = "users") -> None:
    """Raise NotRun where so many connections cannot be open at once; `who` has one each."""
    if count + SPARE > descriptors():
        raise NotRun(
            f"{count} {who} need {count + SPARE} file descriptors in a process, {descriptors()} are allowed: "
            f"run `ulimit -n {count + SPARE}` before, or ask for fewer {who}."
        )
    room = ports()
    if room is not None and count > room:
        raise NotRun(
            f"{count} {who} need as many ports, {room} are there: "
            f"run `sysctl -w net.ipv4.ip_local_port_range='1024 65535'`, or ask for fewer {who}."
        )


def most_in_flight() -> int:
    """Bound of unanswered requests of an open loop here."""
    return max(1, min(MOST_IN_FLIGHT, descriptors() - SPARE))
