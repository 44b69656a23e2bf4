"""One request whose whole answer is bounded in time and size.

A socket's timeout alone bounds nothing: it starts again with each byte, and a server may send one a second for ever.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Timer
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

MOST_BYTES = 100_000
"""Of an answer: more is not read. A right answer is far smaller."""


class Unreadable(ConnectionError):
    """The answer is not HTTP, or too long."""


@dataclass(frozen=True)
class Answer:
    """A whole answer, its body as it came. Names in `headers` may be written in any case."""

    status: int
    headers: HTTPMessage
    body: bytes
    took_s: float

    def json(self) -> Any:
        """Read the body as JSON. Raises ValueError."""
        return json.loads(self.body)


def ask(
    url: str,
    path: str,
    within_s: float,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = MappingProxyType({}),
    most_bytes: int = MOST_BYTES,
) -> Answer:
    """Send a request and return the whole answer. Raises OSError: Unreadable, or TimeoutError if it was late."""
    parts = urlsplit(url)
    began_s = time.monotonic()
    late = TimeoutError(f"its answer was not whole after {within_s:g} s")
    with closing(HTTPConnection(str(parts.hostname), parts.port or 80, timeout=within_s)) as connection:
        connection.connect()
        try:
            with cut_after(connection.sock.fileno(), began_s + within_s - time.monotonic()):
                answer = _answer(connection, method, path, headers, most_bytes, began_s)
        except OSError as error:
            raise late if time.monotonic() - began_s >= within_s else error from None
    if answer.took_s >= within_s:  # what was cut reads like an end
        raise late
    if len(answer.body) > most_bytes:
        raise Unreadable(f"its answer is longer than {most_bytes:,} bytes")
    return answer


def _answer(
    connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], most_bytes: int, began_s: float
) -> Answer:
    try:
        connection.request(method, path, headers=dict(headers))
        with connection.getresponse() as response:  # it keeps the socket open where the server closes the connection
            body = response.read(most_bytes + 1)
    except ConnectionError:  # of which one is an HTTPException too
        raise
    except (HTTPException, ValueError) as error:
        raise Unreadable(f"its answer is no HTTP ({type(error).__name__})") from None
    return Answer(response.status, response.headers, body, time.monotonic() - began_s)


@contextmanager
def cut_after(file: int, within_s: float) -> Iterator[None]:
    """Shut the connection down when the time is over: a thread that waits for it then reads its end."""
    with socket.socket(fileno=os.dup(file)) as connection:
        timer = Timer(within_s, _shut, [connection])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
