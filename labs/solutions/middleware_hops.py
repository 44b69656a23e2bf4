"""Solution: an async half that calls the hooks on the loop, where Django would send them to a thread.

This is right only for hooks without I/O: a hook that asks a database would now block the loop, or be refused.
"""

import asyncio
import time

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from labs.common.http import answer, number


class Took(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        request.began_s = time.monotonic()

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        took_s = time.monotonic() - request.began_s
        response.headers["X-Took-Ms"] = str(round(1000 * took_s))
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response = await self.get_response(request)
        return self.process_response(request, response)


async def wait(request: HttpRequest) -> HttpResponse:
    ms = number(request, "ms")
    await asyncio.sleep(ms / 1000)
    return answer(waited_ms=ms)


urlpatterns = [path("", wait)]
