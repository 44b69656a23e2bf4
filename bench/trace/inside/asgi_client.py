"""One request of an ASGI application as a server makes it, with the application's lifespan around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote

from .app_loader import Refused
from .request_spec import RequestSpec
from .sink import make_task

CLIENT, SERVER = ("127.0.0.1", 50_000), ("127.0.0.1", 8000)
VERSION = {"version": "3.0", "spec_version": "2.3"}
ENDS_WITHIN_S = 1.0
"""How long tasks that a request has left behind may take to be cancelled."""


def ask_in_turn(applications: Sequence[Any], ask: RequestSpec, lifespan: Any = None) -> bool | None:
    """The same request to one after the other, on one event loop; what they raise is theirs.

    `lifespan` is started before them and ended after them. Returns whether it has one; None where none was named.
    Raises Refused where its start-up fails.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_task_factory(make_task)
    try:
        return loop.run_until_complete(_in_turn(applications, ask, lifespan))
    finally:
        _end(loop)


async def _in_turn(applications: Sequence[Any], ask: RequestSpec, lifespan: Any) -> bool | None:
    async with running_lifespan(lifespan) as state:
        for application in applications:
            with suppress(BaseException):
                await request(application, ask, state)
    return None if lifespan is None else state is not None


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """As `asyncio.run` does, but a task that does not let itself be cancelled is left."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    with suppress(BaseException):
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=ENDS_WITHIN_S))
        loop.run_until_complete(loop.shutdown_asyncgens())


async def request(application: Any, ask: RequestSpec, state: dict[str, Any] | None = None) -> None:
    """Ask it once, and wait until it returns or raises."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": ask.body.encode(), "more_body": False}
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(answered.wait(), ask.leave_after_s)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Nobody reads it; but a long answer lets others have the loop, as one that is written to a socket does."""
        if message.get("type") == "http.response.body" and not message.get("more_body", False):
            answered.set()
        await asyncio.sleep(0)

    await application(scope_of(ask, state), receive, send)


def scope_of(ask: RequestSpec, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The connection scope of the request; `state` is what the lifespan left."""
    path, query = ask.target
    return {
        "type": "http",
        "asgi": VERSION,
        "http_version": "1.1",
        "method": ask.method,
        "scheme": ask.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": ask.raw_headers,
        "client": CLIENT,
        "server": SERVER,
        **({} if state is None else {"state": state.copy()}),
    }


@asynccontextmanager
async def running_lifespan(application: Any) -> AsyncIterator[dict[str, Any] | None]:
    """The application's lifespan from start-up to shutdown; its state, or None where it has none.

    As servers do it: an application that raises or returns before it has answered has none. Raises Refused where
    start-up fails. Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    if application is None:
        yield None
        return
    state: dict[str, Any] = {}
    to_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": VERSION, "state": state}

    async def send(message: dict[str, Any]) -> None:
        if not message["type"].startswith("lifespan."):
            raise RuntimeError(f"{message['type']!r} is no message of a lifespan")
        await from_application.put(message)

    running = asyncio.ensure_future(_run_quietly(application, scope, to_application.get, send))
    to_application.put_nowait({"type": "lifespan.startup"})
    answer = await _answer(running, from_application)
    if answer.get("type") == "lifespan.startup.failed":
        raise Refused(
            f"The application's lifespan start-up failed: {answer.get('message') or 'it does not say why'}.", 1
        )
    has_one = answer.get("type") == "lifespan.startup.complete"
    yield state if has_one else None
    if has_one and not running.done():
        to_application.put_nowait({"type": "lifespan.shutdown"})
        await _answer(running, from_application)


async def _run_quietly(application: Any, scope: Any, receive: Any, send: Any) -> None:
    with suppress(BaseException):
        await application(scope, receive, send)


async def _answer(running: asyncio.Future[None], answers: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    """The next message of the application; empty where it ends without one."""
    answer = asyncio.ensure_future(answers.get())
    await asyncio.wait((running, answer), return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        await asyncio.sleep(0)
    if not answer.done():
        answer.cancel()
        return {}
    return answer.result()
