"""WSGI applications that are right until they have been probed, and then answer every second request as named.

Served by gunicorn under `test_faults.py`; `/ready` and the first request are answered as a lab would.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[str, bytes]
Environ = dict[str, Any]
START_RESPONSE = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, START_RESPONSE], Iterable[bytes]]
RIGHT: Answer = ("200 OK", b'{"message": "hello"}')
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def after_the_probe(fault: Callable[[Environ], Answer]) -> Application:
    """The application with this fault in every second answer after the first."""
    return numbered(lambda number, environ: fault(environ) if number % 2 else RIGHT)


def numbered(answer: Callable[[int, Environ], Answer]) -> Application:
    """The application that gives its answers by the number of the request, the probe's being 0."""
    numbers = count()

    def application(environ: Environ, start_response: START_RESPONSE) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ready":
            status, body = "200 OK", json.dumps({"instance": os.environ["LAB_INSTANCE"]}).encode()
        else:
            status, body = answer(next(numbers), environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("Location", "/hello")] if status.startswith("302") else headers)
        return [body]

    return application


def _hang_up(environ: Environ) -> Answer:
    connection: socket.socket = environ["gunicorn.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    connection.shutdown(socket.SHUT_RDWR)
    return RIGHT


sheds = after_the_probe(lambda environ: ("503 Service Unavailable", b"busy"))
redirects = after_the_probe(lambda environ: ("302 Found", b""))
error_page = after_the_probe(lambda environ: ("200 OK", b"<h1>Something went wrong</h1>"))
hangs_up = after_the_probe(_hang_up)


def waiting(share: Callable[[int], float]) -> Application:
    """`wait`, which takes this share of its time, by the number of the request; the probe's is right."""
    return numbered(lambda number, environ: _waited(environ, share(number) if number else 1.0))


def _waited(environ: Environ, share: float) -> Answer:
    ms = int(parse_qs(environ["QUERY_STRING"])["ms"][0])
    time.sleep(share * ms / 1000)
    return "200 OK", json.dumps({"waited_ms": ms}).encode()


def _twice(number: int, environ: Environ) -> Answer:
    """An answer, and soon another that nobody asked for: the next request takes it for its own."""
    status, body = _waited(environ, 1.0)
    if number:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        environ["gunicorn.socket"].sendall(head.encode() + body)
        time.sleep(0.005)
    return status, body


never_waits = waiting(lambda number: 0.0)
waits_half = waiting(lambda number: 0.5)
hastes_sometimes = waiting(lambda number: 0.0 if number % 20 == 0 else 1.0)
answers_twice = numbered(_twice)
answers_at_once = numbered(lambda number, environ: _waited(environ, 0.0))
