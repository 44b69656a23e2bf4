"""Exercise: a stream that arrives all at once.

The page counts, one number every `ms` milliseconds. Behind WSGI each number leaves as soon as it is made. Behind ASGI
Django reads a sync iterator to its end, in a thread, before it sends the first part.

Task: behind ASGI the first number must arrive while the others are still being made, for many visitors at once.
Run: lab check stream
Hint: `async def` with `yield` in it. labs/common/feed.py has a stream of either kind; how does each of them wait?
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
