"""The one list of server programs: one entry each, with all that the lab knows of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.base.errors import UsageError

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
OWN_HOST_VARIABLE = "LAB_I_OWN_THIS_HOST"
# What has to be equal everywhere: one keep-alive for all that have one (gunicorn defaults to 2 s, uvicorn to 5 s),
# longer than any pause of ours, so that no connection is closed under a client that is about to use it.
KEEP_ALIVE_S = 75
BACKLOG = 2048
GRACEFUL_STOP_S = 1
# WebSockets: the largest message a server reads before its application sees it, and how often it asks who is there.
LARGEST_MESSAGE_BYTES = 2 * 1024 * 1024
PING_S = 20
Interface = Literal["wsgi", "asgi"]
Need = Literal["websockets", "lifespan"]


@dataclass(frozen=True)
class Budget:
    """Concurrency a server is given: `threads` per process (None where the server takes none)."""

    threads: int | None
    processes: int


@dataclass(frozen=True)
class ServerKind:
    """A server program: what it speaks, what it needs installed, and its arguments for a budget.

    `live_arguments` are those for labs that need more than HTTP; None where we have it serve none of them.
    """

    name: str
    interface: Interface
    takes_threads: bool
    modules: tuple[str, ...]
    arguments: Callable[[Budget], list[str]]
    note: str
    live_arguments: Callable[[Budget, Sequence[Need]], list[str]] | None = None
    takes_processes: bool = True


def _gunicorn(worker_class: str, budget: Budget, *more: str) -> list[str]:
    return [
        *("gunicorn", "--worker-class", worker_class, "--workers", str(budget.processes), *more),
        *("--keep-alive", str(KEEP_ALIVE_S), "--backlog", str(BACKLOG)),
        *("--graceful-timeout", str(GRACEFUL_STOP_S), "--http-parser", "python"),
        *("--log-level", "warning", "--no-control-socket"),
    ]


def _gthread(budget: Budget) -> list[str]:
    threads = budget.threads or 1
    # With several processes the first one to wake takes every connection unless each may hold no more than it
    # has threads for. With one process that limit would only starve clients, so it is far away.
    connections = threads if budget.processes > 1 else max(10_000, 2 * threads)
    return _gunicorn("gthread", budget, "--threads", str(threads), "--worker-connections", str(connections))


def _uvicorn(budget: Budget, *protocols: str) -> list[str]:
    return [
        *("uvicorn", "--workers", str(budget.processes), "--loop", "uvloop", "--http", "httptools"),
        *(protocols or ("--ws", "none", "--lifespan", "off")),
        *("--no-access-log", "--log-level", "warning"),
        *("--timeout-keep-alive", str(KEEP_ALIVE_S), "--backlog", str(BACKLOG)),
        *("--timeout-graceful-shutdown", str(GRACEFUL_STOP_S)),
    ]


def _live_uvicorn(budget: Budget, needs: Sequence[Need]) -> list[str]:
    # Not `--ws websockets`: uvicorn warns that it is deprecated.
    protocols = ("--ws", "websockets-sansio" if "websockets" in needs else "none")
    lifespan = ("--lifespan", "on" if "lifespan" in needs else "off")
    pings = ("--ws-ping-interval", str(PING_S), "--ws-ping-timeout", str(PING_S))
    return _uvicorn(budget, *protocols, *lifespan, "--ws-max-size", str(LARGEST_MESSAGE_BYTES), *pings)


def _daphne(budget: Budget, needs: Sequence[Need] = ()) -> list[str]:
    largest = str(LARGEST_MESSAGE_BYTES)
    return [
        *("daphne", "--verbosity", "0", "--no-server-name"),
        *("--websocket-max-message-size", largest, "--websocket-max-frame-size", largest),
        *("--ping-interval", str(PING_S), "--ping-timeout", str(PING_S), "--websocket_timeout", "-1"),
    ]


SERVERS = {
    server.name: server
    for server in (
        ServerKind(
            "sync",
            "wsgi",
            False,
            ("gunicorn",),
            lambda budget: _gunicorn("sync", budget),
            "one request at a time per process; no keep-alive",
        ),
        ServerKind(
            "gthread",
            "wsgi",
            True,
            ("gunicorn",),
            _gthread,
            "a pool of T threads per process; with several processes no keep-alive",
        ),
        ServerKind(
            "gunicorn_asgi",
            "asgi",
            False,
            ("gunicorn", "uvloop"),
            lambda budget: _gunicorn("asgi", budget, "--asgi-loop", "uvloop", "--asgi-lifespan", "off"),
            "gunicorn's own ASGI worker, on uvloop",
        ),
        ServerKind(
            "uvicorn",
            "asgi",
            False,
            ("uvicorn", "uvloop", "httptools"),
            _uvicorn,
            "uvloop and httptools, pinned",
            live_arguments=_live_uvicorn,
        ),
        ServerKind(
            "uvicorn_worker",
            "asgi",
            False,
            ("gunicorn", "uvicorn_worker", "uvloop", "httptools"),
            lambda budget: _gunicorn("labs.common.workers.PinnedUvicornWorker", budget),
            "uvicorn under gunicorn, uvloop and httptools pinned",
        ),
        ServerKind(
            "daphne",
            "asgi",
            False,
            ("daphne",),
            _daphne,
            "Twisted; one process, its own keep-alive, no lifespan, no grace: SIGTERM cancels what is open",
            live_arguments=_daphne,
            takes_processes=False,
        ),
    )
}


def bind_arguments(program: str, host: str, port: int) -> list[str]:
    """Return the arguments that bind the program to an address."""
    match program:
        case "uvicorn":
            return ["--host", host, "--port", str(port)]
        case "daphne":  # its own --port and --bind leave the backlog at Twisted's 50
            return ["--endpoint", f"tcp:port={port}:interface={host}:backlog={BACKLOG}"]
    return ["--bind", f"{host}:{port}"]


def reload_arguments(program: str) -> list[str]:
    """Return the arguments that start it again when a file changes. Raises UsageError where it has none."""
    match program:
        case "uvicorn":
            return ["--reload", "--reload-dir", "labs"]  # else it looks through all of .venv, seconds for each round
        case "daphne":
            raise UsageError("daphne cannot reload: leave --reload out, or serve the lab with uvicorn.")
    return ["--reload"]
