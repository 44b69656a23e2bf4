"""Async views: requests share one thread, and waiting gives it away. Read beside labs/sync_wsgi/views.py."""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_protect

from labs.common.contact import ContactForm, contact_page
from labs.common.feed import event_stream, events_async
from labs.common.gauge import inside
from labs.common.http import answer, number
from labs.common.news import NEWS
from labs.common.shop.atomic_across_hops import atomic_across_hops
from labs.common.shop.models import Account, Note, Product
from labs.common.shop.payment import ONE_LESS, ONE_MORE, pay, two_accounts
from labs.common.shop.slow import slow_product_alone, slow_products
from labs.common.upstream_client import LoopThreadPool, ask_upstream_async, ask_upstream_in, async_client
from labs.common.work import spend_cpu, whereabouts


async def hello(request: HttpRequest) -> HttpResponse:
    return answer(message="hello")


async def wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        await asyncio.sleep(ms / 1000)
    return answer(waited_ms=ms)


async def blocking_wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


async def fan_out(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    with inside():
        async with async_client(request) as client:
            waited = await asyncio.gather(*(ask_upstream_async(client, ms) for _ in range(n)))
    return answer(calls=n, waited_ms=sum(waited))


async def fan_out_threads(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    with inside(), LoopThreadPool(max_workers=n) as pool:
        waited = await asyncio.gather(*(ask_upstream_in(pool, ms) for _ in range(n)))
    return answer(calls=n, waited_ms=sum(waited))


async def burn(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms", default=10)
    with inside():
        spend_cpu(ms)
    return answer(burned_ms=ms)


async def feed(request: HttpRequest) -> StreamingHttpResponse:
    n, ms = number(request, "n", default=10), number(request, "ms", default=1000)
    return event_stream(events_async(n, ms))


async def poll(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside(), NEWS.heard_by_loop() as inbox:
        news = await inbox.next(ms / 1000)
    return answer(news=news)


async def rows(request: HttpRequest) -> HttpResponse:
    n = number(request, "n", default=20)
    with inside():
        names = [product.name async for product in Product.objects.order_by("pk")[:n]]
    return answer(names=names)


async def slow_rows(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        names = [product.name async for product in slow_products(ms)]
    return answer(names=names)


async def crud(request: HttpRequest) -> HttpResponse:
    with inside():
        note = await Note.objects.acreate(text="created")
        read = await Note.objects.aget(pk=note.pk)
        read.text = "updated"
        await read.asave()
        deleted, _ = await read.adelete()
    return answer(read=note.text, saved=read.text, deleted=deleted)


async def gathered(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside():
        found = await asyncio.gather(*(slow_products(ms).aget() for _ in range(n)))
    return answer(names=[product.name for product in found])


async def gathered_threads(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside(), LoopThreadPool(max_workers=n) as pool:
        ask = sync_to_async(slow_product_alone, thread_sensitive=False, executor=pool)
        found = await asyncio.gather(*(ask(ms) for _ in range(n)))
    return answer(names=[product.name for product in found])


async def hold(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        product = await Product.objects.aget(pk=1)
        await asyncio.sleep(ms / 1000)
    return answer(names=[product.name])


async def checkout(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms", default=0)
    with inside():
        await sync_to_async(pay)(ms)
    return answer(paid=1)


async def checkout_in_halves(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        await Account.objects.filter(pk=buyer).aupdate(**ONE_LESS)
        await asyncio.sleep(ms / 1000)
        await Account.objects.filter(pk=seller).aupdate(**ONE_MORE)
    return answer(paid=1)


async def checkout_across_hops(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        async with atomic_across_hops():
            await Account.objects.filter(pk=buyer).aupdate(**ONE_LESS)
            await asyncio.sleep(ms / 1000)
            await Account.objects.filter(pk=seller).aupdate(**ONE_MORE)
    return answer(paid=1)


async def whoami(request: HttpRequest) -> HttpResponse:
    return answer(**whereabouts())


@csrf_protect
async def contact(request: HttpRequest) -> HttpResponse:
    form = ContactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("/contact?sent=yes")
    return contact_page(request, form)
