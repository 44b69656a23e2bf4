"""A blocking call in an async view.

People write: `async def`, and inside a client library, a `time.sleep`, a file or a password hash as ever.
What happens: behind ASGI all requests of the process stand still meanwhile, also those for other pages. Nothing is
raised and nothing is logged. Behind WSGI the view has a thread and a loop of its own, and holds up nobody.
Instead: await an async function. Where there is none, `sync_to_async` with `thread_sensitive=False`, or a sync view.
"""

import asyncio
import time

from django.http import HttpRequest, HttpResponse

from labs.common.gauge import inside
from labs.common.http import answer, number


async def trap(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds with `time.sleep`."""
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


async def instead(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds with `asyncio.sleep`."""
    ms = number(request, "ms")
    with inside():
        await asyncio.sleep(ms / 1000)
    return answer(waited_ms=ms)
