"""Solution: a-methods in the async views, a list for the template, `auser`, and `async_to_sync` in the sync view.

To make the first three plain `def` views would do as well: Django then sends each to a thread, once.
"""

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from labs.common.http import answer
from labs.common.shop.models import Product
from labs.traps.sign_in import sign_in


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


urlpatterns = [
    path("products", products),
    path("shelf", shelf),
    path("me", me),
    path("report", report),
    path("sign_in", sign_in),
]
