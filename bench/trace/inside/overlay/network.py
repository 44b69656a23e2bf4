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
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

from .places import project_line

REFUSED: Counter[tuple[str, str]] = Counter()
"""How often, by the project's line and the address."""
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "")
METHODS = {"getaddrinfo": 0, "create_connection": 1}
"""Methods of an event loop, and which word is the host."""
_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def refuse_connections() -> None:
    """From now on and until this process ends: an audit hook cannot be taken away."""
    sys.addaudithook(_hook)
    _watch_loops()


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


def _watch_loops() -> None:
    """Event loops ask for names in another thread, or in C: there the project's line is not on the stack. Ask before.

    uvloop's are imported here if they are there, because a server may use them.
    """
    from asyncio.base_events import BaseEventLoop

    loops: list[Any] = [BaseEventLoop]
    with suppress(ImportError):
        loops.append(import_module("uvloop").Loop)
    for loop in loops:
        for method, place in METHODS.items():
            setattr(loop, method, _asking(getattr(loop, method), place))


def _asking(method: Any, place: int) -> Any:
    """The same coroutine method of a loop, which looks at its host first; `place`: which of its words that is."""

    @wraps(method)
    async def asking(self: Any, *words: Any, **more: Any) -> Any:
        host = more.get("host", words[place] if len(words) > place else None)
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str) and not is_local(name):
            refuse(name)
        return await method(self, *words, **more)

    return asking
