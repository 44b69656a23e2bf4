"""The page that lists the traps, behind the door that this process has."""

import re

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from labs.common.http import answer
from labs.traps.names import TRAPS, module_of


def index(request: HttpRequest) -> HttpResponse:
    """Show the list of traps, with what each module says about itself."""
    traps = [(name, *map(with_code, (module_of(name).__doc__ or "").strip().split("\n\n", 1))) for name in TRAPS]
    door = "ASGI" if isinstance(request, ASGIRequest) else "WSGI"
    return render(request, "traps.html", {"traps": traps, "door": door})


def with_code(text: str) -> SafeString:
    """Return text as HTML in which what stands between backticks is code. Only what has a label begins a line."""
    lines = re.sub(r"\n(?![A-Z][a-z ]*:)", " ", text)
    return mark_safe(re.sub("`([^`]+)`", r"<code>\1</code>", escape(lines)))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path with where the list is."""
    return answer(404, error="Nothing here; / lists the traps.")
