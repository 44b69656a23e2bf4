"""The contract, asked of a live server through httpx before anything is timed (METHOD, item 1)."""

import socket
from urllib.parse import urlsplit

import httpx

from bench.errors import LabError, NotRun
from bench.stacks import Stack
from bench.workloads import Request

CONNECT_WITHIN_S = 5.0
PROBED_WITHIN_S = 30.0
WHOAMI_KEYS = {
    "pid",
    "thread_name",
    "thread_id",
    "loop_running",
    "threads_alive",
    "inside_now",
    "inside_most",
    "inside_ended",
    "inside_cut_short",
}


class ContractBroken(LabError):
    """The server gives another answer than the workload promises."""


def require_reachable(url: str, stack: Stack) -> None:
    """Raise NotRun where nobody listens at the address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=CONNECT_WITHIN_S).close()
    except OSError as error:
        raise NotRun(
            f"Nobody listens at {url} ({error.strerror or error}): start the server there, "
            f"for instance with `lab serve {stack.name} --bind ADDRESS --i-own-this-host`."
        ) from None


def probe(url: str, request: Request, stack: Stack) -> None:
    """Ask once; ContractBroken says what was expected and what came."""
    with httpx.Client(base_url=url, timeout=PROBED_WITHIN_S, trust_env=False) as client:
        try:
            answer = client.get(request.path)
        except httpx.HTTPError as error:
            raise ContractBroken(f"{stack.name} did not answer {request.path}: {error!r}.") from None
    check(answer, request, stack)


def check(answer: httpx.Response, request: Request, stack: Stack) -> None:
    """Compare status, type, length and body with the promise. A stream has no length: it comes in chunks."""
    expected = request.body
    length = None if request.workload.content_type == "text/event-stream" else str(len(answer.content))
    promise = {
        "status": (answer.status_code, 200),
        "content-type": (answer.headers.get("content-type"), request.workload.content_type),
        "content-length": (answer.headers.get("content-length"), length),
        "body": (answer.content, expected if expected is not None else answer.content),
    }
    for what, (seen, promised) in promise.items():
        if seen != promised:
            raise ContractBroken(
                f"{stack.name} broke the contract of {request.name}: {what} is {str(seen)[:200]}, "
                f"not {str(promised)[:200]}."
            )
    if expected is None and set(answer.json()) != WHOAMI_KEYS:
        raise ContractBroken(f"{stack.name} answers whoami with the keys {sorted(answer.json())}.")
