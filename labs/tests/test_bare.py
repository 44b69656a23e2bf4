"""The bare callables, called as a server calls them."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

from labs.bare.asgi import application
from labs.common.plain import answer_to
from labs.tests.ask import run_python


def call(scope: dict[str, Any], received: list[str]) -> list[dict[str, Any]]:
    messages, sent = iter(received), []

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    def run() -> Awaitable[None]:
        return application(scope, receive, send)

    asyncio.run(run())  # type: ignore[arg-type]
    return sent


def test_the_asgi_callable_starts_and_stops_with_the_server() -> None:
    sent = call({"type": "lifespan"}, ["lifespan.startup", "lifespan.shutdown"])
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_the_asgi_callable_answers_without_reading_a_body() -> None:
    sent = call({"type": "http", "path": "/hello", "query_string": b""}, received=[])
    assert sent[1] == {"type": "http.response.body", "body": b'{"message": "hello"}'}


def test_the_asgi_callable_refuses_what_is_not_http() -> None:
    with pytest.raises(ValueError, match="HTTP only, not websocket"):
        call({"type": "websocket"}, received=[])


def test_the_labs_without_a_framework_load_none() -> None:
    done = run_python(
        "-c",
        "import labs.bare.wsgi, labs.bare.asgi, labs.upstream.asgi, sys; print('django' in sys.modules)",
    )
    assert done.stdout == "False\n", done.stderr


def test_a_lab_says_what_it_runs_on_when_it_is_asked() -> None:
    said = json.loads(answer_to("/ready", b"runtime").body)["runtime"]
    assert said["python"].removesuffix("t") == f"{platform.python_implementation()} {platform.python_version()}"
    assert (said["pid"], said["gil"]) == (os.getpid(), getattr(sys, "_is_gil_enabled", lambda: True)())
    assert said["versions"]["pytest"] == pytest.__version__
    assert "json" not in said["versions"]
    assert json.loads(answer_to("/ready", b"").body).keys() == {"instance"}
