"""One request to an ASGI application, sent as a server sends it, with the application's lifespan around it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any
from urllib.parse import unquote

from .app_loader import FAILED, Refused
from .request_spec import RequestSpec
from .sink import make_task

CLIENT, SERVER = ("127.0.0.1", 50_000), ("127.0.0.1", 8000)
VERSION = {"version": "3.0", "spec_version": "2.3"}
ENDS_WITHIN_S = 1.0
"""How long tasks that a request has left behind may take to be cancelled."""


def send_in_turn(applications: Sequence[Any], spec: RequestSpec, lifespan: Any = None) -> bool | None:
    """Send the same request to one after the other, on one event loop; what they raise is theirs.

    The lifespan of the application `lifespan` is started before them and ended after them. Returns whether it has one;
    None where none was named. Raises Refused where its start-up fails.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_task_factory(make_task)
    try:
        return loop.run_until_complete(_in_turn(applications, spec, lifespan))
    finally:
        _end(loop)


async def _in_turn(applications: Sequence[Any], spec: RequestSpec, lifespan: Any) -> bool | None:
    async with nullcontext() if lifespan is None else running_lifespan(lifespan) as state:
        for application in applications:
            with suppress(BaseException):
                await request(application, spec, state)
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


async def request(application: Any, spec: RequestSpec, state: dict[str, Any] | None = None) -> None:
    """Send it once, and wait until the application returns or raises."""
    sent, answered = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": spec.body.encode(), "more_body": False}
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(answered.wait(), spec.leave_after_s)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Take a part. A long answer lets others have the loop, as one that is written to a socket does."""
        if message.get("type") == "http.response.body" and not message.get("more_body", False):
            answered.set()
        await asyncio.sleep(0)

    await application(scope_of(spec, state), receive, send)


def scope_of(spec: RequestSpec, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """The connection scope of the request; `state` is what the lifespan left."""
    path, query = spec.target
    return {
        "type": "http",
        "asgi": VERSION,
        "http_version": "1.1",
        "method": spec.method,
        "scheme": spec.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": spec.raw_headers,
        "client": CLIENT,
        "server": SERVER,
        **({} if state is None else {"state": state.copy()}),
    }


@asynccontextmanager
async def running_lifespan(application: Any) -> AsyncIterator[dict[str, Any] | None]:
    """Run the application's lifespan from start-up to shutdown. Yields its state, or None where it has none.

    As servers do it: an application that raises or returns before it has answered has none. Raises Refused where
    start-up fails. Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """
    state: dict[str, Any] = {}
    events, answers = asyncio.Queue[dict[str, Any]](), asyncio.Queue[dict[str, Any]]()

    async def send(message: dict[str, Any]) -> None:
        if not message["type"].startswith("lifespan."):
            raise RuntimeError(f"{message['type']!r} is no message of a lifespan")
        answers.put_nowait(message)

    async def run() -> None:
        with suppress(BaseException):
            await application({"type": "lifespan", "asgi": VERSION, "state": state}, events.get, send)
        answers.put_nowait({"type": "ended"})

    running = asyncio.ensure_future(run())
    events.put_nowait({"type": "lifespan.startup"})
    answer = await answers.get()
    if answer["type"] == "lifespan.startup.failed":
        said = answer.get("message") or "it does not say why"
        raise Refused(f"The application's lifespan start-up failed: {said}.", FAILED)
    has_one = answer["type"] == "lifespan.startup.complete"
    yield state if has_one else None
    if has_one and not running.done():
        events.put_nowait({"type": "lifespan.shutdown"})
        await answers.get()
