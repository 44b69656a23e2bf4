"""Why an answer is not the one that was meant (status 300 and above), where that comes from, and what to do.

Django turns exceptions into answers and logs them; here they are noted on their way, unchanged.
"""

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .app_loader import error_text
from .callable_names import short_path
from .patching import patched
from .request_spec import RequestSpec
from .whose_file import is_project

LONGEST_BODY = 100
TOKEN = "a" * 32
"""A CSRF token of the right form: the cookie and the header only have to be the same."""


@dataclass
class Failure:
    """What Django last turned into an answer: an exception, or the reason for which CsrfViewMiddleware refused."""

    error: BaseException | None = None
    csrf: str = ""


@contextmanager
def noting_failures() -> Iterator[Failure]:
    """Note what Django turns into answers, while this lasts; its own functions do what they did."""
    failure = Failure()
    exceptions: Any = sys.modules.get("django.core.handlers.exception")
    csrf: Any = getattr(sys.modules.get("django.middleware.csrf"), "CsrfViewMiddleware", None)
    responds: Any = getattr(exceptions, "response_for_exception", None)
    rejects: Any = getattr(csrf, "_reject", None)

    def response_for_exception(request: Any, error: BaseException) -> Any:
        failure.error = error
        return responds(request, error)

    def _reject(self: Any, request: Any, reason: str) -> Any:
        failure.csrf = reason
        return rejects(self, request, reason)

    response_for_exception.__wrapped__ = responds  # type: ignore[attr-defined]
    with patched(exceptions, response_for_exception=response_for_exception), patched(csrf, _reject=_reject):
        yield failure


def places_of(error: BaseException) -> list[str]:
    """The project's own lines on the way to the error, the outermost first: `file:line function`.

    Where none is the project's, the place that raised it.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame, line) for frame, line in frames if is_project(frame.f_code.co_filename)]
    return [
        f"{short_path(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}" for frame, line in own or frames[-1:]
    ]


def problem_of(spec: RequestSpec, status: int, headers: Mapping[str, str], body: bytes, failure: Failure) -> str:
    """One or two sentences on a status of 300 or more: its cause, and which request to send instead."""
    return f"{status} {responses.get(status, '')}".rstrip() + f": {_cause_of(spec, status, headers, body, failure)}"


def _cause_of(spec: RequestSpec, status: int, headers: Mapping[str, str], body: bytes, failure: Failure) -> str:
    error = failure.error
    if status < 400:
        return _redirect(spec, headers.get("location", ""))
    if failure.csrf and status == HTTPStatus.FORBIDDEN:
        return _csrf(failure.csrf)
    if type(error).__name__ == "DisallowedHost":
        return _host(spec)
    if status == HTTPStatus.METHOD_NOT_ALLOWED and headers.get("allow"):
        return f"this URL takes {headers['allow']}. Name one with --method."
    if type(error).__name__ == "Resolver404":
        return f"no URL of the project matches {urlsplit(spec.path).path}."
    if error is not None:
        return f"{error_text(error)}, {' → '.join(places_of(error)) or 'of an unknown place'}."
    text = " ".join(body.decode("utf-8", "replace").split())
    begins = f": {text[:LONGEST_BODY]}" if text and not text.startswith("<") else ""
    return f"no exception reached Django. The view, or a framework of its, made this answer{begins}."


def _setting(name: str) -> Any:
    return getattr(getattr(sys.modules.get("django.conf"), "settings", None), name, None)


def _host(spec: RequestSpec) -> str:
    allowed = [str(host).lstrip(".") for host in _setting("ALLOWED_HOSTS") or ()]
    host = spec.all_headers["host"]
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


def _redirect(spec: RequestSpec, location: str) -> str:
    there, path = urlsplit(location), urlsplit(spec.path).path
    if not location:
        return "there is nothing new to send."
    if there.scheme == "https" and spec.scheme == "http" and there.path == path:
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
        return str(sys.modules["django.shortcuts"].resolve_url(_setting("LOGIN_URL"))).partition("?")[0]
    except Exception:  # a name that no URL has, or no settings
        return str(_setting("LOGIN_URL") or "")
