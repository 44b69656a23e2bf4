"""Exercise: four views, four traps.

Behind ASGI three of them answer 500 and one never answers. `me` deceives: as long as nobody is signed in, all is well.
Traps that raise nothing are exercises of their own: `blocking_view` and `stream`.

Task: let all four answer, `me` also to somebody who is signed in. The URLs and what they answer stay.
Run: lab check four_traps
Hint: each trap is a file of labs/traps with its cure: sync_orm_in_async_view, lazy_queryset_in_template,
request_user_in_async_view, asyncio_run_in_sync_view.
"""

import asyncio

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from labs.common.http import answer
from labs.common.shop.models import Product
from labs.traps.sign_in import sign_in


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


urlpatterns = [
    path("products", products),
    path("shelf", shelf),
    path("me", me),
    path("report", report),
    path("sign_in", sign_in),
]
