"""Sync views: each request has its thread, and waiting blocks it. Read beside labs/async_asgi/views.py."""

import time
from concurrent.futures import ThreadPoolExecutor

from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from labs.common.contact import ContactForm, contact_page
from labs.common.feed import event_stream, events
from labs.common.gauge import inside
from labs.common.http import answer, blocks, number
from labs.common.news import NEWS
from labs.common.shop.models import Account, Note, Product
from labs.common.shop.payment import ONE_LESS, ONE_MORE, pay, two_accounts
from labs.common.shop.slow import slow_product_alone, slow_products
from labs.common.upstream_client import ask_upstream
from labs.common.upstream_stream import pass_on, pass_on_lean
from labs.common.work import spend_cpu, whereabouts


def hello(request: HttpRequest) -> HttpResponse:
    """Answer `{"message": "hello"}` and do no other work."""
    return answer(message="hello")


def wait(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds, then answer."""
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


def blocking_wait(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds with `time.sleep`, which blocks whatever thread or event loop runs the view."""
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


def fan_out(request: HttpRequest) -> HttpResponse:
    """Call the upstream service `n` times, `ms` milliseconds each, and answer with the sum of the waits."""
    n, ms = number(request, "n"), number(request, "ms")
    with inside():
        waited = [ask_upstream(ms) for _ in range(n)]
    return answer(calls=n, waited_ms=sum(waited))


def fan_out_threads(request: HttpRequest) -> HttpResponse:
    """Do the same as `fan_out`, with one thread for each call."""
    n, ms = number(request, "n"), number(request, "ms")
    with inside(), ThreadPoolExecutor(max_workers=n) as pool:
        waited = list(pool.map(ask_upstream, [ms] * n))
    return answer(calls=n, waited_ms=sum(waited))


def burn(request: HttpRequest) -> HttpResponse:
    """Spend `ms` milliseconds of CPU time, then answer."""
    ms = number(request, "ms", default=10)
    with inside():
        spend_cpu(ms)
    return answer(burned_ms=ms)


def wait_and_burn(request: HttpRequest) -> HttpResponse:
    """Wait `ms` milliseconds, then spend `cpu` milliseconds of CPU time."""
    ms, cpu = number(request, "ms"), number(request, "cpu")
    with inside():
        time.sleep(ms / 1000)
        spend_cpu(cpu)
    return answer(waited_ms=ms, burned_ms=cpu)


def feed(request: HttpRequest) -> StreamingHttpResponse:
    """Stream `n` server-sent events, one each `ms` milliseconds, with published news in between."""
    n, ms = number(request, "n", default=10), number(request, "ms", default=1000)
    return event_stream(events(n, ms))


def tokens(request: HttpRequest) -> StreamingHttpResponse:
    """Pass on what the upstream writes: `n` small parts, one each `ms` milliseconds."""
    n, ms = number(request, "n", default=20), number(request, "ms", default=50)
    return event_stream(pass_on(n, ms))


def tokens_lean(request: HttpRequest) -> StreamingHttpResponse:
    """Do the same as `tokens`, with a client library that does less."""
    n, ms = number(request, "n", default=20), number(request, "ms", default=50)
    return event_stream(pass_on_lean(n, ms))


def poll(request: HttpRequest) -> HttpResponse:
    """Wait at most `ms` milliseconds for published news (long polling); answer `null` if none came."""
    ms = number(request, "ms")
    with inside(), NEWS.heard_by_thread() as inbox:
        news = inbox.next(ms / 1000)
    return answer(news=news)


def rows(request: HttpRequest) -> HttpResponse:
    """Answer the names of the first `n` products, read with one query."""
    n = number(request, "n", default=20)
    with inside():
        names = [product.name for product in Product.objects.order_by("pk")[:n]]
    return answer(names=names)


def slow_rows(request: HttpRequest) -> HttpResponse:
    """Answer the name of one product after a query that takes `ms` milliseconds in the database."""
    ms = number(request, "ms")
    with inside():
        names = [product.name for product in slow_products(ms)]
    return answer(names=names)


def crud(request: HttpRequest) -> HttpResponse:
    """Create, read, update and delete one note: four queries."""
    with inside():
        note = Note.objects.create(text="created")
        read = Note.objects.get(pk=note.pk)
        read.text = "updated"
        read.save()
        deleted, _ = read.delete()
    return answer(read=note.text, saved=read.text, deleted=deleted)


def gathered(request: HttpRequest) -> HttpResponse:
    """Run `n` queries of `ms` milliseconds each and answer the names that they found."""
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside():
        found = [slow_products(ms).get() for _ in range(n)]
    return answer(names=[product.name for product in found])


def gathered_threads(request: HttpRequest) -> HttpResponse:
    """Do the same as `gathered`, with one thread for each query."""
    n, ms = number(request, "n"), number(request, "ms", default=20)
    with inside(), ThreadPoolExecutor(max_workers=n) as pool:
        found = list(pool.map(slow_product_alone, [ms] * n))
    return answer(names=[product.name for product in found])


def hold(request: HttpRequest) -> HttpResponse:
    """Run one query, then wait `ms` milliseconds; the database connection stays open meanwhile."""
    ms = number(request, "ms")
    with inside():
        product = Product.objects.get(pk=1)
        time.sleep(ms / 1000)
    return answer(names=[product.name])


def checkout(request: HttpRequest) -> HttpResponse:
    """Move one coin between two accounts in a transaction that stays open for `ms` milliseconds."""
    ms = number(request, "ms", default=0)
    with inside():
        pay(ms)
    return answer(paid=1)


def checkout_in_halves(request: HttpRequest) -> HttpResponse:
    """Move one coin in two steps, `ms` milliseconds apart, without a transaction. A bad example."""
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside():
        Account.objects.filter(pk=buyer).update(**ONE_LESS)
        time.sleep(ms / 1000)
        Account.objects.filter(pk=seller).update(**ONE_MORE)
    return answer(paid=1)


def checkout_across_hops(request: HttpRequest) -> HttpResponse:
    """Move one coin in two steps, `ms` milliseconds apart, in `atomic`: async code has to send its ends to a thread."""
    ms = number(request, "ms", default=0)
    buyer, seller = two_accounts()
    with inside(), transaction.atomic():
        Account.objects.filter(pk=buyer).update(**ONE_LESS)
        time.sleep(ms / 1000)
        Account.objects.filter(pk=seller).update(**ONE_MORE)
    return answer(paid=1)


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Read the whole body of the request and answer how many bytes it had."""
    with inside():
        received = len(request.body)
    return answer(received=received)


def download(request: HttpRequest) -> HttpResponse:
    """Answer `n` times 80 kB."""
    return blocks(number(request, "n", default=1))


def whoami(request: HttpRequest) -> HttpResponse:
    """Answer in which process and thread the view runs, and how many callers are inside."""
    return answer(**whereabouts())


@csrf_protect
def contact(request: HttpRequest) -> HttpResponse:
    """Show the contact form, or redirect once a valid form has been sent."""
    form = ContactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("/contact?sent=yes")
    return contact_page(request, form)
