"""A client on a raw socket, which sends exactly the bytes that it is given. All that it does has a time limit."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.claims.conformance import waits
from bench.model.servers import HOST

READ_BYTES, SMALL_BUFFER_BYTES = 65536, 65536
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
END_OF_HEAD = b"\r\n\r\n"


class Client:
    """One connection. What has been read stays in `received`; `is_closed`: the server has ended the connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=waits.ANSWERS_S)
        self.received, self.is_closed = b"", False

    def send(self, data: bytes) -> bool:
        """Send all; False if the server has closed the connection before."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def send_until_held_back(self, data: bytes, quiet_s: float) -> int:
        """Send until all is sent, or nothing more is taken for `quiet_s`; return how many bytes were taken."""
        view, sent = memoryview(data), 0
        self.socket.settimeout(quiet_s)
        with suppress(OSError):
            while sent < len(data):
                sent += self.socket.send(view[sent : sent + READ_BYTES])
        return sent

    def read(self, within_s: float) -> bool:
        """Read what comes next into `received`; False if nothing came within that time, or the end did."""
        self.socket.settimeout(max(within_s, 0.001))
        try:
            part = self.socket.recv(READ_BYTES)
        except TimeoutError:
            return False
        except OSError:
            part = b""
        self.received += part
        self.is_closed = not part
        return bool(part)

    def read_until(self, words: bytes, within_s: float | None = None) -> bool:
        """Read until these words have come; False where they do not come in time."""
        deadline_s = _deadline_s(within_s)
        while words not in self.received and self.read(deadline_s - time.monotonic()):
            pass
        return words in self.received

    def read_to_the_end(self, within_s: float | None = None) -> bytes:
        """Read until the server closes the connection or the time is over; return all that was received."""
        parts, deadline_s = [self.received], _deadline_s(within_s)
        self.received = b""
        while self.read(deadline_s - time.monotonic()):
            parts.append(self.received)
            self.received = b""
        self.received = b"".join(parts)
        return self.received

    def read_answer(self, within_s: float | None = None) -> int:
        """Read an answer that has a Content-Length, and forget those before it; return its status, 0 without one."""
        before, deadline_s = len(self.received), _deadline_s(within_s)
        while self.read(deadline_s - time.monotonic()):
            head, end, body = self.received[before:].partition(END_OF_HEAD)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if end and length and len(body) >= int(length[1]):
                break
        self.received = self.received[before:]
        return self.status

    @property
    def status(self) -> int:
        """The status of the first answer received; 0 without one."""
        return int(found[1]) if (found := STATUS.match(self.received)) else 0

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The JSON objects that were received, in their order."""
        return [json.loads(body) for body in re.findall(rb"\{.*?\}", self.received)]

    @property
    def outcome(self) -> str:
        """What became of the request, in words."""
        if self.status:
            return f"was answered with {self.status}"
        return "ended without an answer" if self.is_closed else "was not answered"


def _deadline_s(within_s: float | None = None) -> float:
    return time.monotonic() + (waits.ANSWERS_S if within_s is None else within_s)


@contextmanager
def connected(port: int, *, small: bool = False) -> Iterator[Client]:
    """Connect, and hang up afterwards. `small`: with a receive buffer so small that a large answer does not fit."""
    client = Client(port)
    try:
        if small:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        yield client
    finally:
        client.socket.close()


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """Write a request with these header lines and a Host."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode() + body
