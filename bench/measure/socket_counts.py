"""How many connections a port has, and how many of them wait to be accepted, as the kernel says.

By sock_diag(7), which filters by port and state. The table of /proc/net/tcp has all sockets of the machine, those that
have been closed a minute ago included: after some ten thousand requests with a connection each, a busy machine takes
a second to write it.
"""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
NLM_F_REQUEST_DUMP, NLMSG_DONE, NLMSG_ERROR = 0x301, 3, 2
ESTABLISHED, LISTEN = 1 << 1, 1 << 10
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2 before its inet_diag_sockid: family, protocol, ext, pad, states
SOCKET_ID_BYTES = 48  # inet_diag_sockid, which begins with the source port in network order
ANSWER_WITHIN_S = 1.0


def accept_queue(port: int) -> int:
    """Count the connections that the listeners on the port have yet to accept; 0 if the system does not say."""
    with suppress(OSError):
        return sum(_queues(port, LISTEN))
    return 0


def established(port: int) -> int:
    """Count established IPv4 connections to the port, accepted or not; 0 if the system does not say.

    Do not look inside a window: the kernel walks through all of its sockets, for milliseconds on the core of the load.
    """
    with suppress(OSError):
        return len(list(_queues(port, ESTABLISHED)))
    with suppress(psutil.Error):
        return sum(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
            for connection in psutil.net_connections("tcp4")
        )
    return 0


def _queues(port: int, states: int) -> Iterator[int]:
    """Yield how much waits to be received by each socket on the port: connections for one that listens, else bytes.

    Raises OSError where there is no sock_diag.
    """
    if sys.platform != "linux":
        raise OSError("sock_diag is Linux's")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(ANSWER_WITHIN_S)
        kernel.send(_request(port, states))
        yield from _answers(kernel, port)


def _request(port: int, states: int) -> bytes:
    wanted = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, states)
    # Any address and interface; a cookie of all ones stands for none.
    which = struct.pack("!H", port).ljust(SOCKET_ID_BYTES - 8, b"\0") + b"\xff" * 8
    length = HEADER.size + len(wanted) + len(which)
    return HEADER.pack(length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + wanted + which


def _answers(kernel: socket.socket, port: int) -> Iterator[int]:
    """Yield inet_diag_msg.idiag_rqueue, 4 bytes after the socket's id, of each socket."""
    while True:
        data, at = kernel.recv(65536), 0
        while at < len(data):
            length, kind, *_ = HEADER.unpack_from(data, at)
            if kind == NLMSG_ERROR:
                raise OSError("sock_diag refused")
            if kind == NLMSG_DONE:
                return
            message = at + HEADER.size
            if struct.unpack_from("!H", data, message + 4)[0] == port:
                yield struct.unpack_from("=I", data, message + 4 + SOCKET_ID_BYTES + 4)[0]
            at += (length + 3) & ~3
