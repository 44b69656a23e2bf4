"""Why an answer is not the one that was meant (status 300 and above), where that comes from, and what to do.

Django turns exceptions into answers and logs them; here they are noted on their way, unchanged.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .app_loader import error_text
from .callable_names import short_path
from .request_spec import RequestSpec
from .sink import OURS

NOT_PROJECT = ("site-packages", "dist-packages")
LIBRARY = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
LONGEST_BODY = 100
TOKEN = "a" * 32
"""A CSRF token of the right form: the cookie and the header only have to be the same."""


@dataclass
class Noted:
    """What Django turned into an answer: the exceptions, and why CsrfViewMiddleware refused."""

    raised: list[BaseException] = field(default_factory=list)
    csrf: list[str] = field(default_factory=list)


@contextmanager
def noting_failures() -> Iterator[Noted]:
    """While this lasts, note what Django turns into answers; its own functions do what they did."""
    noted = Noted()
    exceptions: Any = sys.modules.get("django.core.handlers.exception")
    csrf: Any = getattr(sys.modules.get("django.middleware.csrf"), "CsrfViewMiddleware", None)
    if exceptions is None:
        yield noted
        return
    responds: Any = exceptions.response_for_exception
    rejects: Any = getattr(csrf, "_reject", None)

    def response_for_exception(request: Any, error: BaseException) -> Any:
        noted.raised.append(error)
        return responds(request, error)

    def _reject(self: Any, request: Any, reason: str) -> Any:
        noted.csrf.append(reason)
        return rejects(self, request, reason)

    response_for_exception.__wrapped__ = responds  # type: ignore[attr-defined]
    exceptions.response_for_exception = response_for_exception
    if rejects:
        csrf._reject = _reject
    try:
        yield noted
    finally:
        exceptions.response_for_exception = responds
        if rejects:
            csrf._reject = rejects


def places_of(error: BaseException) -> list[str]:
    """The project's own lines on the way to the error, the outermost first: `file:line function`.

    Where none is the project's, the place that raised it.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame, line) for frame, line in frames if _is_project(frame.f_code.co_filename)]
    return [
        f"{short_path(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}" for frame, line in own or frames[-1:]
    ]


def _is_project(file: str) -> bool:
    is_installed = any(f"/{folder}/" in file for folder in NOT_PROJECT)
    return not is_installed and not file.startswith((OURS, "<", *LIBRARY))


def problem_of(ask: RequestSpec, status: int, headers: Mapping[str, str], body: bytes, noted: Noted) -> str:
    """One or two sentences on a status of 300 or more: its cause, and how to ask otherwise."""
    said = f"{status} {_phrase(status)}".rstrip()
    error = noted.raised[-1] if noted.raised else None
    if status < 400:
        return f"{said}: {_redirect(ask, headers.get('location', ''))}"
    if noted.csrf and status == HTTPStatus.FORBIDDEN:
        return f"{said}: {_csrf(noted.csrf[-1])}"
    if type(error).__name__ == "DisallowedHost":
        return f"{said}: {_host(ask)}"
    if status == HTTPStatus.METHOD_NOT_ALLOWED and headers.get("allow"):
        return f"{said}: this URL takes {headers['allow']}. Name one with --method."
    if type(error).__name__ == "Resolver404":
        return f"{said}: no URL of the project matches {urlsplit(ask.path).path}."
    if error is not None:
        return f"{said}: {error_text(error)}, {' → '.join(places_of(error)) or 'of an unknown place'}."
    return f"{said}: no exception reached Django. The view, or a framework of its, made this answer{_begin(body)}."


def _begin(body: bytes) -> str:
    """The beginning of a body that people can read."""
    text = " ".join(body.decode("utf-8", "replace").split())
    return f": {text[:LONGEST_BODY]}" if text and not text.startswith("<") else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _setting(name: str) -> Any:
    from django.conf import settings

    return getattr(settings, name, None)


def _host(ask: RequestSpec) -> str:
    allowed = [str(host).lstrip(".") for host in _setting("ALLOWED_HOSTS") or ()]
    host = ask.all_headers["host"]
    cure = f"Ask with --header 'Host: {allowed[0]}'." if allowed else "ALLOWED_HOSTS is empty: name a host there."
    return f"DisallowedHost, because ALLOWED_HOSTS does not allow {host!r}. {cure}"


def _csrf(reason: str) -> str:
    if _setting("CSRF_USE_SESSIONS"):
        return f"{reason.rstrip('.')}. The token lies in a session: send the Cookie and the token of a browser."
    name = str(_setting("CSRF_HEADER_NAME")).removeprefix("HTTP_").replace("_", "-")
    return (
        f"{reason.rstrip('.')}. Ask with --header 'Cookie: {_setting('CSRF_COOKIE_NAME')}={TOKEN}' "
        f"--header '{name}: {TOKEN}'."
    )


def _redirect(ask: RequestSpec, location: str) -> str:
    there, path = urlsplit(location), urlsplit(ask.path).path
    if not location:
        return "there is nothing new to send."
    if there.scheme == "https" and ask.scheme == "http" and there.path == path:
        return "the project wants https. Ask with --header 'X-Forwarded-Proto: https'."
    login = _login_path()
    if (login and there.path == login) or path in parse_qs(there.query).get("next", ()):
        name = _setting("SESSION_COOKIE_NAME")
        return f"it leads to the login at {location}. Ask with the session of a browser, --header 'Cookie: {name}=…'."
    return f"it leads to {location}. Ask for that."


def _login_path() -> str:
    if "django.conf" not in sys.modules:
        return ""
    try:
        return re.sub(r"\?.*", "", str(sys.modules["django.shortcuts"].resolve_url(_setting("LOGIN_URL"))))
    except Exception:  # a name that no URL has, or no settings
        return str(_setting("LOGIN_URL") or "")
