"""`asyncio.run` around the async ORM in a sync view.

People write: a sync view that wants one async function and calls it by `asyncio.run`.
What happens: behind WSGI it answers. Behind ASGI it never does: the view holds the one thread that its request has
for sync code, and `acount` sends its query to that thread and waits for it.
Instead: `async_to_sync`, which lets the waiting thread run what is sent to it. Or `count`: the view is sync already.
"""

import asyncio

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from labs.common.http import answer
from labs.common.shop.models import Product


def trap(request: HttpRequest) -> HttpResponse:
    """Count products through `asyncio.run`."""
    return answer(products=asyncio.run(count_products()))


def instead(request: HttpRequest) -> HttpResponse:
    """Count products through `async_to_sync`."""
    return answer(products=async_to_sync(count_products)())


async def count_products() -> int:
    """Return how many products there are."""
    return await Product.objects.acount()
