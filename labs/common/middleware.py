"""Middleware that does nothing but sign the answer, one per capability, and the names for LAB_MIDDLEWARE."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware, sync_only_middleware

Handler = Callable[[HttpRequest], HttpResponse]
AsyncHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]

STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
STARTPROJECT_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
NAMES = {
    "startproject": STARTPROJECT,
    **{path.rpartition(".")[2].removesuffix("Middleware").lower(): [path] for path in STARTPROJECT},
    "sync_only": ["labs.common.middleware.sync_only"],
    "async_only": ["labs.common.middleware.async_only"],
    "both": ["labs.common.middleware.both"],
}


def middleware_from_names(names: str) -> list[str]:
    """MIDDLEWARE for comma-separated names, outermost first; none for an empty string."""
    return [path for name in names.split(",") if name.strip() for path in _paths(name.strip())]


def apps_needed_by(middleware: list[str]) -> list[str]:
    """Return the INSTALLED_APPS that these middlewares need; an empty list for the labs' own."""
    return STARTPROJECT_APPS if set(STARTPROJECT) & set(middleware) else []


def _paths(name: str) -> list[str]:
    if name not in NAMES:
        raise ImproperlyConfigured(f"LAB_MIDDLEWARE does not know '{name}'; it knows {', '.join(NAMES)}.")
    return NAMES[name]


def _signed(response: HttpResponse, name: str) -> HttpResponse:
    """The response with one more name in X-Lab-Middleware; the innermost signs first."""
    earlier = response.headers.get("X-Lab-Middleware")
    response.headers["X-Lab-Middleware"] = f"{earlier}, {name}" if earlier else name
    return response


@sync_only_middleware
def sync_only(get_response: Handler) -> Handler:
    """Sign the answer; sync code only, so Django sends it to a thread behind ASGI."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return _signed(get_response(request), "sync_only")

    return middleware


@async_only_middleware
def async_only(get_response: AsyncHandler) -> AsyncHandler:
    """Sign the answer; async code only, so Django runs it on an event loop also behind WSGI."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        return _signed(await get_response(request), "async_only")

    return middleware


@sync_and_async_middleware
def both(get_response: Any) -> Any:
    """Sign the answer, as sync or as async code, whichever the layer inside is."""
    # Django hands over whichever kind the layer inside is; answering in the same kind is what saves the hop.
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> HttpResponse:
            return _signed(await get_response(request), "both")

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponse:
        return _signed(get_response(request), "both")

    return sync_middleware
