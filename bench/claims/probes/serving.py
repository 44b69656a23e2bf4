"""Starts the servers that probes talk to, and asks them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from bench.base.errors import LabError
from bench.measure.ports import free_port
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import RunningServer, listens_within, serving
from bench.model.servers import HOST

Command = Callable[[int], list[str]]
"""The command line of a server for a port."""
LISTENS_WITHIN_S = 10.0


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
