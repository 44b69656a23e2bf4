"""Async views whose queries are asked on the event loop, without a thread. Read beside labs/async_asgi/views.py.

django-async-backend gives every model `async_objects`. A task has one connection, which no other task may use, so that
each query of `gathered` takes one of its own; with Django's async ORM they take turns on one thread.
"""

import asyncio

from django.http import HttpRequest, HttpResponse
from django_async_backend.db import async_new_connection
from django_async_backend.db.transaction import async_atomic

from labs.common.gauge import inside
from labs.common.http import answer, number
from labs.common.shop.models import Account, Product
from labs.common.shop.payment import ONE_LESS, ONE_MORE, two_accounts
from labs.common.shop.slow import slow


async def hello(request: HttpRequest) -> HttpResponse:
    """Answer `{"message": "hello"}` and do no other work."""
    return answer(message="hello")


async def rows(request: HttpRequest) -> HttpResponse:
    """Answer the names of the first `n` products, read with one query."""
    n = number(request, "n", default=20)
    with inside():
        names = [product.name async for product in Product.async_objects.order_by("pk")[:n]]
    return answer(names=names)


async def slow_rows(request: HttpRequest) -> HttpResponse:
    """Answer the name of one product after a query that takes `ms` milliseconds in the database."""
    ms = number(request, "ms")
    with inside():
        names = [product.name async for product in slow(Product.async_objects, ms)]
    return answer(names=names)


async def gathered(request: HttpRequest) -> HttpResponse:
    """Run `n` queries of `ms` milliseconds each and answer the names that they found."""
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside():
        found = await asyncio.gather(*(async_new_connection(slow(Product.async_objects, ms).aget()) for _ in range(n)))
    return answer(names=[product.name for product in found])


async def checkout(request: HttpRequest) -> HttpResponse:
    """Move one coin between two accounts in a transaction that stays open for `ms` milliseconds."""
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        async with async_atomic():
            await Account.async_objects.filter(pk=buyer).aupdate(**ONE_LESS)
            await asyncio.sleep(ms / 1000)
            await Account.async_objects.filter(pk=seller).aupdate(**ONE_MORE)
    return answer(paid=1)
