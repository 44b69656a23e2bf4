"""Connections off this machine: refused, and counted by the project's line that asked for them.

Seen is what Python's sockets do, by audit events, which asyncio's loop uses too. A library in C that opens its own is
not seen: the copies of databases are on this machine, so that their drivers need none.
Source: https://docs.python.org/3/library/audit_events.html
"""

import errno
import ipaddress
import socket
import sys
from collections import Counter
from typing import Any

from .places import project_line

REFUSED: Counter[tuple[str, str]] = Counter()
"""How often, by the project's line and the address."""
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "")
_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def refuse_connections() -> None:
    """From now on and until this process ends: an audit hook cannot be taken away."""
    sys.addaudithook(_hook)
    _watch_loop()


def _hook(event: str, words: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    host = _host_of(event, words)
    if host is not None and not is_local(host):
        refuse(host)


def _host_of(event: str, words: tuple[Any, ...]) -> str | None:
    """The host that is asked for; None for sockets of other kinds, and where none is named."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = words[0]
        return host.decode("ascii", "replace") if isinstance(host, bytes) else host
    address = words[1] if len(words) > 1 else None
    is_internet = getattr(words[0], "family", None) in (socket.AF_INET, socket.AF_INET6)
    return str(address[0]) if is_internet and isinstance(address, tuple) and address else None


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine's, without asking anybody."""
    if host.lower() in LOCAL_NAMES or host.lower().endswith(".localhost") or host == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def refuse(host: str) -> None:
    """Count it, and raise what a closed port raises."""
    REFUSED[project_line(sys._getframe(1)), host] += 1
    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused by lab try (--allow-network allows it)", host)


def _watch_loop() -> None:
    """asyncio asks for names in another thread, where the project's line is no longer on the stack: ask before it."""
    from asyncio.base_events import BaseEventLoop

    looks_up = BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: Any, host: Any, *words: Any, **more: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str) and not is_local(name):
            refuse(name)
        return await looks_up(self, host, *words, **more)

    setattr(BaseEventLoop, "getaddrinfo", getaddrinfo)  # noqa: B010 (a method is not assigned to)
