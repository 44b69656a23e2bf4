"""Async views: requests share one thread, and waiting gives it away. Read beside labs/sync_wsgi/views.py."""

import asyncio
import time

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from labs.common.contact import ContactForm, contact_page
from labs.common.feed import event_stream, events_async
from labs.common.gauge import inside
from labs.common.http import answer, blocks, number
from labs.common.news import NEWS
from labs.common.shop.atomic_across_hops import atomic_across_hops
from labs.common.shop.models import Account, Note, Product
from labs.common.shop.payment import ONE_LESS, ONE_MORE, pay, two_accounts
from labs.common.shop.slow import slow_product_alone, slow_products
from labs.common.upstream_client import LoopThreadPool, ask_upstream_async, ask_upstream_in, async_client
from labs.common.upstream_stream import pass_on_async, pass_on_lean_async
from labs.common.work import spend_cpu, whereabouts


async def hello(request: HttpRequest) -> HttpResponse:
    """Answer `{"message": "hello"}` and do no other work."""
    return answer(message="hello")


async def wait(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds, then answer."""
    ms = number(request, "ms")
    with inside():
        await asyncio.sleep(ms / 1000)
    return answer(waited_ms=ms)


async def blocking_wait(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds with `time.sleep`, which blocks whatever thread or event loop runs the view."""
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


async def fan_out(request: HttpRequest) -> HttpResponse:
    """Call the upstream service `n` times, `ms` milliseconds each, and answer with the sum of the waits."""
    n, ms = number(request, "n"), number(request, "ms")
    with inside():
        async with async_client(request) as client:
            waited = await asyncio.gather(*(ask_upstream_async(client, ms) for _ in range(n)))
    return answer(calls=n, waited_ms=sum(waited))


async def fan_out_threads(request: HttpRequest) -> HttpResponse:
    """Do the same as `fan_out`, with one thread for each call."""
    n, ms = number(request, "n"), number(request, "ms")
    with inside(), LoopThreadPool(max_workers=n) as pool:
        waited = await asyncio.gather(*(ask_upstream_in(pool, ms) for _ in range(n)))
    return answer(calls=n, waited_ms=sum(waited))


async def burn(request: HttpRequest) -> HttpResponse:
    """Spend `ms` milliseconds of CPU time, then answer."""
    ms = number(request, "ms", default=10)
    with inside():
        spend_cpu(ms)
    return answer(burned_ms=ms)


async def wait_and_burn(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds, then spend `cpu` milliseconds of CPU time."""
    ms, cpu = number(request, "ms"), number(request, "cpu")
    with inside():
        await asyncio.sleep(ms / 1000)
        spend_cpu(cpu)
    return answer(waited_ms=ms, burned_ms=cpu)


async def feed(request: HttpRequest) -> StreamingHttpResponse:
    """Stream `n` server-sent events, one each `ms` milliseconds, with published news in between."""
    n, ms = number(request, "n", default=10), number(request, "ms", default=1000)
    return event_stream(events_async(n, ms))


async def tokens(request: HttpRequest) -> StreamingHttpResponse:
    """Pass on what the upstream writes: `n` small parts, one each `ms` milliseconds."""
    n, ms = number(request, "n", default=20), number(request, "ms", default=50)
    return event_stream(pass_on_async(request, n, ms))


async def tokens_lean(request: HttpRequest) -> StreamingHttpResponse:
    """Do the same as `tokens`, with a client library that does less."""
    n, ms = number(request, "n", default=20), number(request, "ms", default=50)
    return event_stream(pass_on_lean_async(request, n, ms))


async def poll(request: HttpRequest) -> HttpResponse:
    """Wait at most `ms` milliseconds for published news (long polling); answer `null` if none came."""
    ms = number(request, "ms")
    with inside(), NEWS.heard_by_loop() as inbox:
        news = await inbox.next(ms / 1000)
    return answer(news=news)


async def rows(request: HttpRequest) -> HttpResponse:
    """Answer the names of the first `n` products, read with one query."""
    n = number(request, "n", default=20)
    with inside():
        names = [product.name async for product in Product.objects.order_by("pk")[:n]]
    return answer(names=names)


async def slow_rows(request: HttpRequest) -> HttpResponse:
    """Answer the name of one product after a query that takes `ms` milliseconds in the database."""
    ms = number(request, "ms")
    with inside():
        names = [product.name async for product in slow_products(ms)]
    return answer(names=names)


async def crud(request: HttpRequest) -> HttpResponse:
    """Create, read, update and delete one note: four queries."""
    with inside():
        note = await Note.objects.acreate(text="created")
        read = await Note.objects.aget(pk=note.pk)
        read.text = "updated"
        await read.asave()
        deleted, _ = await read.adelete()
    return answer(read=note.text, saved=read.text, deleted=deleted)


async def gathered(request: HttpRequest) -> HttpResponse:
    """Run `n` queries of `ms` milliseconds each and answer the names that they found."""
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside():
        found = await asyncio.gather(*(slow_products(ms).aget() for _ in range(n)))
    return answer(names=[product.name for product in found])


async def gathered_threads(request: HttpRequest) -> HttpResponse:
    """Do the same as `gathered`, with one thread for each query."""
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside(), LoopThreadPool(max_workers=n) as pool:
        ask = sync_to_async(slow_product_alone, thread_sensitive=False, executor=pool)
        found = await asyncio.gather(*(ask(ms) for _ in range(n)))
    return answer(names=[product.name for product in found])


async def hold(request: HttpRequest) -> HttpResponse:
    """Run one query, then wait `ms` milliseconds; the database connection stays open meanwhile."""
    ms = number(request, "ms")
    with inside():
        product = await Product.objects.aget(pk=1)
        await asyncio.sleep(ms / 1000)
    return answer(names=[product.name])


async def checkout(request: HttpRequest) -> HttpResponse:
    """Move one coin between two accounts in a transaction that stays open for `ms` milliseconds."""
    ms = number(request, "ms", default=0)
    with inside():
        await sync_to_async(pay)(ms)
    return answer(paid=1)


async def checkout_in_halves(request: HttpRequest) -> HttpResponse:
    """Move one coin in two steps, `ms` milliseconds apart, without a transaction. A bad example."""
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        await Account.objects.filter(pk=buyer).aupdate(**ONE_LESS)
        await asyncio.sleep(ms / 1000)
        await Account.objects.filter(pk=seller).aupdate(**ONE_MORE)
    return answer(paid=1)


async def checkout_across_hops(request: HttpRequest) -> HttpResponse:
    """Move one coin in two steps, `ms` milliseconds apart, in `atomic`: async code has to send its ends to a thread."""
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        async with atomic_across_hops():
            await Account.objects.filter(pk=buyer).aupdate(**ONE_LESS)
            await asyncio.sleep(ms / 1000)
            await Account.objects.filter(pk=seller).aupdate(**ONE_MORE)
    return answer(paid=1)


@csrf_exempt
async def upload(request: HttpRequest) -> HttpResponse:
    """Read the whole body of the request and answer how many bytes it had."""
    with inside():
        received = len(request.body)
    return answer(received=received)


async def download(request: HttpRequest) -> HttpResponse:
    """Answer `n` times 80 kB."""
    return blocks(number(request, "n", default=1))


async def whoami(request: HttpRequest) -> HttpResponse:
    """Answer in which process and thread the view runs, and how many callers are inside."""
    return answer(**whereabouts())


@csrf_protect
async def contact(request: HttpRequest) -> HttpResponse:
    """Show the contact form, or redirect once a valid form has been sent."""
    form = ContactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("/contact?sent=yes")
    return contact_page(request, form)
