"""Exercise: a view that waits, and everybody else with it.

The view waits as a client library does that knows nothing of event loops. Behind ASGI all requests share one loop, so
nobody else gets in meanwhile, not even to another page.

Task: let all visitors in who come at the same time. Each is still to wait as long as asked for.
Run: lab check blocking_view
Hint: labs/traps/blocking_in_async_view.py; the shortest of the ways out is another module and one word.
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
