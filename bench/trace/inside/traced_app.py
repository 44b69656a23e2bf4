"""The ASGI or WSGI entry point that `lab trace --serve` serves: the user's application, wrapped by the tracer.

Each request and each WebSocket leaves a line on standard error, and each request a `Server-Timing` header. For looking,
never for measuring.
"""

import atexit
import os
import runpy
import signal
import socketserver
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref import simple_server

from .app_loader import Refused, load_application
from .callable_names import name_of
from .child import observing
from .model import hops_text, threads_text
from .sink import OpenHop

SERVED: dict[str, str] = {}
"""What `main` was given: the application's name, the folder that it is not to import from, and what to look for.

`blocking`: empty, or milliseconds and a folder for reports (`blocking_pass.py`); then no hop is traced.
"""
EVALUATES = ("hypercorn",)
"""Servers that look the application up in a module's dictionary, which knows nothing of `__getattr__`."""
_WATCHING = ExitStack()
atexit.register(_WATCHING.close)  # while the interpreter is whole: later it would print what it can no longer undo
_ERRORS = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
"""Standard error as it is before the application can close it."""


def main() -> None:
    """Run a server of this interpreter on the application: APP HIDDEN_FOLDER BLOCKING SERVER ARGUMENT ..."""
    _, SERVED["app"], SERVED["hides"], SERVED["blocking"], server, *arguments = sys.argv
    sys.argv[:] = [server, *arguments]
    if SERVED["blocking"]:
        from .blocking_pass import use_asyncio_loop

        use_asyncio_loop()
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # uvicorn raises it again, and reports are due
    if server in EVALUATES:
        globals()["application"] = traced_application()
    if server == "wsgiref":  # the standard library's, which every interpreter has
        with simple_server.make_server("127.0.0.1", int(arguments[0]), traced_application(), _Threaded, _Quiet) as wsgi:
            wsgi.serve_forever()
    else:
        runpy.run_module(server, run_name="__main__", alter_sys=True)


def __getattr__(name: str) -> Any:
    """`application` is loaded when the server asks for it, in the process that serves it."""
    if name != "application":
        raise AttributeError(name)
    return traced_application()


@cache
def traced_application() -> Any:
    """The application that `main` was given, traced; or watched for what blocks its event loop."""
    try:
        real, interface = load_application(SERVED["app"], SERVED["hides"])
        if SERVED["blocking"]:
            from .blocking_pass import require_asgi, watched_application

            milliseconds, _, folder = SERVED["blocking"].partition(":")
            require_asgi(SERVED["app"], real, interface)
            return watched_application(real, Path(folder), float(milliseconds), say)
    except Refused as error:
        sys.exit(f"lab: {error}")
    from .threads import counting_threads
    from .wrappers import TracedASGI, TracedWSGI

    _WATCHING.enter_context(observing())
    _WATCHING.enter_context(counting_threads())
    traced: Any = TracedWSGI if interface == "wsgi" else TracedASGI
    application = traced(real, lambda collector: say(request_line(collector)), says_timing=True)
    return application if interface == "wsgi" else saying_without_lifespan(application)


def saying_without_lifespan(application: Any) -> Any:
    """The same ASGI application, which says when it has no lifespan."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        has_answered = False

        async def noted(message: Any) -> None:
            nonlocal has_answered
            has_answered = True
            await send(message)

        try:
            await application(scope, receive, noted)
        finally:
            if scope["type"] == "lifespan" and not has_answered:
                say("The application has no lifespan.")

    return served


def say(line: str) -> None:
    """Write a line to the server's stderr at once."""
    print(line, file=_ERRORS, flush=True)


def request_line(collector: Any) -> str:
    """The request, its answer, hops, threads, and the parts of its time."""
    trace = collector.trace()
    parts = [f"{trace.method} {trace.path}", str(trace.status or trace.error or "no answer")]
    if trace.method == "WEBSOCKET":
        parts.append(f"consumer on {consumer_thread(collector.hops)}")
    queued = f", {trace.queued_us / 1000:.2f} ms queued" if trace.queued_us else ""
    times = f"{trace.handed_off_us / 1000:.2f} of {trace.took_us / 1000:.2f} ms handed off{queued}"
    return " · ".join([*parts, hops_text(trace.hop_counts), threads_text(trace.threads), times])


def consumer_thread(hops: list[OpenHop]) -> str:
    """Where a socket's consumer runs: a sync one of Channels on the thread that its `dispatch` goes to."""
    threads = (hop.to_thread for hop in hops if name_of(hop.target).endswith("Consumer.dispatch"))
    thread = next(filter(None, threads), None)
    return f"thread {thread.name}" if thread else "the event loop"


class _Threaded(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    """A thread for each request."""

    daemon_threads = True


class _Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *words: Any) -> None:
        """The tracer has a line of its own."""
