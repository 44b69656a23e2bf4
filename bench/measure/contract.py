"""Checks that a live server answers as the workload promises, before anything is timed (checklist: equal work)."""

import socket
from urllib.parse import urlsplit

import msgspec

from bench.analyse.utilisation import least_s
from bench.base.bounded_http import Answer, ask
from bench.base.errors import LabError, NotRun
from bench.model.environments import own_variables_of
from bench.model.stacks import Stack
from bench.model.trial_record import ServerEnvironment
from bench.model.workloads import Request

CONNECT_WITHIN_S = 5.0
PROBED_WITHIN_S = 30.0  # beside the wait of the request itself
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
    """Raise NotRun if nothing listens at the address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=CONNECT_WITHIN_S).close()
    except OSError as error:
        raise NotRun(
            f"Nothing listens at {url} ({error.strerror or error}): start the server there, "
            f"for instance with `lab serve {stack.name} --bind ADDRESS --i-own-this-host`."
        ) from None


def check_contract(url: str, request: Request, stack: Stack) -> None:
    """Send one request. Raises ContractBroken, with what was expected and what came."""
    wait_s = request.io_wait_s(stack)
    try:
        answer = ask(url, request.path, PROBED_WITHIN_S + wait_s)
    except OSError as error:
        raise ContractBroken(f"{stack.name} did not answer {request.path}: {error}.") from None
    check_answer(answer, request, stack)
    if answer.took_s < least_s(wait_s, request.parameters):
        raise ContractBroken(
            f"{stack.name} broke the contract of {request.name}: it answers after {1000 * answer.took_s:.1f} ms, "
            f"not after {1000 * wait_s:g} ms."
        )


def ask_environment(url: str, stack: Stack) -> ServerEnvironment | None:
    """Ask a running server what it runs on; None if it does not say, as one that is not ours."""
    try:
        said = ask(url, f"{stack.ready_path}?runtime", CONNECT_WITHIN_S).json()["runtime"]
        described = {**said, "name": stack.environment, "variables": own_variables_of(stack.environment)}
        return msgspec.convert(described, ServerEnvironment)
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError):
        return None


def check_answer(answer: Answer, request: Request, stack: Stack) -> None:
    """Compare status, type, length and body with the promise. A stream has no length: it comes in chunks."""
    expected = request.body
    length = None if request.workload.content_type == "text/event-stream" else str(len(answer.body))
    promise = {
        "status": (answer.status, 200),
        "content-type": (answer.headers.get("content-type"), request.workload.content_type),
        "content-length": (answer.headers.get("content-length"), length),
        "body": (answer.body, expected if expected is not None else answer.body),
    }
    for what, (seen, promised) in promise.items():
        if seen != promised:
            raise ContractBroken(
                f"{stack.name} broke the contract of {request.name}: {what} is {str(seen)[:200]}, "
                f"not {str(promised)[:200]}."
            )
    if expected is None and set(answer.json()) != WHOAMI_KEYS:
        raise ContractBroken(f"{stack.name} answers whoami with the keys {sorted(answer.json())}.")
