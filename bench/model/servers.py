"""The one list of servers for labs: an entry of SERVERS holds all that the lab knows of one.

To add a server, add its entry: `lab serve`, its reloading, run.json, the environment, figures and README follow.
`lab conformance NAME --keep` then stores how it behaves.
`lab trace --serve` serves projects that are not labs, and has a list of its own: `cli/trace_serve.py`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
OWN_HOST_VARIABLE = "LAB_I_OWN_THIS_HOST"
# What has to be equal everywhere: one keep-alive for all that have one (gunicorn defaults to 2 s, uvicorn to 5 s),
# longer than any pause of ours, so that no connection is closed under a client that is about to use it.
KEEP_ALIVE_S = 75
BACKLOG = 2048
GRACEFUL_STOP_S = 1
# For servers that stop accepting at so many connections, idle ones included: more than any load of ours opens.
UNREACHED_CONNECTIONS = 100_000
# WebSockets: the largest message that a server accepts, and how often it checks that the client is still there.
LARGEST_MESSAGE_BYTES = 2 * 1024 * 1024
PING_S = 20
Interface = Literal["wsgi", "asgi"]
Views = Literal["sync", "async"]
Need = Literal["websockets", "lifespan"]
Needs = Collection[Need]
Line = Literal["solid", "dashed", "dash-dot", "dotted"]


@dataclass(frozen=True)
class Budget:
    """Concurrency a server is given: `threads` per process (None where the server takes none)."""

    threads: int | None
    processes: int


@dataclass(frozen=True, kw_only=True)
class ServerKind:
    """A server program.

    Its command is `program`, a Python module, with `arguments` for a budget, an interface and what the lab needs
    besides HTTP, then `bind` with {host} and {port} filled in, then `reload` where it is to start again when a file
    changes. A program that cannot do that has a sentence as its `reload`.

    `packages`: the distributions that it needs, its own first; every run keeps their versions. `extra`: the extra of
    pyproject.toml that installs them; without one the demo does.
    `variables`: prefixes of environment variables that would change it; they are cleared for what is measured.
    `takes_threads`: the interfaces with which its budget has a number of threads.
    `views`: the views that it serves, under an interface that it speaks.
    `has_websockets`: it also serves labs that need WebSockets.
    `examples`: its stacks that the contract test asks for every workload, and that `lab list` shows.

    In figures a stack has its lab's colour and one of its lab's markers. The server makes that colour lighter by
    `shade` (-0.7 to 0.7), takes the marker so many places further on, and draws `line`; without one the line is
    solid, or dashed for several processes.
    """

    name: str
    note: str
    program: str
    packages: tuple[str, ...]
    interfaces: tuple[Interface, ...]
    arguments: Callable[[Budget, Interface, Needs], list[str]]
    examples: tuple[str, ...]
    extra: str = ""
    bind: tuple[str, ...] = ("--bind", "{host}:{port}")
    reload: tuple[str, ...] | str = ("--reload",)
    variables: tuple[str, ...] = ()
    takes_threads: tuple[Interface, ...] = ()
    takes_processes: bool = True
    views: tuple[Views, ...] = ("sync", "async")
    has_websockets: bool = False
    shade: float = 0.0
    marker: int = 0
    line: Line | None = None

    def install_command(self, package: str) -> str:
        """The command that installs a package of the server: with its extra, in the lab's folder, or alone."""
        return "python -m pip install " + (f"-e '.[{self.extra}]'" if self.extra else package)


def _gunicorn(worker_class: str, budget: Budget, *_: object, more: tuple[str, ...] = ()) -> list[str]:
    return [
        *("--worker-class", worker_class, "--workers", str(budget.processes), *more),
        *("--keep-alive", str(KEEP_ALIVE_S), "--backlog", str(BACKLOG)),
        *("--graceful-timeout", str(GRACEFUL_STOP_S), "--http-parser", "python"),
        *("--log-level", "warning", "--no-control-socket"),
    ]


def _gthread(budget: Budget, *_: object) -> list[str]:
    threads = budget.threads or 1
    # With several processes the first one to wake takes every connection unless each may hold no more than it
    # has threads for. With one process that limit would only starve clients, so it is far away.
    connections = threads if budget.processes > 1 else max(10_000, 2 * threads)
    more = ("--threads", str(threads), "--worker-connections", str(connections))
    return _gunicorn("gthread", budget, more=more)


def _gevent(budget: Budget, *_: object) -> list[str]:
    return _gunicorn("gevent", budget, more=("--worker-connections", str(budget.threads or 1)))


def _gunicorn_asgi(budget: Budget, _: Interface, needs: Needs) -> list[str]:
    lifespan = "on" if "lifespan" in needs else "off"
    return _gunicorn("asgi", budget, more=("--asgi-loop", "uvloop", "--asgi-lifespan", lifespan))


def _uvicorn_worker(budget: Budget, _: Interface, needs: Needs) -> list[str]:
    return _gunicorn(f"labs.common.workers.{'Live' if needs else 'Pinned'}UvicornWorker", budget)


def _uvicorn(budget: Budget, interface: Interface, needs: Needs) -> list[str]:
    # Not `--ws websockets`: uvicorn warns that it is deprecated.
    pings = ("--ws-ping-interval", str(PING_S), "--ws-ping-timeout", str(PING_S))
    return [
        *("--workers", str(budget.processes), "--loop", "uvloop", "--http", "httptools"),
        *("--ws", "websockets-sansio" if "websockets" in needs else "none"),
        *("--lifespan", "on" if "lifespan" in needs else "off"),
        *(("--ws-max-size", str(LARGEST_MESSAGE_BYTES), *pings) if needs else ()),
        *("--no-access-log", "--log-level", "warning"),
        *("--timeout-keep-alive", str(KEEP_ALIVE_S), "--backlog", str(BACKLOG)),
        *("--timeout-graceful-shutdown", str(GRACEFUL_STOP_S)),
    ]


def _daphne(*_: object) -> list[str]:
    largest = str(LARGEST_MESSAGE_BYTES)
    return [
        *("--verbosity", "0", "--no-server-name"),
        *("--websocket-max-message-size", largest, "--websocket-max-frame-size", largest),
        *("--ping-interval", str(PING_S), "--ping-timeout", str(PING_S), "--websocket_timeout", "-1"),
    ]


def _granian(budget: Budget, interface: Interface, needs: Needs) -> list[str]:
    # `asginl` is ASGI without lifespan. Its loop of connections is one thread in Rust, beside Python's. Threads of the
    # pool end when they are idle for so long, and their database connections with them: the most that it takes.
    pool = ("--blocking-threads", str(budget.threads), "--blocking-threads-idle-timeout", "600")
    return [
        *("--interface", "asginl" if interface == "asgi" and "lifespan" not in needs else interface),
        *("--workers", str(budget.processes), *(pool if budget.threads else ())),
        *("--runtime-mode", "st", "--runtime-threads", "1", "--loop", "uvloop", "--task-impl", "asyncio"),
        *("--http", "1", "--ws" if "websockets" in needs else "--no-ws"),
        # It waits so long for the next request too. The most that it takes, less than KEEP_ALIVE_S.
        *("--http1-header-read-timeout", "60000"),
        *("--backlog", str(BACKLOG), "--backpressure", str(UNREACHED_CONNECTIONS)),
        *("--workers-kill-timeout", str(GRACEFUL_STOP_S)),
        *("--no-access-log", "--log-level", "error"),  # it warns of more threads than twice the cores
    ]


def _hypercorn(budget: Budget, interface: Interface, needs: Needs) -> list[str]:
    return [
        # Without workers it serves in the process that was started; 1 would be a second one.
        *("--workers", str(budget.processes if budget.processes > 1 else 0), "--worker-class", "uvloop"),
        *("--config", "python:labs.common.hypercorn_settings", "--keep-alive", str(KEEP_ALIVE_S)),
        *("--backlog", str(BACKLOG), "--graceful-timeout", str(GRACEFUL_STOP_S)),
        *(("--websocket-ping-interval", str(PING_S)) if needs else ()),
        *("--log-level", "error"),  # it asks each application for a lifespan, and warns of those without one
    ]


def _uwsgi(budget: Budget, *_: object) -> list[str]:
    # Of its own accord it would load the application before it forks, end at SIGTERM without waiting for what is
    # open, refuse headers above 4 KB, give each application an interpreter, and Python threads only with several.
    return [
        *("--master", "--no-orphans", "--lazy-apps", "--need-app", "--single-interpreter", "--enable-threads"),
        *("--py-call-uwsgi-fork-hooks", "--processes", str(budget.processes), "--threads", str(budget.threads or 1)),
        *(("--thunder-lock",) if budget.processes > 1 else ()),
        *("--listen", str(BACKLOG), "--buffer-size", "65535", "--disable-logging"),
        *("--add-header", "Connection: close"),  # else it closes without a word, under a client's next request
        *("--hook-master-start", "unix_signal:15 gracefully_kill_them_all"),  # and no option bounds how long
    ]


SERVERS = {
    server.name: server
    for server in (
        ServerKind(
            name="sync",
            note="one request at a time per process; no keep-alive",
            program="gunicorn",
            packages=("gunicorn",),
            interfaces=("wsgi",),
            arguments=partial(_gunicorn, "sync"),
            examples=("sync_wsgi@sync", "async_wsgi@sync", "bare_wsgi@sync"),
            variables=("GUNICORN_",),
            shade=0.65,
            line="dashed",
        ),
        ServerKind(
            name="gthread",
            note="a pool of T threads per process; with several processes no keep-alive",
            program="gunicorn",
            packages=("gunicorn",),
            interfaces=("wsgi",),
            arguments=_gthread,
            examples=(
                *("sync_wsgi@gthread:8", "sync_wsgi@gthread:64", "sync_wsgi@gthread:400", "sync_wsgi@gthread:8x2"),
                *("async_wsgi@gthread:64", "bare_wsgi@gthread:64"),
            ),
            variables=("GUNICORN_",),
            takes_threads=("wsgi",),
        ),
        ServerKind(
            name="gevent",
            note="sync views on gevent's loop: T greenlets per process, one for each connection, also an idle one",
            program="gunicorn",
            packages=("gunicorn", "gevent"),
            interfaces=("wsgi",),
            arguments=_gevent,
            examples=("sync_wsgi@gevent:1000",),
            variables=("GUNICORN_",),
            takes_threads=("wsgi",),
            views=("sync",),  # two of asyncio's loops cannot run in one thread, and all greenlets are in one
            shade=-0.4,
            marker=4,
            line="dash-dot",
        ),
        ServerKind(
            name="gunicorn_asgi",
            note="gunicorn's own ASGI worker, on uvloop",
            program="gunicorn",
            packages=("gunicorn", "uvloop"),
            interfaces=("asgi",),
            arguments=_gunicorn_asgi,
            examples=("sync_asgi@gunicorn_asgi", "async_asgi@gunicorn_asgi", "bare_asgi@gunicorn_asgi"),
            variables=("GUNICORN_",),
            shade=-0.45,
            marker=2,
            line="dash-dot",
        ),
        ServerKind(
            name="uvicorn",
            note="uvloop and httptools, pinned",
            program="uvicorn",
            packages=("uvicorn", "uvloop", "httptools"),
            interfaces=("asgi",),
            arguments=_uvicorn,
            examples=(
                *("sync_asgi@uvicorn", "async_asgi@uvicorn", "async_asgi@uvicorn:x2", "mixed_middleware@uvicorn"),
                *("zero_hop@uvicorn", "pinned_pool@uvicorn", "folded@uvicorn", "channels_live@uvicorn"),
                "bare_asgi@uvicorn",
            ),
            bind=("--host", "{host}", "--port", "{port}"),
            reload=("--reload", "--reload-dir", "labs"),  # else it looks through all of .venv, seconds for each round
            variables=("UVICORN_",),
            has_websockets=True,
        ),
        ServerKind(
            name="uvicorn_worker",
            note="uvicorn under gunicorn, uvloop and httptools pinned",
            program="gunicorn",
            packages=("gunicorn", "uvicorn-worker", "uvloop", "httptools"),
            interfaces=("asgi",),
            arguments=_uvicorn_worker,
            examples=("sync_asgi@uvicorn_worker", "async_asgi@uvicorn_worker"),
            variables=("GUNICORN_", "UVICORN_"),
            shade=0.35,
            marker=1,
            line="dashed",
        ),
        ServerKind(
            name="daphne",
            note="Twisted; one process, its own keep-alive, no lifespan, no grace: SIGTERM cancels what is open",
            program="daphne",
            packages=("daphne",),
            interfaces=("asgi",),
            arguments=_daphne,
            examples=("channels_live@daphne",),
            bind=("--endpoint", f"tcp:port={{port}}:interface={{host}}:backlog={BACKLOG}"),  # --port has Twisted's 50
            reload="daphne cannot reload: leave --reload out, or serve the lab with uvicorn.",
            variables=("DAPHNE_", "AUTOBAHN_"),
            takes_processes=False,
            has_websockets=True,
            shade=0.35,
            marker=3,
            line="dash-dot",
        ),
        ServerKind(
            name="granian",
            note="HTTP in Rust, one thread of it; T threads under WSGI, uvloop under ASGI; keep-alive 60 s",
            program="granian",
            packages=("granian", "uvloop"),
            extra="servers",
            interfaces=("wsgi", "asgi"),
            arguments=_granian,
            examples=("sync_wsgi@granian:8", "async_asgi@granian", "channels_live@granian"),
            bind=("--host", "{host}", "--port", "{port}"),
            reload=("--reload", "--reload-paths", "labs"),
            variables=("GRANIAN_",),
            takes_threads=("wsgi",),
            has_websockets=True,
            shade=-0.25,
            marker=1,
            line="dotted",
        ),
        ServerKind(
            name="hypercorn",
            note="HTTP in pure Python, on uvloop",
            program="hypercorn",
            packages=("hypercorn", "uvloop"),
            extra="servers",
            interfaces=("asgi",),
            arguments=_hypercorn,
            examples=("async_asgi@hypercorn", "channels_live@hypercorn"),
            reload="hypercorn watches what its start imports, and Django imports views later: leave --reload out, or "
            "serve the lab with uvicorn.",
            variables=("HYPERCORN_",),
            has_websockets=True,
            shade=0.5,
            marker=2,
            line="dotted",
        ),
        ServerKind(
            name="uwsgi",
            note="HTTP in C, T threads per process; no keep-alive; SIGTERM waits for all that is open",
            program="labs.common.uwsgi",
            packages=("pyuwsgi",),
            extra="servers",
            interfaces=("wsgi",),
            arguments=_uwsgi,
            examples=("sync_wsgi@uwsgi:8",),
            bind=("--http-socket", "{host}:{port}"),
            reload=("--py-autoreload", "1"),
            variables=("UWSGI_",),
            takes_threads=("wsgi",),
            shade=0.15,
            marker=5,
            line="dash-dot",
        ),
    )
}
