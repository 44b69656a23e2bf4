"""One request to a WSGI application, sent as a server sends it."""

import io
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults

from .request_spec import RequestSpec


def send_in_turn(applications: Sequence[Any], spec: RequestSpec, lifespan: Any = None) -> None:
    """Send the same request to one after the other, in this thread; what they raise is theirs. WSGI has no lifespan."""
    for application in applications:
        with suppress(BaseException):
            _take(application(environ_of(spec), _start_response), spec.leave_after_s)


def _start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
    return lambda part: None


def _take(parts: Any, for_s: float | None) -> None:
    """Take parts until there are no more or the client has left, then close them, as PEP 3333 says."""
    until_s = float("inf") if for_s is None else time.monotonic() + for_s
    try:
        for _ in parts:
            if time.monotonic() >= until_s:
                break
    finally:
        if hasattr(parts, "close"):
            parts.close()


def environ_of(spec: RequestSpec) -> dict[str, Any]:
    """The request's environment: PATH_INFO holds the path's bytes read as latin-1 (PEP 3333)."""
    path, query = spec.target
    body = spec.body.encode()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": spec.method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": spec.scheme,
        **{_variable(name.decode()): value.decode("latin-1") for name, value in spec.raw_headers},
    }
    setup_testing_defaults(environ)
    return environ


def _variable(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
