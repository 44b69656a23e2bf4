"""A query that takes as long as it is told to: the database sleeps, and whoever asked waits for it."""

from typing import Any

from django.db import connection
from django.db.models import CharField, Func, QuerySet, Value

from labs.common.shop.models import Product


def slow_products(ms: int) -> QuerySet[Product]:
    """The first product, after `ms` milliseconds in the database. Nothing is asked yet."""
    found: QuerySet[Product] = slow(Product.objects, ms)
    return found


def slow(products: Any, ms: int) -> Any:
    """The same from a manager of products, of whatever kind."""
    slept: Any = Func(Value(ms / 1000), function="pg_sleep", output_field=CharField())
    return products.filter(pk=1).annotate(slept=slept)


def slow_product_alone(ms: int) -> Product:
    """The same asked in a thread that serves no request: nobody but us will close its connection."""
    try:
        return slow_products(ms).get()
    finally:
        connection.close()
