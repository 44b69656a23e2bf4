"""The Django project below `/django`: async views, one of them held, and what Django says of its request's end."""

import asyncio
from contextvars import ContextVar
from typing import Any

from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from labs.conformance.notes import ahold, note

KEY: ContextVar[str] = ContextVar("KEY", default="unnamed")
"""The request that Django is called for: the signal does not say which one has finished."""


async def held(request: HttpRequest) -> HttpResponse:
    """Wait until the client says so, and note whether the view was cancelled before."""
    note(KEY.get(), "entered")
    try:
        await ahold(KEY.get())
    except asyncio.CancelledError:
        note(KEY.get(), "cancelled")
        raise
    note(KEY.get(), "ended")
    return HttpResponse("held")


async def read(request: HttpRequest) -> JsonResponse:
    """Answer how many bytes of the body Django has read."""
    return JsonResponse({"read": len(request.body)})


def _note_end(**_: Any) -> None:
    note(KEY.get(), "request_finished")


request_finished.connect(_note_end)

urlpatterns = [path("django/held", held), path("django/read", read)]
