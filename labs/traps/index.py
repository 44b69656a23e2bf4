"""The page that lists the traps, behind the door that this process has."""

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labs.common.http import answer
from labs.traps.names import TRAPS, module_of


def index(request: HttpRequest) -> HttpResponse:
    """Show the list of traps, with what each module says about itself."""
    traps = [(name, *(module_of(name).__doc__ or "").strip().split("\n\n", 1)) for name in TRAPS]
    door = "ASGI" if isinstance(request, ASGIRequest) else "WSGI"
    return render(request, "traps.html", {"traps": traps, "door": door})


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path with where the list is."""
    return answer(404, error="Nothing here; / lists the traps.")
