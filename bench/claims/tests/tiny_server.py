"""A server of this test's own, application included, that keeps all that `lab conformance` asks, or breaks all of it.

python -m bench.claims.tests.tiny_server --port 8000 keeps labs.conformance.asgi:application
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from threading import Thread

from bench.model.servers import KEEP_ALIVE_S, ServerKind


def _arguments(name: str, *_: object) -> list[str]:
    return ["--keep-alive", str(KEEP_ALIVE_S), name]


ENTRIES = {
    name: ServerKind(
        name=name,
        note="a server of this test's own",
        program="bench.claims.tests.tiny_server",
        packages=("psutil",),
        interfaces=("asgi",),
        arguments=partial(_arguments, name),
        bind=("--port", "{port}"),
        examples=(),
    )
    for name in ("keeps", "breaks")
}
MIB, PARTS = 2**20, 32
NOTES = Path(os.environ.get("LAB_NOTES", "."))
HOARD: list[bytes] = []
"""What a server that breaks all keeps in memory."""


def note(key: str, event: str) -> None:
    with (NOTES / key).open("a") as file:
        file.write(f"{event}\n")


def hold(key: str) -> None:
    while not (NOTES / f"{key}.go").exists():
        time.sleep(0.005)


class Connection:
    """One connection, in a thread of its own."""

    def __init__(self, connection: socket.socket, *, breaks: bool, keep_alive_s: float) -> None:
        self.socket, self.breaks, self.buffer = connection, breaks, b""
        connection.settimeout(None if breaks else keep_alive_s)

    def run(self) -> None:
        try:
            while self.answer_one():
                pass
        except OSError:
            pass
        finally:
            self.socket.close()

    def more(self) -> bytes:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError
        self.buffer += part
        return part

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_head(self) -> bytes:
        end = b"\n\n" if self.breaks else b"\r\n\r\n"
        while end not in (self.buffer.replace(b"\r\n", b"\n") if self.breaks else self.buffer):
            if not self.breaks and (len(self.buffer) > 65536 or b"\n\n" in self.buffer):
                return b""
            self.more()
        if self.breaks:
            self.buffer = self.buffer.replace(b"\r\n", b"\n")
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def answer_one(self) -> bool:
        """Answer a request; False if the connection is to be closed."""
        lines = self.read_head().decode().splitlines()
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        both = {"content-length", "transfer-encoding"} <= fields.keys()
        if not lines or (not self.breaks and (both or len(fields) > 100)):
            return self.respond(b"", status=b"400 Bad Request")
        method, target, _ = lines[0].split()
        path, _, query = target.partition("?")
        self.dispatch(method, path, query.removeprefix("key="), fields)
        if self.breaks:  # stays open whatever was asked for, but answers nothing more
            if path == "/echo" and not self.buffer:
                self.more()
            return False
        return "close" not in fields.get("connection", "")

    def dispatch(self, method: str, path: str, key: str, fields: dict[str, str]) -> None:
        match path:
            case "/ready":
                self.respond(json.dumps({"instance": os.environ["LAB_INSTANCE"]}).encode())
            case "/echo" | "/django/read":
                self.echo(method, key, fields)
            case "/socket":
                self.open_socket()
            case "/large":
                self.large(key)
            case "/stream":
                self.stream(key)
            case "/upload" | "/unread":
                self.upload(path, key, int(fields["content-length"]))
            case _:
                self.held(path, key)

    def respond(self, body: bytes, status: bytes = b"200 OK", *, head_only: bool = False) -> bool:
        start = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self.socket.sendall(start if head_only else start + body)
        return False

    def echo(self, method: str, key: str, fields: dict[str, str]) -> None:
        if "expect" in fields and not self.breaks:
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "content-length" in fields:
            count = len(self.take(int(fields["content-length"])))
        else:
            count = self.read_chunks() if "transfer-encoding" in fields and not self.breaks else 0
        client = "127.0.0.1" if self.breaks else fields.get("x-forwarded-for", "127.0.0.1")
        state = "" if self.breaks else "startup"
        seen = {"key": key, "read": count, "client": client, "scheme": "http", "state": state, "pid": os.getpid()}
        self.respond(json.dumps(seen).encode(), head_only=method == "HEAD" and not self.breaks)

    def read_chunks(self) -> int:
        count = 0
        while True:
            while b"\r\n" not in self.buffer:
                self.more()
            size, _, self.buffer = self.buffer.partition(b"\r\n")
            count += len(self.take(int(size, 16) + 2)) - 2
            if not int(size, 16):
                return count

    def open_socket(self) -> None:
        if self.breaks:
            self.respond(b"", status=b"404 Not Found")
            return
        self.socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        frame = self.take(11)
        text = bytes(sign ^ frame[2 + index % 4] for index, sign in enumerate(frame[6:]))
        self.socket.sendall(b"\x81\x05" + text)

    def stream(self, key: str) -> None:
        start = b"HTTP/1.1 200 OK\r\n\r\nfirst"
        if not self.breaks:
            self.socket.sendall(start)
        hold(key)
        self.socket.sendall((start if self.breaks else b"") + b"last")

    def large(self, key: str) -> None:
        self.socket.settimeout(None)
        self.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(PARTS):
            note(key, "part")
            if not self.breaks:
                self.socket.sendall(b"x" * MIB)
        if self.breaks:
            self.socket.sendall(b"x" * MIB * PARTS)

    def upload(self, path: str, key: str, size: int) -> None:
        self.socket.settimeout(None)
        left = size - len(self.buffer)
        while self.breaks and left > 0:
            HOARD.append(self.socket.recv(65536))
            left -= len(HOARD[-1])
        if path == "/unread":
            hold(key)
        elif not self.breaks and not self.buffer:
            left -= len(self.more())
        note(key, "part")
        while not self.breaks and left > 0:
            left -= len(self.socket.recv(65536))
        self.buffer = b""
        self.respond(str(size).encode())

    def held(self, path: str, key: str) -> None:
        note(key, f"entered {os.getpid()}")
        if path == "/held" or self.breaks:
            hold(key)
            note(key, "ended")
            self.respond(b"held")
            return
        self.socket.settimeout(None)
        while self.socket.recv(65536):
            pass
        note(key, "cancelled")
        note(key, "request_finished")
        raise ConnectionError


def serve(port: int, name: str, keep_alive_s: float) -> None:
    """Answer connections until SIGTERM; a child process does so, and the server that keeps all starts it again."""
    breaks, threads = name == "breaks", list[Thread]()
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(0.02)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0) if breaks else ended.append(number))
    if not breaks:
        note("lifespan", "startup")
    while not ended:
        try:
            accepted, _ = listener.accept()
        except TimeoutError:
            continue
        accepted.settimeout(None)
        connection = Connection(accepted, breaks=breaks, keep_alive_s=keep_alive_s)
        threads.append(Thread(target=connection.run, daemon=True))
        threads[-1].start()
    listener.close()
    for thread in threads:
        thread.join(timeout=5)
    note("lifespan", "shutdown")


def supervise(port: int, name: str, keep_alive_s: float) -> None:
    """Serve in a child process, in another one if that is killed."""
    child, ended = 0, list[int]()

    def end(number: int, frame: object) -> None:
        ended.append(number)
        os.kill(child, number)

    signal.signal(signal.SIGTERM, end)
    while not ended:
        child = os.fork()
        if not child:
            serve(port, name, keep_alive_s)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--keep-alive", type=float)
    parser.add_argument("name")
    parser.add_argument("application")
    told = parser.parse_args()
    sys.exit((serve if told.name == "breaks" else supervise)(told.port, told.name, told.keep_alive))
