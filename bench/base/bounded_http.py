"""One question to a server, and a bound on how long the whole answer may take and how large it may be.

A timeout of a socket alone bounds nothing: it is for the next byte, and a server may send one a second for ever.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

MOST_BYTES = 100_000
"""Of an answer, and far more than any right one has: what comes beyond it is not read."""


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
    late = TimeoutError(f"its answer was not whole after {within_s:g} s")
    with closing(HTTPConnection(str(parts.hostname), parts.port or 80, timeout=within_s)) as connection:
        connection.connect()
        try:
            with cut_after(connection.sock.fileno(), began_s + within_s - time.monotonic()):
                answer = _asked(connection, path, began_s)
        except OSError as error:
            raise late if time.monotonic() - began_s >= within_s else error from None
    if answer.took_s >= within_s:  # what was cut reads like an end
        raise late
    if len(answer.body) > MOST_BYTES:
        raise Unreadable(f"its answer is longer than {MOST_BYTES:,} bytes")
    return answer


def _asked(connection: HTTPConnection, path: str, began_s: float) -> Answer:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MOST_BYTES + 1)
    except ConnectionError:  # of which one is an HTTPException too
        raise
    except (HTTPException, ValueError) as error:
        raise Unreadable(f"its answer is no HTTP ({type(error).__name__})") from None
    return Answer(response.status, response.headers, body, time.monotonic() - began_s)


@contextmanager
def cut_after(file: int, within_s: float) -> Iterator[None]:
    """Shut the connection down when the time is over: whoever waits for it then reads its end, in any thread."""
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
