"""Ports and addresses of this machine: a free port, the owner of a taken one, an address that others can reach."""

import os
import random
import socket
import sys
from collections import deque
from contextlib import suppress
from itertools import cycle, islice

import psutil

from bench.base.errors import NotRun, UsageError
from bench.model.servers import HOST

# Below what systems hand to clients: no outgoing connection takes a port between choosing and listening, and one that
# asks a stopped server again and again is never given the server's own port, and so connected with itself.
PORTS = range(20_000, 30_000)
# Each once, in an order of our own (not seeded): two processes that begin alike choose apart.
_order = cycle(random.SystemRandom().sample(PORTS, len(PORTS)))
MOST_KEPT = 32
_kept: deque[int] = deque()  # descriptors of the sockets that keep others off the ports chosen last


def free_port(host: str = HOST) -> int:
    """Find one of PORTS on which nothing listens; raises NotRun if there is none.

    Linux keeps it from others who look for one, until this process ends or has chosen MOST_KEPT more. Elsewhere another
    program may take it before we do: the nonce would notice.
    """
    for port in islice(_order, 100):
        with suppress(OSError):
            _keep(port, host)
            return port
    raise NotRun(f"No port from {PORTS.start} to {PORTS.stop - 1} on {host} is free: stop programs that listen there.")


def _keep(port: int, host: str) -> None:
    """Bind a port that no other socket has, and stay bound beside the server. Raises OSError if one has it.

    Linux lets two sockets with SO_REUSEADDR, as servers set it, bind the same port while only one of them listens
    (socket(7)). Ours sets it when it is bound: until then any other socket is in its way.
    """
    with socket.socket() as probe:
        probe.bind((host, port))
        if sys.platform == "linux":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _kept.append(probe.detach())
    if len(_kept) > MOST_KEPT:
        os.close(_kept.popleft())


def owner_of(port: int) -> str:
    """Return ` by pid 7` for the process that listens on the port, '' if the system does not let us see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" by pid {connection.pid}" if connection.pid else ""
    return ""


def own_address(host: str) -> str:
    """Return the IPv4 address of this machine with that name. Raises UsageError if it has none."""
    try:
        address = socket.gethostbyname(host)
        _take(0, address)
    except OSError as error:
        raise UsageError(f"{host} is no IPv4 address of this machine ({error.strerror or error}).") from None
    if address == "0.0.0.0":
        raise UsageError(f"{host} stands for every address: name the one by which others reach this machine.")
    return address


def require_free(port: int, host: str = HOST, *, option: str = "--port") -> None:
    """Raise NotRun if a program listens on the port already; `option` is where the user may choose another."""
    try:
        _take(port, host)
    except OSError as error:
        raise NotRun(
            f"Port {port} on {host} is taken{owner_of(port)} ({error.strerror}): "
            f"stop that program or choose another port with {option}."
        ) from None


def _take(port: int, host: str) -> None:
    """Take a port and give it back. Raises OSError if a program listens there, or if the address is not ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
