"""The doors as a server that is measured has them: `ready:wsgi` and `ready:asgi`. Nothing is traced here.

A request passes through one comparison of ours, by which the server is known as ours once it is ready.
"""

import json
import os
import sys
from functools import cache
from typing import Any

from ..app_loader import Refused
from .doors import DOORS, load_door, prepare
from .what_if import changed_handler

READY_PATH = "/-lab-try-ready-"
"""No project has it. It answers with LAB_INSTANCE, as labs do at /ready."""
INSTANCE = "LAB_INSTANCE"


def __getattr__(name: str) -> Any:
    """An application, loaded in the process that serves it."""
    if name not in DOORS:
        raise AttributeError(name)
    return served(name)


@cache
def served(door: str) -> Any:
    """The application behind a door, which also says that it is ready. Ends this process where it cannot be loaded."""
    try:
        plan = prepare()
        application = changed_handler(load_door(door), plan) if door == "asgi" else load_door(door)
    except Refused as error:
        sys.exit(f"lab: {error}")
    return (ready_asgi if door == "asgi" else ready_wsgi)(application)


def answer() -> bytes:
    """The body of the answer at READY_PATH."""
    return json.dumps({"instance": os.environ.get(INSTANCE, "")}).encode()


def ready_wsgi(application: Any) -> Any:
    """The same WSGI application, which answers at READY_PATH."""

    def ready(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] != READY_PATH:
            return application(environ, start_response)
        body = answer()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return ready


def ready_asgi(application: Any) -> Any:
    """The same ASGI application, which answers at READY_PATH."""

    async def ready(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != READY_PATH:
            await application(scope, receive, send)
            return
        body = answer()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return ready
