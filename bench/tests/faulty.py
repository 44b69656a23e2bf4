"""WSGI applications that are right until they have been probed, and then answer every second request as named.

Served by gunicorn under `test_faults.py`; `/ready` and the first request are answered as a lab would.
"""

import json
import os
import socket
import struct
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

Answer = tuple[str, bytes]
Environ = dict[str, Any]
START_RESPONSE = Callable[[str, list[tuple[str, str]]], Any]
RIGHT: Answer = ("200 OK", b'{"message": "hello"}')
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def after_the_probe(fault: Callable[[Environ], Answer]) -> Callable[[Environ, START_RESPONSE], Iterable[bytes]]:
    """The application with this fault in every second answer after the first."""
    numbers = count()

    def application(environ: Environ, start_response: START_RESPONSE) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ready":
            status, body = "200 OK", json.dumps({"instance": os.environ["LAB_INSTANCE"]}).encode()
        else:
            status, body = fault(environ) if next(numbers) % 2 else RIGHT
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
