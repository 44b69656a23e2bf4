"""A server for async tests: what Django's test client hides, several requests at once in threads, is there.

    python -m labs.common.as_production

asks a sync view five times at once through Django's `AsyncClient` and through a server, and prints how many were
inside.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

TOGETHER, STARTED_WITHIN_S = 5, 20.0


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """Serve an ASGI application in a thread of this process, on a free port, and yield its address."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        ends_s = time.monotonic() + STARTED_WITHIN_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > ends_s:
                raise RuntimeError("The server did not start.")
            time.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


async def ask_client(path: str) -> None:
    """Gather requests as an async test with Django's client does."""
    from django.test import AsyncClient

    await asyncio.gather(*(AsyncClient().get(path) for _ in range(TOGETHER)))


async def ask_server(path: str) -> None:
    """Gather the same requests from a server: the one line that differs is the client."""
    with serving(_application()) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            await asyncio.gather(*(client.get(path) for _ in range(TOGETHER)))


def _application() -> Any:
    from labs.sync_asgi.asgi import application

    return application


def main() -> dict[str, int]:
    """Return how many of the gathered requests were inside a sync view at once, each way."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "labs.sync_asgi.settings"
    _application()  # sets Django up
    from labs.common.gauge import GAUGE

    found = {}
    for name, ask in (("in the test client", ask_client), ("behind a server", ask_server)):
        for _ in range(5):
            GAUGE.most = 0
            asyncio.run(ask("/wait?ms=300"))
            if GAUGE.most in (1, TOGETHER):  # else a busy machine kept some from meeting
                break
        found[name] = GAUGE.most
    return found


if __name__ == "__main__":
    print(json.dumps(main()))
