"""A sync iterator in a StreamingHttpResponse behind ASGI.

People write: a generator, and it streams, until the server speaks ASGI.
What happens: behind ASGI the headers leave, and then Django collects the whole iterator before the first byte of the
body does, with a warning in the log; an endless stream never begins. An async iterator behind WSGI is collected
likewise, and there the headers wait as well.
Instead: the iterator that fits the door. A project behind one door needs one of them.
"""

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from labs.common.feed import event_stream, events, events_async
from labs.common.http import number


def trap(request: HttpRequest) -> StreamingHttpResponse:
    """Stream `n` events from a sync iterator, one each `ms` milliseconds."""
    return event_stream(events(number(request, "n"), number(request, "ms")))


def trap_behind_wsgi(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the same from an async iterator: the trap of the other door."""
    return event_stream(events_async(number(request, "n"), number(request, "ms")))


def instead(request: HttpRequest) -> StreamingHttpResponse:
    """Stream from the kind of iterator that this door can send part by part."""
    n, ms = number(request, "n"), number(request, "ms")
    return event_stream(events_async(n, ms) if isinstance(request, ASGIRequest) else events(n, ms))
