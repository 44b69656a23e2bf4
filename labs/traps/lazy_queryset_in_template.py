"""A lazy queryset given to a template by an async view.

People write: `render(request, template, {"products": Product.objects.all()})` in an async view: no query in sight.
What happens: the template asks the database, on the loop. `{% for %}` raises SynchronousOnlyOperation, which
everybody sees. `{% if products.count > 0 %}` swallows it, as it swallows every exception in a comparison, and the page
says with status 200 that there is nothing. Both happen behind both doors.
Instead: make a list of what the page shows, and give that.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labs.common.shop.models import Product


async def trap(request: HttpRequest) -> HttpResponse:
    """Give the template a queryset, which it iterates over."""
    return render(request, "products.html", {"products": Product.objects.all()})


async def trap_silent(request: HttpRequest) -> HttpResponse:
    """Give a queryset to a template that compares it in an `if`."""
    return render(request, "stock.html", {"products": Product.objects.all()})


async def instead(request: HttpRequest) -> HttpResponse:
    """Read the products first, then give the template a list."""
    return render(request, "products.html", {"products": [product async for product in Product.objects.all()]})
