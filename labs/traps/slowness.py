"""What the calls in calls.py wait for: a web server, a mail server, a pipe and a lock that take WAIT_S each."""

import itertools
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.mail.backends.smtp import EmailBackend
from django.http import HttpRequest, HttpResponse

WAIT_S = 0.08
PASSWORD = "a password"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
MAIL_ANSWERS = (b"220 x", b"250 x", b"250 x", b"250 x", b"354 x", b"250 x", b"221 x")


@dataclass(frozen=True)
class Slowness:
    """Everything slow that a call may ask for; `pipe()` and `held_lock()` make a new one each."""

    url: str
    client: httpx.AsyncClient
    mail: EmailBackend
    folder: Path
    request: Any
    anonymous: Any
    hashed: str
    _names: Any

    @property
    def ms(self) -> int:
        """Return WAIT_S in milliseconds."""
        return int(WAIT_S * 1000)

    def pipe(self) -> Path:
        """A file whose content comes after WAIT_S."""
        path = self.folder / f"pipe-{next(self._names)}"
        os.mkfifo(path)
        threading.Thread(target=_write_late, args=[path]).start()
        return path

    def held_lock(self) -> threading.Lock:
        """A lock that somebody else gives back after WAIT_S."""
        lock = threading.Lock()
        lock.acquire()
        threading.Timer(WAIT_S, lock.release).start()
        return lock


def _write_late(path: Path) -> None:
    with path.open("wb") as pipe:
        time.sleep(WAIT_S)
        pipe.write(b"late")


class SlowWeb(socketserver.StreamRequestHandler):
    """Reads a request's headers, then answers after WAIT_S."""

    def handle(self) -> None:
        """Serve one connection."""
        while self.rfile.readline().strip():
            pass
        time.sleep(WAIT_S)
        self.wfile.write(OK)


class SlowMail(socketserver.StreamRequestHandler):
    """Greets late, then takes every message."""

    def handle(self) -> None:
        """Serve one connection."""
        time.sleep(WAIT_S)
        for answer in MAIL_ANSWERS:
            self.wfile.write(answer + b"\r\n")
            line = self.rfile.readline()
            while answer.startswith(b"354") and line.strip() != b".":
                line = self.rfile.readline()


@contextmanager
def slowness(folder: Path) -> Iterator[Slowness]:
    """Start both servers and yield a Slowness; `folder` is where pipes are made."""
    with serving(SlowWeb) as web_port, serving(SlowMail) as mail_port:
        yield Slowness(
            url=f"http://127.0.0.1:{web_port}/",
            client=httpx.AsyncClient(trust_env=False),
            mail=EmailBackend(host="127.0.0.1", port=mail_port),
            folder=folder,
            request=request_of(signed_in=True),
            anonymous=request_of(signed_in=False),
            hashed=make_password(PASSWORD),
            _names=itertools.count(),
        )


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve on a free port of loopback until the `with` block ends, and yield the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def request_of(*, signed_in: bool) -> HttpRequest:
    """A request as it comes to a view, with a session where somebody is signed in."""
    request: Any = HttpRequest()
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    if signed_in:
        from django.contrib.auth import login

        login(request, User.objects.get_or_create(username="ada")[0])
        request.session.save()
        key, request = request.session.session_key, HttpRequest()
        request.COOKIES[settings.SESSION_COOKIE_NAME] = key
        SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    AuthenticationMiddleware(lambda _: HttpResponse()).process_request(request)
    return request
