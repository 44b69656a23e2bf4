"""`ContextVar.reset(token)` in another hook than `set`.

People write: a middleware whose first hook sets a context variable, for logs or translations, and keeps the token,
and whose last hook resets it by the token.
What happens: behind WSGI both hooks run in one context. Behind ASGI Django sends each to the thread on its own, in a
copy of the context: the variable's value is carried back, but a token is good only in the context that made it, and
`reset` raises ValueError.
Instead: remember the value that was there and `set` it again, or set and reset inside one function.
"""

from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from labs.common.http import answer

VISITOR = ContextVar("VISITOR", default="nobody")


def trap(request: HttpRequest) -> HttpResponse:
    """Answer the visitor's name; VisitorMiddleware sets it before and resets it after."""
    return answer(visitor=VISITOR.get())


def instead(request: HttpRequest) -> HttpResponse:
    """Answer the visitor's name; VisitorMiddlewareInstead sets it before and after."""
    return answer(visitor=VISITOR.get())


class VisitorMiddleware(MiddlewareMixin):
    """Keeps the token of `set` for `reset`, which another hook calls."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Set the visitor for `trap`, and keep the token."""
        if view is trap:
            request.token = VISITOR.set("Ada")

    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        """Reset the visitor by the token."""
        if hasattr(request, "token"):
            VISITOR.reset(request.token)
        return response


class VisitorMiddlewareInstead(MiddlewareMixin):
    """Keeps the value that was there, which any hook can set again."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Set the visitor for `instead`, and keep the value before."""
        if view is instead:
            request.visitor_before = VISITOR.get()
            VISITOR.set("Ada")

    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        """Set the value from before again."""
        if hasattr(request, "visitor_before"):
            VISITOR.set(request.visitor_before)
        return response
