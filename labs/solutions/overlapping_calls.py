"""Solution: a thread for each call in sync code, a coroutine for each in async code.

Both take as long as the slowest call. Sync code needs no async for it; the price is n threads per request.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, HttpResponse
from django.urls import path

from labs.common.http import answer, number
from labs.common.upstream_client import ask_upstream, ask_upstream_async, async_client


def calls(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    with ThreadPoolExecutor(max_workers=n) as pool:
        waited = list(pool.map(ask_upstream, [ms] * n))
    return answer(calls=n, waited_ms=sum(waited))


async def calls_async(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    async with async_client(request) as client:
        waited = await asyncio.gather(*(ask_upstream_async(client, ms) for _ in range(n)))
    return answer(calls=n, waited_ms=sum(waited))


urlpatterns = [path("sync", calls), path("async", calls_async)]
