"""The process that `lab trace` starts: load an application, ask it once, write down what was seen.

    python -m bench.hops.once ASK.json ANSWER.json

A process of its own, because an application may hang, print, change its process or end it. ANSWER.json holds `trace`,
or `error` with the exit code.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from wsgiref.util import setup_testing_defaults

from bench.errors import ExitCode, LabError
from bench.hops.apps import Application, load
from bench.hops.ask import Ask, read
from bench.hops.collect import Collector, error_text
from bench.hops.layers import layers_of_django
from bench.hops.observe import Monitoring, Observer, Wrapping, best_observer, observing
from bench.hops.trace import Trace
from bench.hops.traced import TracedASGI, TracedWSGI

OBSERVERS: dict[str, Callable[[], Observer]] = {"best": best_observer, "wrap": Wrapping, "monitor": Monitoring}
CLIENT, SERVER = ("127.0.0.1", 50_000), ("127.0.0.1", 8000)


def traced(ask: Ask) -> Trace:
    """Load the application and ask it. UsageError where it cannot be loaded."""
    application = load(ask.app)
    ask_in_turn = ask_asgi if application.interface == "asgi" else ask_wsgi
    seen: list[Collector] = []
    with observing(OBSERVERS[ask.observer]()) as observer, noting_exceptions() as raised:
        ask_in_turn([*([application.call] * ask.warm), wrapped(application, seen.append)], ask)
    (collector,) = seen
    if collector.error is None and collector.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        collector.error = next(reversed(raised), None)
    return collector.trace(application.name, layers_of_django(application.interface), observer.name)


def wrapped(application: Application, on_end: Callable[[Collector], None]) -> Any:
    kind = TracedASGI if application.interface == "asgi" else TracedWSGI
    return kind(application.call, on_end)


@contextmanager
def noting_exceptions() -> Iterator[list[BaseException]]:
    """Exceptions that Django turns into an answer with status 500."""
    raised: list[BaseException] = []
    signals: Any = sys.modules.get("django.core.signals")

    def note(**_: Any) -> None:
        error = sys.exc_info()[1]
        raised.extend([error] if error else [])

    if signals:
        signals.got_request_exception.connect(note, weak=False)
    try:
        yield raised
    finally:
        if signals:
            signals.got_request_exception.disconnect(note)


def ask_asgi(applications: Sequence[Any], ask: Ask) -> None:
    """The same request to one after the other, on one event loop; what they raise is theirs."""

    async def in_turn() -> None:
        for application in applications:
            with suppress(Exception):
                await asked_asgi(application, ask)

    asyncio.run(in_turn())


async def asked_asgi(application: Any, ask: Ask) -> None:
    sent = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": ask.body.encode(), "more_body": False}
        await (asyncio.sleep(ask.leave_after_s) if ask.leave_after_s is not None else asyncio.Event().wait())
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        """Nobody reads it."""

    await application(scope_of(ask), receive, send)


def scope_of(ask: Ask) -> dict[str, Any]:
    path, _, query = ask.path.partition("?")
    length = [("content-length", str(len(ask.body.encode())))] if ask.body else []
    headers = [("host", ask.header("host", "localhost")), *length, *ask.headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()],
        "client": CLIENT,
        "server": SERVER,
    }


def ask_wsgi(applications: Sequence[Any], ask: Ask) -> None:
    """The same request to one after the other, in this thread; what they raise is theirs."""
    for application in applications:
        with suppress(Exception):
            _take_all(application(environ_of(ask), lambda status, headers, *more: lambda part: None))


def _take_all(parts: Any) -> None:
    try:
        for _ in parts:
            pass
    finally:
        if hasattr(parts, "close"):
            parts.close()


def environ_of(ask: Ask) -> dict[str, Any]:
    path, _, query = ask.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": ask.method,
        "PATH_INFO": unquote(path),
        "QUERY_STRING": query,
        "HTTP_HOST": ask.header("host", "localhost"),
        "REMOTE_ADDR": CLIENT[0],
        "CONTENT_LENGTH": str(len(ask.body.encode())),
        "wsgi.input": io.BytesIO(ask.body.encode()),
        **{_variable(name): value for name, value in ask.headers},
    }
    setup_testing_defaults(environ)
    return environ


def _variable(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def answer_to(ask: Ask) -> dict[str, Any]:
    """What is written down: the trace, or the sentence and the exit code."""
    try:
        return {"trace": traced(ask).to_json()}
    except LabError as error:
        return {"error": str(error), "exit_code": int(error.exit_code)}
    except SystemExit as error:
        return {"error": f"{ask.app} ended its process with {error.code!r}.", "exit_code": int(ExitCode.FAILED)}
    except Exception as error:
        return {"error": f"{ask.app} could not be asked: {error_text(error)}.", "exit_code": int(ExitCode.FAILED)}


def main() -> None:
    asked, answered = map(Path, sys.argv[1:3])
    answered.write_text(json.dumps(answer_to(read(asked))))


if __name__ == "__main__":
    main()
