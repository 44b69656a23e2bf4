"""The few files that pages load: HTMX out of its package, and the labs' own style and script. Nothing from elsewhere.

Read whole and kept: a FileResponse is a sync iterator, which Django's ASGI handler would collect with a warning.
"""

from functools import cache
from importlib.resources import files

from django.http import Http404, HttpRequest, HttpResponse

HTMX = files("django_htmx") / "static" / "django_htmx"
OURS = files("labs.common") / "static"
FILES = {
    "htmx.js": HTMX / "htmx-2.min.js",
    "htmx-sse.js": HTMX / "ext" / "hx-sse-2.min.js",
    "htmx-ws.js": HTMX / "ext" / "hx-ws-2.min.js",
    "pages.js": OURS / "pages.js",
    "pages.css": OURS / "pages.css",
}
TYPES = {"js": "text/javascript", "css": "text/css"}
A_MONTH = "public, max-age=2592000"


def file(request: HttpRequest, name: str) -> HttpResponse:
    """A packaged file to be kept for a month, one of ours to be asked for again: readers edit those."""
    if name not in FILES:
        raise Http404
    kept = A_MONTH if name.startswith("htmx") else "no-cache"
    content_type = f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8"
    return HttpResponse(content_of(name), content_type=content_type, headers={"Cache-Control": kept})


@cache
def content_of(name: str) -> bytes:
    """Return the bytes of a file; each file is read once per process. Raises KeyError for names not in FILES."""
    return FILES[name].read_bytes()
