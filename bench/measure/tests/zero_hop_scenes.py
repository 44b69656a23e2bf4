"""The same requests through Django's ASGI handler and through `ZeroHopHandler`, and all that can be seen of each.

    python -m bench.measure.tests.zero_hop_scenes

prints {scene: {"django": seen, "zero_hop": seen}} as JSON. A process of its own, because settings belong to a process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from asgiref.sync import async_to_sync, sync_to_async
from django.core import signals
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from bench.trace.inside.asgi_client import scope_of
from bench.trace.inside.asgiref_hooks import observing
from bench.trace.inside.collector import Collector
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.inside.wrappers import TracedASGI
from bench.trace.tests.one_file_project import SHARED_PATHS, set_up
from labs.common.middleware import STARTPROJECT

HOP_FREE = [
    f"labs.zero_hop.middleware.{name}"
    for name in ("Security", "Session", "Common", "Csrf", "Authentication", "Message", "XFrameOptions")
]
LOG: list[str] = []


@dataclass(frozen=True)
class Scene:
    """A request: whether under the seven, who listens to Django's signals, when the client leaves.

    `leave_after_s` counts from when the view has begun; 0 is before that.
    """

    path: str
    seven: bool = False
    listens: str = ""
    ask: dict[str, Any] = field(default_factory=dict)


FORM = {"method": "POST", "body": "word=hello", "headers": [("content-type", "application/x-www-form-urlencoded")]}
UPLOAD = {
    "method": "POST",
    "headers": [("content-type", "multipart/form-data; boundary=edge")],
    "body": '--edge\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--edge--\r\n',
}
PATHS = (
    "/async",
    "/sync",
    "/raises",
    "/nowhere",
    "/template",
    "/orm",
    "/stream",
    "/sync_stream",
    "/file",
    "/whole_body",
)
SCENES = {
    **{
        f"{where}{' under the seven' if seven else ''}": Scene(where, seven)
        for where in PATHS
        for seven in (False, True)
    },
    "a form": Scene("/whole_body", ask=FORM),
    "a form without its token": Scene("/whole_body", True, ask=FORM),
    "a form without a check": Scene("/exempt", True, ask=FORM),
    "an upload": Scene("/upload", ask=UPLOAD),
    "an upload under the seven": Scene("/upload", True, ask=UPLOAD),
    "a session is saved": Scene("/saves_session", True),
    "a session is read": Scene("/reads_session", True, ask={"headers": [("cookie", "sessionid=nosuchsession")]}),
    "a message is added": Scene("/adds_message", True),
    "a user is looked at": Scene("/looks_at_user", True),
    "a token is made": Scene("/makes_token", True),
    "sync receivers": Scene("/async", listens="sync"),
    "async receivers": Scene("/async", listens="async"),
    "receivers and the ORM": Scene("/orm", True, listens="sync"),
    "a client leaves": Scene("/slow", ask={"leave_after_s": 0.05}),
    "a client leaves, with receivers": Scene("/slow", True, listens="sync", ask={"leave_after_s": 0.05}),
    "a client leaves a view that used the ORM": Scene("/slow_orm", ask={"leave_after_s": 0.05}),
    "a client leaves a view that takes no notice": Scene("/stubborn", ask={"leave_after_s": 0.05}),
    "a client leaves a stream": Scene("/slow_stream", ask={"leave_after_s": 0.05}),
    "a client leaves before the body": Scene("/async", ask={"leave_after_s": 0.0, "method": "POST"}),
    "a bad path": Scene("/async?x=%ff"),
}


async def orm(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth.models import User

    return HttpResponse(str(await User.objects.acount()))


async def parts(pause_s: float) -> AsyncIterator[bytes]:
    try:
        for part in (b"a", b"b"):
            yield part
            await asyncio.sleep(pause_s)
    finally:
        LOG.append("stream closed")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts(0))


async def slow_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts(30))


async def sync_stream(request: HttpRequest) -> StreamingHttpResponse:
    def generated() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            LOG.append("generator closed")

    return StreamingHttpResponse(generated())


class Watched(tempfile.SpooledTemporaryFile):
    def close(self) -> None:
        if not self.closed:
            LOG.append("file closed")
        super().close()


async def file(request: HttpRequest) -> FileResponse:
    content = Watched()
    content.write(b"content")
    content.seek(0)
    return FileResponse(content, filename="a.txt")


async def whole_body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body or b"none")


async def upload(request: HttpRequest) -> HttpResponse:
    (uploaded,) = request.FILES.getlist("f")
    original = uploaded.close

    def close() -> None:
        LOG.append("upload closed")
        original()

    uploaded.close = close
    return HttpResponse(uploaded.read())


async def saves_session(request: HttpRequest) -> HttpResponse:
    await request.session.aset("word", "hello")
    return HttpResponse("saved")


async def reads_session(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await request.session.aget("word")))


async def adds_message(request: HttpRequest) -> HttpResponse:
    from django.contrib import messages

    messages.info(request, "hello")
    return HttpResponse("added")


async def looks_at_user(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await request.auser()))


async def makes_token(request: HttpRequest) -> HttpResponse:
    from django.middleware.csrf import get_token

    return HttpResponse(str(len(get_token(request))))


def has_begun(request: HttpRequest) -> None:
    """Let the client leave, or the server end the request."""
    cast(ASGIRequest, request).scope["begun"].set()


async def slow(request: HttpRequest) -> HttpResponse:
    try:
        has_begun(request)
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        LOG.append("view cancelled")
        raise
    return HttpResponse("slow")


async def stubborn(request: HttpRequest) -> HttpResponse:
    try:
        has_begun(request)
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        LOG.append("view went on")
    await asyncio.sleep(0.01)
    return StreamingHttpResponse(parts(0))


async def slow_orm(request: HttpRequest) -> HttpResponse:
    await orm(request)
    return await slow(request)


def exempt(view: Any) -> Any:
    from django.views.decorators.csrf import csrf_exempt

    return csrf_exempt(view)


urlpatterns = [
    *SHARED_PATHS,
    *(path("orm", orm), path("stream", stream), path("slow_stream", slow_stream), path("sync_stream", sync_stream)),
    *(path("file", file), path("whole_body", whole_body), path("exempt", exempt(whole_body))),
    *(path("upload", exempt(upload)), path("saves_session", saves_session), path("reads_session", reads_session)),
    *(path("adds_message", adds_message), path("looks_at_user", looks_at_user), path("makes_token", makes_token)),
    *(path("slow", slow), path("slow_orm", slow_orm), path("stubborn", stubborn)),
]


@contextmanager
def watching(listens: str) -> Iterator[None]:
    """Note connections that open and close, and receivers of the kind that listens."""
    from django.db.backends.sqlite3.base import DatabaseWrapper

    connect, close = DatabaseWrapper.connect, DatabaseWrapper._close

    def noted_connect(self: Any) -> None:
        LOG.append("connection opened")
        connect(self)

    def noted_close(self: Any) -> None:
        if self.connection is not None:
            LOG.append("connection closed")
        close(self)

    def started(**_: Any) -> None:
        LOG.append("request started")

    def finished(**_: Any) -> None:
        LOG.append("request finished")

    async def started_async(**_: Any) -> None:
        LOG.append("request started")

    async def finished_async(**_: Any) -> None:
        LOG.append("request finished")

    kinds = {"": (), "sync": (started, finished), "async": (started_async, finished_async)}
    receivers = list(zip((signals.request_started, signals.request_finished), kinds[listens], strict=False))
    DatabaseWrapper.connect, DatabaseWrapper._close = noted_connect, noted_close
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        DatabaseWrapper.connect, DatabaseWrapper._close = connect, close
        for signal, receiver in receivers:
            signal.disconnect(receiver)


async def asked(application: Any, ask: RequestSpec, begun: asyncio.Event | None = None) -> list[dict[str, Any]]:
    """The messages that the application sent. `begun` is set by a view that waits, and by the first part sent."""
    sent, asked_for, begun = list[dict[str, Any]](), list[bool](), begun or asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not asked_for and ask.leave_after_s != 0:
            asked_for.append(True)
            return {"type": "http.request", "body": ask.body.encode()}
        if ask.leave_after_s:
            await begun.wait()
        await (asyncio.sleep(ask.leave_after_s) if ask.leave_after_s is not None else asyncio.Event().wait())
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message.get("body"):
            begun.set()

    with suppress(Exception):
        await application({**scope_of(ask), "begun": begun}, receive, send)
    LOG.extend(["still being cancelled"] * cast("asyncio.Task[None]", asyncio.current_task()).cancelling())
    return sent


def plain(messages: list[dict[str, Any]]) -> list[Any]:
    """Messages as JSON data, without what is made by chance: tokens and session keys in cookies."""
    return [_plain(message) for message in messages]


def _plain(message: dict[str, Any]) -> Any:
    headers = [(name.decode(), value.decode()) for name, value in message.get("headers", [])]
    shown = [(name, value.partition("=")[0] if name == "Set-Cookie" else value) for name, value in headers]
    return {
        **{k: v for k, v in message.items() if k != "headers"},
        "body": message.get("body", b"").decode(),
        "headers": shown,
    }


def seen_of(handler_class: type[ASGIHandler], middleware: list[str], scene: Scene) -> dict[str, Any]:
    """Messages, what was logged, and the hops of one scene through one handler."""
    LOG.clear()
    collected: list[Collector] = []
    with override_settings(MIDDLEWARE=middleware), watching(scene.listens):
        handler = handler_class()
        messages = asyncio.run(asked(TracedASGI(handler, collected.append), RequestSpec("", scene.path, **scene.ask)))
    trace = collected[0].trace()
    return {"messages": plain(messages), "log": sorted(LOG), "hops": sum(trace.hop_counts.values())}


def ended_by_the_server(handler_class: type[ASGIHandler]) -> list[str]:
    """What is logged when the server cancels the request, as one does that shuts down."""
    LOG.clear()

    async def started_and_cancelled() -> None:
        begun = asyncio.Event()
        request = asyncio.create_task(asked(handler_class(), RequestSpec("", "/slow"), begun))
        await begun.wait()
        request.cancel()
        try:
            await request
        except asyncio.CancelledError:
            LOG.append("request cancelled")

    asyncio.run(started_and_cancelled())
    return sorted(LOG)


def called_from_sync_code(handler_class: type[ASGIHandler]) -> list[str]:
    """What becomes of a connection that sync code has open when it calls the handler through async_to_sync."""
    from django.db import connection

    connection.ensure_connection()
    LOG.clear()
    with watching(""):
        async_to_sync(asked)(handler_class(), RequestSpec("", "/async"))
    return sorted(LOG)


def in_a_shared_thread(handler_class: type[ASGIHandler]) -> list[str]:
    """What becomes of a connection that an earlier request left in the thread that both are given."""
    from concurrent.futures import ThreadPoolExecutor

    from asgiref.sync import ThreadSensitiveContext
    from django.db import connection

    async def both() -> None:
        with ThreadPoolExecutor(1) as executor:
            async with ThreadSensitiveContext(executor=executor):
                await sync_to_async(lambda: connection.ensure_connection())()  # of that thread, not of this one
                LOG.clear()
                await asked(handler_class(), RequestSpec("", "/async"))

    with watching(""):
        asyncio.run(both())
    return sorted(LOG)


def main() -> dict[str, Any]:
    from labs.zero_hop.handler import ZeroHopHandler

    handlers = {"django": (ASGIHandler, STARTPROJECT), "zero_hop": (ZeroHopHandler, HOP_FREE)}
    with observing():
        scenes = {
            name: {
                who: seen_of(handler, list(seven) if scene.seven else [], scene)
                for who, (handler, seven) in handlers.items()
            }
            for name, scene in SCENES.items()
        }
    threads = {who: in_a_shared_thread(handler) for who, (handler, _) in handlers.items()}
    callers = {who: called_from_sync_code(handler) for who, (handler, _) in handlers.items()}
    ended = {who: ended_by_the_server(handler) for who, (handler, _) in handlers.items()}
    return {
        "scenes": scenes,
        "in a shared thread": threads,
        "called from sync code": callers,
        "ended by the server": ended,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        set_up(__name__, Path(folder) / "db.sqlite3")
        logging.disable(logging.CRITICAL)
        print(json.dumps(main()))
