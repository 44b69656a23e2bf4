"""A bad example: `transaction.atomic` made async by sending its two ends to the request's thread, as often published.

It holds as long as nobody else uses that thread between the hops, which stock Django under ASGI happens to give: each
request has a thread, and so a connection, of its own. Where requests share threads they share the transaction too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.db import transaction


@asynccontextmanager
async def atomic_across_hops() -> AsyncIterator[None]:
    """Enter and leave `transaction.atomic` in the request's thread, as two calls. Not safe: see the module."""
    block = transaction.atomic()
    await sync_to_async(block.__enter__)()
    try:
        yield
    except BaseException as error:
        await sync_to_async(block.__exit__)(type(error), error, error.__traceback__)
        raise
    await sync_to_async(block.__exit__)(None, None, None)
