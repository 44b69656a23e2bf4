"""Probes Django's ASGI handler by itself: scopes, events of an upload, threads under middleware, the debug log."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.thread import _worker
from functools import cache
from types import CodeType, FrameType
from typing import Any

import django
import httpx
from asgiref.sync import AsyncToSync

from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack

SCOPES = ("http", "websocket", "lifespan")
CHUNKS, PAUSE_S = 3, 0.05
WAITING, WAIT_MS, LOOK_AFTER_S = 3, 400, 0.2
SYNC_ONLY, BOTH = "labs.common.middleware.sync_only", "labs.common.middleware.both"
WHERE = "http://127.0.0.1"


@cache
def _set_up() -> None:
    """Set up labs/async_asgi with the apps of the seven middlewares, once: twice would remove loggers' handlers."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "labs.async_asgi.settings", "LAB_MIDDLEWARE": "startproject"}
    django.setup(set_prefix=False)


def _application(middleware: Sequence[str] = (), *, debug: bool = False) -> Any:
    """Return the handler of labs/async_asgi with these middlewares."""
    _set_up()
    from django.core.handlers.asgi import ASGIHandler
    from django.test import override_settings

    with override_settings(MIDDLEWARE=list(middleware), DEBUG=debug):
        return ASGIHandler()


def scopes() -> dict[str, Any]:
    """Find the kinds of scope that stock Django takes."""
    taken = [scope for scope in SCOPES if asyncio.run(_is_taken(_application(), scope))]
    refused = [scope for scope in SCOPES if scope not in taken]
    return {"scopes": len(SCOPES), "taken": taken, "refused": refused, "refusals": len(refused)}


async def _is_taken(application: Any, scope: str) -> bool:
    if scope == "http":
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=WHERE) as client:
            return (await client.get("/hello")).status_code == 200
    try:
        await application({"type": scope}, None, None)
    except ValueError:
        return False
    return True


def events() -> dict[str, Any]:
    """Upload in some events: after how many of them does a bare callable answer first, and after how many Django?"""
    bare, django_s = (asyncio.run(_upload(application)) for application in (_echo, _application()))
    return {
        "events": CHUNKS,
        "bare_after": bare[0],
        "bare_sent": bare[1],
        "django_after": django_s[0],
        "django_streamed": asyncio.run(_streamed(_application())),
    }


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (event := await receive())["type"] == "http.request":
        await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
        if not event["more_body"]:
            return


async def _upload(application: Any) -> tuple[int, int]:
    """Return how many events had come in when the first body went out, and how many bodies went out."""
    received, bodies = 0, list[int]()

    async def receive() -> dict[str, Any]:
        nonlocal received
        if received == CHUNKS:
            await asyncio.Event().wait()
        await asyncio.sleep(PAUSE_S)
        received += 1
        return {"type": "http.request", "body": b"x", "more_body": received < CHUNKS}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            bodies.append(received)

    await application(_scope("/hello", "POST"), receive, send)
    return bodies[0], len(bodies)


async def _streamed(application: Any) -> int:
    """Count the bodies that Django sends for a feed of some events."""
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            sent.append(b"")
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("the client stays")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    await application(_scope("/feed", "GET", f"n={CHUNKS}&ms=10"), receive, send)
    return sum(bool(body) for body in sent)


def _scope(path: str, method: str, query: str = "") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1")],
    }


def held_thread() -> dict[str, Any]:
    """While async views of some requests wait, count the threads that are blocked waiting for them, and the idle ones.

    Under a sync-only middleware, under one that can do both, and without any.
    """
    found: dict[str, Any] = {"requests": WAITING}
    for name, stack in {"sync_only": [SYNC_ONLY], "both": [BOTH], "alone": list[str]()}.items():
        held, idle = asyncio.run(_held(_application(stack)))
        found |= {f"held_{name}": held, f"idle_{name}": idle}
    return found


async def _held(application: Any) -> tuple[int, int]:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url=WHERE) as client:
        waiting = [asyncio.create_task(client.get(f"/wait?ms={WAIT_MS}")) for _ in range(WAITING)]
        await asyncio.sleep(LOOK_AFTER_S)
        stacks = [list(_codes(frame)) for frame in sys._current_frames().values()]
        await asyncio.gather(*waiting)
    held = sum(AsyncToSync.__call__.__code__ in codes for codes in stacks)
    return held, sum(codes[0] is _worker.__code__ for codes in stacks)


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    """Yield the code of a thread's frames, the innermost first. An idle thread of a pool is in the pool's own loop."""
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def adapted_in_the_log() -> dict[str, Any]:
    """Compare the middlewares that the debug log of `django.request` names with those that make a request hop."""
    from labs.common.middleware import STARTPROJECT

    trace = trace_stack(parse_stack("async_asgi@uvicorn"), parse_request("hello"), ["startproject"])
    hopping = [layer.path for layer in trace.middleware if layer.hops]
    seven = _logged(STARTPROJECT)
    return {
        "sync_only_named": any(SYNC_ONLY in line for line in _logged([SYNC_ONLY])),
        "without_debug": len(_logged([SYNC_ONLY], debug=False)),
        "seven": len(STARTPROJECT),
        "hopping": len(hopping),
        "hopping_unnamed": sum(not any(path in line for line in seven) for path in hopping),
    }


def _logged(middleware: Sequence[str], *, debug: bool = True) -> list[str]:
    """Return the debug lines of `django.request` while Django loads these middlewares."""
    lines: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    _set_up()
    logger, handler = logging.getLogger("django.request"), Noting()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        _application(middleware, debug=debug)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return lines
