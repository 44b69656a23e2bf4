"""Exercise: seven traps in one file.

Behind ASGI four of the views answer 500 and one never answers. `me` fails only for a visitor who has signed in. The
error in `greeting` comes from the middleware. Two traps raise no error: the queries of `basket` take turns, and because
of DATABASES, which is used by all views, each visitor leaves a connection open. Two more traps that raise no error are
exercises of their own: `blocking_view` and `stream`.

Task: make all views answer, `me` also for a signed-in visitor. Afterwards VISITOR must be what it was before. The
queries of `basket` must overlap, or be one query; each must still take its `ms`. No connection may stay open when all
requests are answered. Keep the names, the URLs and the answers.
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
