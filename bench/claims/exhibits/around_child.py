"""What `around` runs in the environment of labs/around: CPU of a request through each door, and nothing of bench.

python around_child.py PATH ROUNDS REQUESTS

prints {"wsgi": [µs of CPU a request in each round], "asgi": [...], "status": {"wsgi": 200, "asgi": 200}}. The doors
take turns, round by round, in one process and on one event loop; the first round warms up and does not count.
"""

import asyncio
import io
import json
import sys
import time
from typing import Any

from labs.around.asgi import application as asgi
from labs.around.wsgi import application as wsgi

STATUS: dict[str, int] = {}


def ask_wsgi(path: str) -> None:
    """Send one request and read its answer to the end."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }
    answer = wsgi(environ, lambda status, headers, *more: STATUS.update(wsgi=int(status[:3])))
    try:
        for _ in answer:
            pass
    finally:
        answer.close()


async def ask_asgi(path: str) -> None:
    """Send one request and read its answer to the end."""
    received: list[None] = []

    async def receive() -> dict[str, Any]:
        if received:
            await asyncio.Event().wait()
        received.append(None)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            STATUS.update(asgi=message["status"])

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    await asgi(scope, receive, send)


def main(path: str, rounds: int, requests: int) -> dict[str, Any]:
    """Let the doors take turns and return the CPU of a request in each round, in µs."""
    found: dict[str, Any] = {"wsgi": [], "asgi": [], "status": STATUS}

    async def many() -> None:
        for _ in range(requests):
            await ask_asgi(path)

    with asyncio.Runner() as runner:
        for _ in range(rounds + 1):
            began_s = time.process_time()
            for _ in range(requests):
                ask_wsgi(path)
            turned_s = time.process_time()
            runner.run(many())
            found["wsgi"].append((turned_s - began_s) / requests * 1e6)
            found["asgi"].append((time.process_time() - turned_s) / requests * 1e6)
    return {**found, "wsgi": found["wsgi"][1:], "asgi": found["asgi"][1:]}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
