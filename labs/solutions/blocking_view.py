"""Solution: while this view awaits, the loop serves others.

If a library has no async function, `sync_to_async` sends its sync one to a thread. Or make the view a plain `def`:
Django then sends all of it to a thread.
"""

import asyncio

from django.http import HttpRequest, HttpResponse
from django.urls import path

from labs.common.http import answer, number


async def wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    await asyncio.sleep(ms / 1000)
    return answer(waited_ms=ms)


urlpatterns = [path("", wait)]
