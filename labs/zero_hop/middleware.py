"""The seven middlewares of a new project for an async handler: hooks that do no I/O run on the loop, the others hop.

Django's `MiddlewareMixin` sends every hook to a thread, because a hook may do I/O. Each class says what its hooks do.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


class OnTheLoop:
    """In front of a middleware with hooks: calls them on the loop, but for those that `needs_thread` names."""

    sync_capable = False
    async_capable = True

    def needs_thread(self, hook: str, request: HttpRequest) -> bool:
        """Whether `process_request`, `process_view` or `process_response` may do I/O for this request."""
        return False

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        response = await self.run("process_request", request)
        response = response or await self.get_response(request)  # type: ignore[attr-defined]
        return await self.run("process_response", request, response) or response

    async def run(self, hook: str, request: HttpRequest, *arguments: Any) -> Any:
        """Call a hook on the loop, or in a thread where it needs one; return None if there is no such hook."""
        method = getattr(super(), hook, None)
        if method is None:
            return None
        if self.needs_thread(hook, request):
            return await sync_to_async(method, thread_sensitive=True)(request, *arguments)
        return method(request, *arguments)


class Security(OnTheLoop, SecurityMiddleware):
    """Compares the scheme, sets headers: no I/O."""


class Session(OnTheLoop, SessionMiddleware):
    """Makes a session that loads nothing until it is read. Saving one goes to a thread, whatever its backend."""

    def needs_thread(self, hook: str, request: HttpRequest) -> bool:
        """Return whether the session has to be saved."""
        if hook != "process_response" or not hasattr(request, "session"):
            return False
        return request.session.modified or settings.SESSION_SAVE_EVERY_REQUEST


class Common(OnTheLoop, CommonMiddleware):
    """Looks at the host and the path, sets the length: no I/O."""


class Csrf(OnTheLoop, CsrfViewMiddleware):
    """Reads and sets a cookie. A form is parsed and checked in a thread; so is all where secrets are in sessions."""

    def needs_thread(self, hook: str, request: HttpRequest) -> bool:
        """Return whether a form has to be read, or secrets are in sessions."""
        if settings.CSRF_USE_SESSIONS:
            return True
        return hook == "process_view" and request.method not in SAFE_METHODS

    async def process_view(self, request: HttpRequest, *arguments: Any) -> Any:
        """Run Django's check as an async hook."""
        return await self.run("process_view", request, *arguments)


class Authentication(OnTheLoop, AuthenticationMiddleware):
    """Makes a user that loads nothing until it is looked at; `await request.auser()` then goes to a thread."""


class Message(OnTheLoop, MessageMiddleware):
    """Makes a store that reads nothing. Keeping messages that were added or shown may need the session: in a thread."""

    def needs_thread(self, hook: str, request: HttpRequest) -> bool:
        """Return whether messages have to be stored."""
        messages = getattr(request, "_messages", None)
        return hook == "process_response" and messages is not None and (messages.used or messages.added_new)


class XFrameOptions(OnTheLoop, XFrameOptionsMiddleware):
    """Sets a header: no I/O."""
