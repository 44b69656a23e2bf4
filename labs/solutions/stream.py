"""Solution: an async iterator, which Django's ASGI handler sends part by part.

It must wait with `await`: with `time.sleep` in it, the stream of one visitor would stop all others. Behind WSGI this
stream now arrives all at once.
"""

import asyncio
from collections.abc import AsyncIterator

from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

from labs.common.http import number


async def numbers(n: int, ms: int) -> AsyncIterator[bytes]:
    for made in range(n):
        yield f"{made}\n".encode()
        await asyncio.sleep(ms / 1000)


async def count(request: HttpRequest) -> StreamingHttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    return StreamingHttpResponse(numbers(n, ms), content_type="text/plain")


urlpatterns = [path("", count)]
