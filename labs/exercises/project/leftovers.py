"""Looks from outside of all other middleware whether the exercise's context variables are what they were before.

What a request leaves changed behind ASGI goes with its task; behind WSGI the next visitor of the same thread has it.
"""

from contextvars import ContextVar
from importlib import import_module
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.decorators import async_only_middleware


@async_only_middleware
def leftovers(get_response: Any) -> Any:
    """Middleware: name in `X-Left-Changed` the variables that the request left with another value."""

    async def middleware(request: HttpRequest) -> Any:
        before = values()
        response = await get_response(request)
        after = values()
        response.headers["X-Left-Changed"] = ", ".join(name for name in after if after[name] != before[name])
        return response

    return middleware


def values() -> dict[str, Any]:
    """The variables that the exercise's module has, by name; None for one without a value."""
    own = [thing for thing in vars(import_module(settings.EXERCISE)).values() if isinstance(thing, ContextVar)]
    return {variable.name: value_of(variable) for variable in own}


def value_of(variable: ContextVar[Any]) -> Any:
    """Return the variable's value in this context, None where it has none."""
    try:
        return variable.get()
    except LookupError:
        return None
