"""Starts the servers that probes talk to, and asks them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from bench.base.errors import LabError
from bench.measure.ports import free_port
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import RunningServer, listens_within, serving
from bench.model.servers import HOST

Command = Callable[[int], list[str]]
"""The command line of a server for a port."""
LISTENS_WITHIN_S = OPENS_WITHIN_S = 10.0
OPENED, NO_ANSWER = 101, 0


@contextmanager
def serve(command: Command, **environment: str) -> Iterator[RunningServer]:
    """Serve a lab on a free port until it is ready; killed afterwards. `environment` has more variables for it."""
    port = free_port()
    with serving(command(port), port, environment=environment, grace_s=0) as server:
        yield server


@contextmanager
def serve_anything(command: Command) -> Iterator[str]:
    """Start a server that does not know our nonce; yield its address once it listens; killed afterwards."""
    port = free_port()
    words = command(port)
    with work_folder("probe") as folder:
        log = folder / "server.log"
        process = Process(words, start(words, environment={}, cpus=(), log=log), log, [])
        try:
            if not listens_within(process, port, LISTENS_WITHIN_S):
                raise LabError(f"`{' '.join(words)}` does not listen. The end of its log:\n{process.log_tail()}")
            yield f"http://{HOST}:{port}"
        finally:
            process.stop(within_s=0)


def get(server: RunningServer, path: str) -> dict[str, Any]:
    """Return the JSON of an answer. Raises HTTPStatusError for an error."""
    answer = httpx.get(f"{server.url}{path}", trust_env=False, timeout=30)
    return dict(answer.raise_for_status().json())


def publish(server: RunningServer, text: str) -> int:
    """Send a text to all listeners of the server's process; return how many there were."""
    answer = httpx.post(f"{server.url}/publish", params={"text": text}, trust_env=False, timeout=30)
    return int(answer.raise_for_status().json()["heard"])


async def status_of_handshake(http: str, path: str) -> int:
    """Ask for a WebSocket; return 101 if it opens, the status if it is refused, 0 if no HTTP comes back."""
    url = http.replace("http://", "ws://") + path
    try:
        async with connect(url, origin=http, proxy=None, open_timeout=OPENS_WITHIN_S):  # type: ignore[arg-type]
            return OPENED
    except InvalidStatus as refusal:
        return refusal.response.status_code
    except (InvalidHandshake, EOFError, TimeoutError):
        return NO_ANSWER
