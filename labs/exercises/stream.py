"""Exercise: a stream that comes all at once.

The page counts, a number each `ms`. Behind WSGI each number leaves when it has been made. Behind ASGI Django takes a
sync iterator to its end, in a thread, before it sends the first part.

Task: behind ASGI let the first number be there while the others are still being made, for many visitors at once.
Run: lab check stream
Hint: `async def` with `yield` in it. labs/common/feed.py has a stream of either kind; what waits in them?
"""

import time
from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

from labs.common.http import number


def numbers(n: int, ms: int) -> Iterator[bytes]:
    for made in range(n):
        yield f"{made}\n".encode()
        time.sleep(ms / 1000)


async def count(request: HttpRequest) -> StreamingHttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    return StreamingHttpResponse(numbers(n, ms), content_type="text/plain")


urlpatterns = [path("", count)]
