"""Queries that take as long as they are told to, once each, however many rows they give."""

from django.db.models import CharField, QuerySet
from django.db.models.expressions import RawSQL

from labs.common.shop.models import Product

SLEEP = "pg_sleep"


def slow(products: QuerySet[Product], ms: int) -> QuerySet[Product]:
    """The same products, after `ms` milliseconds in the database. Nothing is asked yet."""
    # A subquery that depends on no row is asked once; `pg_sleep` alone would sleep for each row.
    return products.annotate(slept=RawSQL(f"(SELECT {SLEEP}(%s))", [ms / 1000], output_field=CharField()))
