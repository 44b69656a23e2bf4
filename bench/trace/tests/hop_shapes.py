"""A Django project in one file with one view for each shape of request, and the hops that each was seen to make.

    python -m bench.trace.tests.hop_shapes wrap

prints what one observer counts, as JSON: a process of its own, because settings and asgiref belong to the process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from bench.base.polling import eventually
from bench.trace.inside import asgi_client, wsgi_client
from bench.trace.inside.asgiref_hooks import monitoring, wrapping
from bench.trace.inside.collector import Collector
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.inside.wrappers import TracedASGI, TracedWSGI
from bench.trace.tests.one_file_project import SHARED_PATHS, set_up
from labs.common.middleware import STARTPROJECT

SYNC_ONLY, ASYNC_ONLY, BOTH = (f"labs.common.middleware.{name}" for name in ("sync_only", "async_only", "both"))
SEVEN = tuple(STARTPROJECT)
OBSERVERS = {"wrap": wrapping, "monitor": monitoring}


@dataclass(frozen=True)
class Shape:
    """A request with the hops it makes: (sync_to_async, async_to_sync), from shared facts or counted by hand."""

    hops: tuple[int, int]
    path: str
    middleware: tuple[str, ...] = ()
    interface: str = "asgi"
    ask: dict[str, Any] = field(default_factory=dict)


# With an async view under ASGI 2 are always there: the signal request_started, and closing the response.
SHAPES = {
    "async view": Shape((2, 0), "/async"),
    "sync view": Shape((3, 0), "/sync"),
    "async view, the seven": Shape((15, 0), "/async", SEVEN),
    "sync view, the seven": Shape((16, 0), "/sync", SEVEN),
    "async view, sync-only": Shape((3, 1), "/async", (SYNC_ONLY,)),
    "async view, sync-only around the seven": Shape((16, 1), "/async", (SYNC_ONLY, *SEVEN)),
    "async view, the seven around sync-only": Shape((4, 1), "/async", (*SEVEN, SYNC_ONLY)),
    "async view, async-only inside the seven": Shape((15, 0), "/async", (*SEVEN, ASYNC_ONLY)),
    "async view, both": Shape((2, 0), "/async", (BOTH,)),
    "WSGI, async view": Shape((0, 1), "/async", (), "wsgi"),
    "WSGI, async view, the seven": Shape((0, 1), "/async", SEVEN, "wsgi"),
    "WSGI, sync view": Shape((0, 0), "/sync", (), "wsgi"),
    "WSGI, sync view, the seven": Shape((0, 0), "/sync", SEVEN, "wsgi"),
    "WSGI, async-only": Shape((1, 1), "/sync", (ASYNC_ONLY,), "wsgi"),  # the loop it makes hops back for the view
    "404": Shape((4, 0), "/nowhere"),  # making the answer and logging it
    "exception": Shape((5, 0), "/raises"),  # and asking exception middleware, of which there is none
    "template response": Shape((3, 0), "/template"),
    "three ORM calls": Shape((5, 0), "/orm"),
    "async stream": Shape((2, 0), "/stream"),
    "sync stream": Shape((3, 0), "/sync_stream"),  # collected as a whole in a thread
    "disconnect": Shape((2, 0), "/slow", ask={"leave_after_s": 0.05}),
    "disconnect in a thread": Shape((3, 0), "/slow_in_thread", ask={"leave_after_s": 0.05}),
    "nested adapters": Shape((4, 1), "/nested"),
}


async def orm(request: HttpRequest) -> HttpResponse:
    from django.contrib.contenttypes.models import ContentType

    counts = [await ContentType.objects.acount() for _ in range(3)]
    return HttpResponse(str(sum(counts)))


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0)
        yield b"b"

    return StreamingHttpResponse(parts())


async def sync_stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    return StreamingHttpResponse(parts())


async def slow(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(30)
    return HttpResponse("slow")


async def slow_in_thread(request: HttpRequest) -> HttpResponse:
    task = asyncio.current_task()
    assert task
    await sync_to_async(eventually)(task.cancelling, 30)
    await asyncio.sleep(30)
    return HttpResponse("slow")


async def nested(request: HttpRequest) -> HttpResponse:
    def in_thread() -> str:
        return async_to_sync(on_loop)()

    async def on_loop() -> str:
        return await sync_to_async(str)("nested")

    return HttpResponse(await sync_to_async(in_thread)())


async def tagged(request: HttpRequest, number: int) -> HttpResponse:
    """As many hops as the number says, each to a function that has it in its name, with pauses in between."""

    def step() -> None:
        pass

    step.__qualname__ = f"step_{number}"
    for _ in range(number % 5):
        await asyncio.sleep(0.001 * (number % 7))
        await sync_to_async(step)()
    return HttpResponse(str(number))


urlpatterns = [
    *SHARED_PATHS,
    *(path("orm", orm), path("stream", stream), path("sync_stream", sync_stream), path("slow", slow)),
    *(path("slow_in_thread", slow_in_thread), path("nested", nested), path("tagged/<int:number>", tagged)),
]


def handler_for(shape: Shape) -> Any:
    """Django's own handler with the shape's middlewares."""
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    with override_settings(MIDDLEWARE=list(shape.middleware)):
        return ASGIHandler() if shape.interface == "asgi" else WSGIHandler()


def traced(shape: Shape) -> dict[str, Any]:
    """One request of that shape through a handler of its own."""
    seen: list[Collector] = []
    ask = RequestSpec("", shape.path, **shape.ask)
    if shape.interface == "asgi":
        asgi_client.send_in_turn([TracedASGI(handler_for(shape), seen.append)], ask)
    else:
        wsgi_client.send_in_turn([TracedWSGI(handler_for(shape), seen.append)], ask)
    return seen[0].trace("shapes").to_json()


async def interleaved(count: int) -> list[dict[str, Any]]:
    """So many requests at once through one handler."""
    seen: list[Collector] = []
    handler = TracedASGI(handler_for(SHAPES["async view"]), seen.append)
    await asyncio.gather(
        *(asgi_client.request(handler, RequestSpec("", f"/tagged/{number}")) for number in range(count))
    )
    return [collector.trace("shapes").to_json() for collector in seen]


def attributes() -> list[dict[str, Any]]:
    return [dict(vars(kind)) for kind in (SyncToAsync, AsyncToSync)]


def seen_by(observer: AbstractContextManager[str]) -> dict[str, Any]:
    """All that the tests want to know of one observer."""
    before = attributes()
    with observer:
        shapes = {name: traced(shape) for name, shape in SHAPES.items()}
        mixed = asyncio.run(interleaved(200))
    return {"shapes": shapes, "interleaved": mixed, "is_as_it_was": attributes() == before}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        set_up(__name__, Path(folder) / "db.sqlite3", "contenttypes")
        print(json.dumps(seen_by(OBSERVERS[sys.argv[1]]())))
