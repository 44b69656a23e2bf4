"""The views and their addresses."""

import asyncio

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

CALLS, WAIT_S = 20, 0.25


async def call_upstream(number: int) -> int:
    """Wait as long as a slow service takes."""
    await asyncio.sleep(WAIT_S)
    return number


async def overview(request: HttpRequest) -> HttpResponse:
    """Ask all services at once and answer when the slowest has."""
    answers = await asyncio.gather(*(call_upstream(number) for number in range(CALLS)))
    return JsonResponse({"answers": answers})


urlpatterns = [path("", overview)]
