"""Sync views: each request has its thread, and waiting blocks it. Read beside labs/async_asgi/views.py."""

import time
from concurrent.futures import ThreadPoolExecutor

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_protect

from labs.common.contact import ContactForm, contact_page
from labs.common.feed import event_stream, events
from labs.common.gauge import inside
from labs.common.http import answer, number
from labs.common.news import NEWS
from labs.common.upstream_client import ask_upstream
from labs.common.work import spend_cpu, whereabouts


def hello(request: HttpRequest) -> HttpResponse:
    return answer(message="hello")


def wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


def blocking_wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside():
        time.sleep(ms / 1000)
    return answer(waited_ms=ms)


def fan_out(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    with inside():
        waited = [ask_upstream(ms) for _ in range(n)]
    return answer(calls=n, waited_ms=sum(waited))


def fan_out_threads(request: HttpRequest) -> HttpResponse:
    n, ms = number(request, "n"), number(request, "ms")
    with inside(), ThreadPoolExecutor(max_workers=n) as pool:
        waited = list(pool.map(ask_upstream, [ms] * n))
    return answer(calls=n, waited_ms=sum(waited))


def burn(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms", default=10)
    with inside():
        spend_cpu(ms)
    return answer(burned_ms=ms)


def feed(request: HttpRequest) -> StreamingHttpResponse:
    n, ms = number(request, "n", default=10), number(request, "ms", default=1000)
    return event_stream(events(n, ms))


def poll(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    with inside(), NEWS.heard_by_thread() as inbox:
        news = inbox.next(ms / 1000)
    return answer(news=news)


def whoami(request: HttpRequest) -> HttpResponse:
    return answer(**whereabouts())


@csrf_protect
def contact(request: HttpRequest) -> HttpResponse:
    form = ContactForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return redirect("/contact?sent=yes")
    return contact_page(request, form)
