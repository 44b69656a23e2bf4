"""The application behind WSGI: it reads, holds and streams as the path says, and notes what it sees."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

from labs.conformance import project
from labs.conformance.answers import FIRST_READ_BYTES, LARGE_PARTS, MIB, READ_BYTES, described, ready
from labs.conformance.notes import hold, key_of, note

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.conformance.settings"
django = get_wsgi_application()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request; below `/django` Django does."""
    key, path = key_of(environ.get("QUERY_STRING", "")), environ["PATH_INFO"]
    if path.startswith("/django/"):
        project.KEY.set(key)
        return django(environ, start_response)
    if path in STREAMS:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return STREAMS[path](key)
    body = WHOLE[path](environ, key)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _ready(*_: object) -> bytes:
    return ready()


def _echo(environ: WSGIEnvironment, key: str) -> bytes:
    count = sum(map(len, _parts(environ)))
    scheme = environ["wsgi.url_scheme"]
    return described(key=key, read=count, client=environ.get("REMOTE_ADDR", ""), scheme=scheme, state="")


def _held(environ: WSGIEnvironment, key: str) -> bytes:
    note(key, f"entered {os.getpid()}")
    hold(key)
    return b"held"


def _upload(environ: WSGIEnvironment, key: str) -> bytes:
    parts = _parts(environ)
    count = len(next(parts, b""))
    note(key, "part")
    return str(count + sum(map(len, parts))).encode()


def _unread(environ: WSGIEnvironment, key: str) -> bytes:
    note(key, "entered")
    hold(key)
    return str(sum(map(len, _parts(environ)))).encode()


def _stream(key: str) -> Iterator[bytes]:
    yield b"first"
    hold(key)
    yield b"last"


def _large(key: str) -> Iterator[bytes]:
    for _ in range(LARGE_PARTS):
        note(key, "part")
        yield b"x" * MIB


def _parts(environ: WSGIEnvironment) -> Iterator[bytes]:
    """Yield the body as it comes; nothing without a body, for which some servers would wait."""
    is_chunked, length = "HTTP_TRANSFER_ENCODING" in environ, int(environ.get("CONTENT_LENGTH") or 0)
    left = sys.maxsize if is_chunked else length
    most = FIRST_READ_BYTES
    while left and (part := environ["wsgi.input"].read(min(most, left))):
        left, most = left - len(part), READ_BYTES
        yield part


WHOLE: dict[str, Callable[[WSGIEnvironment, str], bytes]] = {
    "/ready": _ready,
    "/echo": _echo,
    "/held": _held,
    "/upload": _upload,
    "/unread": _unread,
}
"""Functions of the environment and the key that return the body."""
STREAMS = {"/stream": _stream, "/large": _large}
"""Functions of the key that yield it in parts."""
