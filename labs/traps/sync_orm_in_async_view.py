"""The sync ORM in an async view.

People write: `async def`, and the queries as they were.
What happens: the first query raises SynchronousOnlyOperation, behind both doors. This is the trap that Django closes:
its database layer looks whether an event loop is running in the thread. It looks nowhere else; see calls.py.
Instead: the a-methods. What has none, such as `transaction.atomic`, goes as one sync function through `sync_to_async`.
"""

from django.http import HttpRequest, HttpResponse

from labs.common.http import answer
from labs.common.shop.models import Product


async def trap(request: HttpRequest) -> HttpResponse:
    """Count products with the sync ORM."""
    return answer(products=Product.objects.count())


async def instead(request: HttpRequest) -> HttpResponse:
    """Count products with `await ...acount()`."""
    return answer(products=await Product.objects.acount())
