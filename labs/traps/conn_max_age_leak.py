"""`CONN_MAX_AGE` behind ASGI.

People write: `CONN_MAX_AGE = 600`, so that a connection serves many requests, and later change the server to ASGI.
What happens: a connection belongs to a thread. Behind WSGI the thread serves the next request with it. Behind ASGI
each request has a new thread: nobody finds the connection again, and it stays open until the garbage collector comes.
Instead: `CONN_MAX_AGE = 0` behind ASGI; with PostgreSQL a pool of connections (`OPTIONS = {"pool": True}`).

In settings.py `kept` is the same database as `default`, with `CONN_MAX_AGE = 600`.
"""

from django.http import HttpRequest, HttpResponse

from labs.common.http import answer
from labs.common.shop.models import Product


def trap(request: HttpRequest) -> HttpResponse:
    """Count products through a connection with CONN_MAX_AGE."""
    return answer(products=Product.objects.using("kept").count())


def instead(request: HttpRequest) -> HttpResponse:
    """Count products through a connection that is closed with its request."""
    return answer(products=Product.objects.count())
