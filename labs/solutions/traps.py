"""Solution: a-methods in the async views, a list for the template, `auser`, and `async_to_sync` in the sync view; one
query for the basket; the value that was there, set again; a connection that is closed with its request.

Another way for the first three is a plain `def` view: Django then sends each to a thread, once. Queries that cannot be
one query overlap in their own threads, as labs/traps/gather_is_serial.py shows; these must close their connections. A
psycopg pool can replace CONN_MAX_AGE.
"""

import asyncio
from contextvars import ContextVar

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from labs.common.database import database
from labs.common.http import answer, number
from labs.common.shop.models import Product
from labs.exercises.project.slow import slow
from labs.traps.sign_in import sign_in

VISITOR = ContextVar("VISITOR", default="nobody")


async def products(request: HttpRequest) -> HttpResponse:
    return answer(products=await Product.objects.acount())


async def shelf(request: HttpRequest) -> HttpResponse:
    return render(request, "products.html", {"products": [product async for product in Product.objects.all()]})


async def me(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return answer(name=user.get_username())


def report(request: HttpRequest) -> HttpResponse:
    return answer(products=async_to_sync(count_products)())


async def count_products() -> int:
    return await Product.objects.acount()


async def basket(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    asked = slow(Product.objects.filter(pk__in=range(1, n + 1)).order_by("pk"), ms)
    return answer(names=[product.name async for product in asked])


class VisitorMiddleware(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        if "name" in request.GET:
            request.visitor_before = VISITOR.get()
            VISITOR.set(request.GET["name"])

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if hasattr(request, "visitor_before"):
            VISITOR.set(request.visitor_before)
        return response


async def greeting(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(number(request, "ms") / 1000)
    return answer(hello=VISITOR.get())


DATABASES = {"default": {**database(), "CONN_MAX_AGE": 0}}

urlpatterns = [
    path("products", products),
    path("shelf", shelf),
    path("me", me),
    path("report", report),
    path("basket", basket),
    path("greeting", greeting),
    path("sign_in", sign_in),
]
