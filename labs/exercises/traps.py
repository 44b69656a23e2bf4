"""Exercise: seven traps in one file.

Behind ASGI four of the views answer 500 and one never answers. `me` deceives: as long as nobody is signed in, all is
well; what breaks `greeting` stands in the middleware. Two traps raise nothing: the queries of `basket` take turns, and
on account of DATABASES, which holds for all of them, each visitor leaves a connection behind. Two more traps that raise
nothing are exercises of their own: `blocking_view` and `stream`.

Task: let all views answer, `me` also to somebody who is signed in, and VISITOR be afterwards what it was before. Let
the queries of `basket` overlap, or ask one for all; each is still to take its `ms`. Let no connection stay open when
all have been answered. The names, the URLs and what they answer stay.
Run: lab check traps
Hint: each trap is a file of labs/traps with its cure, in the order below: sync_orm_in_async_view,
lazy_queryset_in_template, request_user_in_async_view, asyncio_run_in_sync_view, gather_is_serial,
context_token_across_hop, conn_max_age_leak.
"""

import asyncio
from contextvars import ContextVar

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
    return answer(products=Product.objects.count())


async def shelf(request: HttpRequest) -> HttpResponse:
    return render(request, "products.html", {"products": Product.objects.all()})


async def me(request: HttpRequest) -> HttpResponse:
    return answer(name=request.user.get_username())


def report(request: HttpRequest) -> HttpResponse:
    return answer(products=asyncio.run(count_products()))


async def count_products() -> int:
    return await Product.objects.acount()


async def basket(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    asked = [slow(Product.objects.filter(pk=pk), ms) for pk in range(1, n + 1)]
    found = await asyncio.gather(*(products.aget() for products in asked))
    return answer(names=[product.name for product in found])


class VisitorMiddleware(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        if "name" in request.GET:
            request.token = VISITOR.set(request.GET["name"])

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if hasattr(request, "token"):
            VISITOR.reset(request.token)
        return response


async def greeting(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(number(request, "ms") / 1000)
    return answer(hello=VISITOR.get())


DATABASES = {"default": {**database(), "CONN_MAX_AGE": 600}}

urlpatterns = [
    path("products", products),
    path("shelf", shelf),
    path("me", me),
    path("report", report),
    path("basket", basket),
    path("greeting", greeting),
    path("sign_in", sign_in),
]
