"""Asks one lab through its own door, in a process of its own: Django takes one settings module per process.

`python -m labs.tests.ask labs.async_asgi.asgi /hello` prints [[status, headers, body], ...] as JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from labs.bare import wsgi as upstream

TIME_LIMIT_S = 30
Answer = tuple[int, dict[str, str], str]


def run_python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python that knows none of the caller's settings and treats every warning as an error."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LAB_", "DJANGO_"))} | variables
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S)


def ask(door: str, *urls: str, **variables: str) -> tuple[list[Answer], str]:
    """The answers of `door` (labs.sync_wsgi.wsgi, ...) to `urls`, and what it wrote to stderr."""
    done = run_python("-m", "labs.tests.ask", door, *urls, **variables)
    assert done.returncode == 0, done.stderr
    return [(status, headers, body) for status, headers, body in json.loads(done.stdout)], done.stderr


def main(door: str, *urls: str) -> None:
    with running_upstream() as url:
        os.environ.setdefault("LAB_UPSTREAM_URL", url)
        application = import_module(door).application
        if door.endswith("asgi"):
            answers = asyncio.run(ask_asgi(application, urls))
        else:
            answers = [ask_wsgi(validator(application), url) for url in urls]
    print(json.dumps(answers))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # closing the server then waits for its threads and their sockets


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def running_upstream() -> Iterator[str]:
    with make_server("127.0.0.1", 0, upstream.application, _Server, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def ask_wsgi(application: Any, url: str) -> Answer:
    parts = urlsplit(url)
    started: dict[str, Any] = {}
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": parts.path, "QUERY_STRING": parts.query}
    setup_testing_defaults(environ)

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        started.update(status=status, headers=headers)

    body = application(environ, start_response)
    text = b"".join(body).decode()
    body.close()
    return int(started["status"][:3]), lowered(started["headers"]), text


async def ask_asgi(application: Any, urls: tuple[str, ...]) -> list[Answer]:
    answers = [await ask_asgi_once(application, url) for url in urls]
    if client := sys.modules.get("labs.common.upstream_client"):
        await client.shared_client(client.new_async_client, asyncio.get_running_loop()).aclose()
    return answers


async def ask_asgi_once(application: Any, url: str) -> Answer:
    parts, sent = urlsplit(url), []
    scope = {
        "type": "http",
        "method": "GET",
        "path": parts.path,
        "query_string": parts.query.encode(),
        "headers": [(b"host", b"127.0.0.1")],
    }
    messages: list[dict[str, Any]] = [{"type": "http.request"}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.Future()  # a visitor who waits says no more

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return sent[0]["status"], lowered(headers), b"".join(m["body"] for m in sent[1:]).decode()


def lowered(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


if __name__ == "__main__":
    main(*sys.argv[1:])
