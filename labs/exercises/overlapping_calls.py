"""Exercise: five calls one after the other, on both sides.

Both views call the same slow service n times. Each call waits for the answer to the one before, although it does not
need it.

Task: all n calls must reach the service at once, in the sync view behind WSGI and in the async view behind ASGI. Keep
the answers as they are, and do not block other requests meanwhile.
Run: lab check overlapping_calls
Hint: `map` of concurrent.futures.ThreadPoolExecutor; asyncio.gather.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from labs.common.http import answer, number
from labs.common.upstream_client import ask_upstream, ask_upstream_async, async_client


def calls(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    waited = [ask_upstream(ms) for _ in range(n)]
    return answer(calls=n, waited_ms=sum(waited))


async def calls_async(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    async with async_client(request) as client:
        waited = [await ask_upstream_async(client, ms) for _ in range(n)]
    return answer(calls=n, waited_ms=sum(waited))


urlpatterns = [path("sync", calls), path("async", calls_async)]
