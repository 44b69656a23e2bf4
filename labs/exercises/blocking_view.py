"""Exercise: a view that waits, and stops all other requests.

The view waits as in a client library that blocks. Behind ASGI all requests share one event loop, so no other request is
served meanwhile, not even for another page.

Task: serve all visitors who come at the same time. Each must still wait as long as it asked for.
Run: lab check blocking_view
Hint: labs/traps/blocking_in_async_view.py; the shortest way is another module and one more word.
"""

import time

from django.http import HttpRequest, HttpResponse
from django.urls import path

from labs.common.http import answer, number


async def wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    time.sleep(ms / 1000)
    return answer(waited_ms=ms)


urlpatterns = [path("", wait)]
