"""`asyncio.gather` over the async ORM.

People write: `gather` over a-methods, so that n queries take as long as one.
What happens: they run one after the other, on one thread and one connection. Each a-method is its sync twin sent to
the thread that the request has for sync code, and there is one. That is so behind both doors.
Instead: one query for all, where that is possible. Else each in a thread with a connection of its own, which must be
closed (`slow_product_alone` does); n threads and n connections for each request are the price.
"""

import asyncio

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from labs.common.http import answer, number
from labs.common.shop.slow import slow_product_alone, slow_products


async def trap(request: HttpRequest) -> HttpResponse:
    """Gather `n` queries of `ms` milliseconds through the async ORM."""
    n, ms = number(request, "n"), number(request, "ms")
    found = await asyncio.gather(*(slow_products(ms).aget() for _ in range(n)))
    return answer(names=[product.name for product in found])


async def instead(request: HttpRequest) -> HttpResponse:
    """Gather the same queries, each in a thread of its own."""
    n, ms = number(request, "n"), number(request, "ms")
    ask = sync_to_async(slow_product_alone, thread_sensitive=False)
    found = await asyncio.gather(*(ask(ms) for _ in range(n)))
    return answer(names=[product.name for product in found])
