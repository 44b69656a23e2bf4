"""The slow service of the exercise about overlapping calls, in this process, so that we can count its callers."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from bench.model.servers import HOST
from labs.common.gauge import Gauge


class SlowService(ThreadingHTTPServer):
    """Answers `/wait?ms=` as labs/upstream does, and counts its callers."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__((HOST, 0), _SlowAnswer)
        self.gauge, self.url = Gauge(), f"http://{HOST}:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing if a client has left; the counts show it."""


class _SlowAnswer(BaseHTTPRequestHandler):
    server: "SlowService"

    def do_GET(self) -> None:
        ms = int(parse_qs(urlsplit(self.path).query)["ms"][0])
        with self.server.gauge.inside():
            time.sleep(ms / 1000)
        body = json.dumps({"waited_ms": ms}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def slow_service() -> Iterator[SlowService]:
    """Serve in a thread on a free port for as long as the `with` block runs."""
    with SlowService() as service:
        thread = Thread(target=service.serve_forever, args=[0.01])
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
