"""One question to a server with a bound on everything: how long the whole answer may take, and how large it may be.

Of timeouts alone a server makes nothing: they bound the wait for the next byte, and it sends one a second.
"""

import json
import socket
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

from bench.load.protocol import MOST_BYTES


class Unreadable(ConnectionError):
    """What came is no HTTP, or too much of it."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, its body as it came. `headers` know their names in any case."""

    status: int
    headers: HTTPMessage
    body: bytes
    took_s: float

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError."""
        return json.loads(self.body)


def ask(url: str, path: str, within_s: float) -> Answer:
    """GET. Raises OSError: Unreadable for what is no answer, TimeoutError where it was not whole in time."""
    parts = urlsplit(url)
    began_s = time.monotonic()
    with closing(HTTPConnection(str(parts.hostname), parts.port or 80, timeout=within_s)) as connection:
        connection.connect()
        cut = Timer(began_s + within_s - time.monotonic(), _shut, [connection.sock])
        cut.start()
        try:
            answer = _asked(connection, path, began_s)
        except (HTTPException, ValueError) as error:
            _require_in_time(began_s, within_s)
            raise Unreadable(f"its answer is no HTTP ({type(error).__name__})") from None
        finally:
            cut.cancel()
        _require_in_time(began_s, within_s)
        return answer


def _asked(connection: HTTPConnection, path: str, began_s: float) -> Answer:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Unreadable(f"its answer is longer than {MOST_BYTES:,} bytes")
    return Answer(response.status, response.headers, body, time.monotonic() - began_s)


def _shut(connection: socket.socket) -> None:
    """Wakes whoever reads from it, who then reads its end."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _require_in_time(began_s: float, within_s: float) -> None:
    if time.monotonic() - began_s >= within_s:
        raise TimeoutError(f"its answer was not whole after {within_s:g} s")
