"""Beside the workloads: the page of a chat room, and what is open in this process."""

import asyncio
from itertools import count
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labs.common.http import answer
from labs.common.news import NEWS

NUMBERS = count(1)
LOOPS = WeakKeyDictionary[asyncio.AbstractEventLoop, int]()


async def chat(request: HttpRequest, room: str) -> HttpResponse:
    """Show the page of a chat room."""
    return render(request, "chat.html", {"room": room})


async def process(request: HttpRequest) -> HttpResponse:
    """Which handler serves, on which of the process's event loops, and what is open there."""
    loop = LOOPS.setdefault(asyncio.get_running_loop(), next(NUMBERS))
    groups = getattr(get_channel_layer(), "groups", {})
    return answer(
        request=type(request).__name__,
        loop=loop,
        tasks=len(asyncio.all_tasks()),
        news_listeners=NEWS.listeners,
        in_rooms=sum(map(len, groups.values())),
    )
