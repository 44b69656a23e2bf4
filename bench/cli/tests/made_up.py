"""A made-up server: its one entry, its program, and `lab` with that entry added.

python -m bench.cli.tests.made_up lab serve sync_wsgi@made_up:3
python -m bench.cli.tests.made_up serve --threads 3 --listen 127.0.0.1:8000 labs.sync_wsgi.wsgi:application
"""

import argparse
import asyncio
import importlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bench.model.servers import SERVERS, ServerKind

WATCHED = Path(__file__).parents[3] / "labs" / "common" / "gauge.py"
ENTRY = ServerKind(
    name="made_up",
    note="a server of this test's own",
    program="bench.cli.tests.made_up",
    packages=("h11",),  # no other entry has it
    interfaces=("wsgi", "asgi"),
    arguments=lambda budget, interface, needs: [
        *("serve", "--interface", interface),
        *(("--threads", str(budget.threads)) if budget.threads else ()),
    ],
    examples=("sync_wsgi@made_up:3", "async_asgi@made_up"),
    bind=("--listen", "{host}:{port}"),
    reload=("--again",),
    variables=("MADE_UP_",),
    takes_threads=("wsgi",),
    shade=0.2,
    marker=2,
    line="dotted",
)


class PooledServer(WSGIServer):
    """Answers each connection in a thread of a pool."""

    request_queue_size = 128
    pool: ThreadPoolExecutor

    def process_request(self, request: Any, client_address: Any) -> None:
        self.pool.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)


class Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def behind_wsgi(application: Any) -> Any:
    """An ASGI application as a WSGI one: each request on a loop of its own."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        sent: list[dict[str, Any]] = []
        messages: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": b""}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            return await asyncio.Future[dict[str, Any]]()  # no client leaves early

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        path = environ["PATH_INFO"]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": environ["REQUEST_METHOD"],
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "headers": [],
            "query_string": environ["QUERY_STRING"].encode(),
            "client": None,
            "server": None,
        }
        asyncio.run(application(scope, receive, send))
        headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        start_response(f"{sent[0]['status']} .", headers)
        return [message.get("body", b"") for message in sent[1:]]

    return answer


def start_again_after_a_change() -> None:
    """Become the same program anew when a file of the labs changes."""
    before = WATCHED.stat().st_mtime_ns
    while WATCHED.stat().st_mtime_ns == before:
        time.sleep(0.1)
    os.execv(sys.executable, [sys.executable, "-m", ENTRY.program, *sys.argv[1:]])


def serve(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interface")
    parser.add_argument("--threads", type=int, default=20)
    parser.add_argument("--listen")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("application")
    options = parser.parse_args(words)
    module, _, name = options.application.partition(":")
    application = getattr(importlib.import_module(module), name)
    if options.again:
        threading.Thread(target=start_again_after_a_change, daemon=True).start()
    host, _, port = options.listen.rpartition(":")
    answered = application if options.interface == "wsgi" else behind_wsgi(application)
    with (
        make_server(host, int(port), answered, PooledServer, Quiet) as server,
        ThreadPoolExecutor(options.threads) as pool,
    ):
        server.pool = pool
        server.serve_forever()


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "serve":
        serve(words)
    else:
        from bench.cli.main import main

        SERVERS[ENTRY.name] = ENTRY
        sys.exit(main(words))
