"""Whose page asks: what changes something in a lab is for the lab's own pages, and for programs that are no browser.

A browser lets any page send a POST or open a socket to this machine, and says with it which page: Origin, and for
requests Sec-Fetch-Site. A program says nothing. The page of a name that was rebound to 127.0.0.1 has that name in Host
as well, so Host has to be one of ALLOWED_HOSTS.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host


def asks_from_elsewhere(request: HttpRequest) -> bool:
    """True where a browser says that a page of another origin asks. Raises DisallowedHost, which is answered by 400."""
    own = f"{request.scheme}://{request.get_host()}"
    site = request.headers.get("Sec-Fetch-Site", "none")
    return request.headers.get("Origin", own) != own or site not in ("same-origin", "none")


def own_pages_only(application: Any) -> Any:
    """The WebSocket application, for pages of this lab: from all others the handshake is refused.

    Channels' AllowedHostsOriginValidator would take pages of any other port of this machine too.
    """

    async def for_own_pages(scope: Any, receive: Any, send: Any) -> None:
        if is_from_own_page(dict(scope["headers"])):
            await application(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    return for_own_pages


def is_from_own_page(headers: dict[bytes, bytes]) -> bool:
    """Return whether the `Origin` header names the lab that was asked, by scheme and host."""
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    scheme, _, where = origin.partition("://")
    is_of_this_lab = validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    return is_of_this_lab and scheme in ("http", "https") and where == host.lower()
