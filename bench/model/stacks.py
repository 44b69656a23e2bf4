"""The one list of labs, and the notation `[front/]lab[+policy][+db_Nms]@server[:budget][%environment]` of a stack.

A budget is `T` threads, `xP` processes, or `TxP`: `sync_wsgi@gthread:64`, `async_asgi@uvicorn:x2`,
`sync_wsgi@gthread:8x2`. A policy says how the lab keeps database connections: `sync_wsgi+max_age_60@gthread:8`.
A distance says how far away the database is: `async_asgi+pool_16+db_10ms@uvicorn` has each of its answers 10 ms later.
A front stands between clients and server: `nginx/sync_wsgi@gthread:8`. An environment is the interpreter and the
packages that the server runs in: `sync_wsgi@gthread:8%py313t`; the lab's own, `default`, is left out.
Nothing else takes the notation apart. The lists of servers and fronts are in `servers.py` and `fronts.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.base import programs
from bench.base.errors import UsageError, nearest, refuse_first
from bench.model.environments import DEFAULT, check_name, python_word, require_packages
from bench.model.fronts import FRONTS, Front
from bench.model.servers import HOST, SERVERS, Budget, Interface, Line, Need, ServerKind, Views

DJANGO_PACKAGES = ("django", "dj-database-url", "django-htmx", "httpx")
"""What every Django lab imports; dj-database-url reads LAB_DATABASE_URL, httpx calls the upstream."""
READY_PATH = "/ready"
"""Where a lab answers with LAB_INSTANCE, by which its server is known as ours."""


@dataclass(frozen=True)
class Lab:
    """One folder of `labs/`, seen through one interface, and what it needs of a server besides HTTP.

    `page` is where to look first; `has_workloads` is False for a lab of pages alone, `has_tables` True where these ask
    a database. `answers`: the workloads that it has where it has not all; `overlapping`: those of which it runs the
    parts at once where other labs run them in a row; `needs_postgres`: it knows no other database.
    `more_packages`: those beside DJANGO_PACKAGES that it imports, or its server for it. In figures the lab
    has this colour, and `markers`, one for each of its servers and budgets.
    """

    name: str
    folder: str
    views: Views
    interface: Interface
    lesson: str
    needs: tuple[Need, ...] = ()
    page: str = "/wait?ms=100"
    has_workloads: bool = True
    has_tables: bool = False
    answers: tuple[str, ...] = ()
    overlapping: tuple[str, ...] = ()
    needs_postgres: bool = False
    more_packages: tuple[str, ...] = ()
    # After Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision, by markers in grey. A
    # budget or another server changes the shade, the marker and the line, never the hue. Only filled markers: a
    # hollow one means degraded.
    colour: str = "#888888"
    markers: str = "ophdsX"

    @property
    def application(self) -> str:
        """Import path of the callable, as gunicorn and uvicorn take it."""
        return f"labs.{self.folder}.{self.interface}:application"

    @property
    def is_django(self) -> bool:
        """False for the bare callables, which answer `hello` and `wait` only."""
        return self.folder != "bare"

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that its environment must have, beside those of the server."""
        return (*DJANGO_PACKAGES, *self.more_packages) if self.is_django else ()


LIVE: tuple[Need, ...] = ("websockets", "lifespan")
LABS = {
    lab.name: lab
    for lab in (
        Lab(
            *("sync_wsgi", "sync_wsgi", "sync", "wsgi", "thread per request"),
            colour="#0072b2",
            markers="<v^sDp>",
        ),
        Lab(
            *("sync_asgi", "sync_asgi", "sync", "asgi", "async outside, sync inside"),
            colour="#d55e00",
            markers="XP",
        ),
        Lab("async_asgi", "async_asgi", "async", "asgi", "event loop", colour="#009e73", markers="oh8"),
        Lab(
            *("async_wsgi", "async_wsgi", "async", "wsgi", "a loop per request, in its thread"),
            colour="#b5539a",
            markers="d*",
        ),
        Lab(
            *("mixed_middleware", "mixed_middleware", "async", "asgi", "async views under mixed middleware"),
            colour="#8a6d00",
            markers="H",
        ),
        Lab(
            *("zero_hop", "zero_hop", "async", "asgi", "no thread unless something needs one"),
            colour="#1f9ed1",
            markers="*",
        ),
        Lab(
            *("pinned_pool", "pinned_pool", "async", "asgi", "stock Django on a bounded set of threads"),
            colour="#6a51a3",
            markers="p",
        ),
        Lab(
            *("folded", "folded", "async", "asgi", "all middlewares in one crossing"),
            colour="#5d4037",
            markers="D",
        ),
        Lab(
            *("native_orm", "native_orm", "async", "asgi", "an ORM that asks the database on the loop"),
            answers=("hello", "rows", "slow_rows", "gathered", "checkout"),
            overlapping=("gathered",),
            needs_postgres=True,
            more_packages=("django-async-backend",),
            colour="#7b2d8b",
            markers="vo^",
        ),
        Lab(
            *("channels_live", "channels_live", "async", "asgi", "WebSockets beside async views", LIVE),
            page="/chat/hall",
            more_packages=("channels", "autobahn", "redis", "websockets"),
            colour="#c2185b",
            markers="8hHd",
        ),
        Lab(
            *("live_preview_wsgi", "live_preview", "sync", "wsgi", "an editor's preview, two ways"),
            page="/",
            has_workloads=False,
        ),
        Lab(
            *("live_preview_asgi", "live_preview", "sync", "asgi", "an editor's preview, three ways"),
            needs=("websockets",),
            page="/",
            has_workloads=False,
            more_packages=("channels", "websockets"),
        ),
        Lab(
            *("traps_wsgi", "traps", "async", "wsgi", "what goes wrong where sync meets async"),
            page="/",
            has_workloads=False,
            has_tables=True,
        ),
        Lab(
            *("traps_asgi", "traps", "async", "asgi", "what goes wrong where sync meets async"),
            page="/",
            has_workloads=False,
            has_tables=True,
        ),
        Lab("bare_wsgi", "bare", "sync", "wsgi", "the interface without a framework", colour="#5f7f95"),
        Lab(
            *("bare_asgi", "bare", "async", "asgi", "the interface without a framework"),
            colour="#4d4d4d",
            markers="p*s",
        ),
    )
}


@dataclass(frozen=True)
class ConnectionPolicy:
    """How a lab keeps its database connections, by variables that `labs/common/database.py` reads.

    In figures it makes the stack's colour lighter by `shade` and draws this `line`.
    """

    says: str
    variables: Mapping[str, str]
    shade: float
    line: Line


# Without one CONN_MAX_AGE is 0, Django's default: a connection for each request.
CONNECTION_POLICIES = {
    "max_age_60": ConnectionPolicy("CONN_MAX_AGE = 60 seconds", {"LAB_CONN_MAX_AGE": "60"}, 0.25, "dashed"),
    "max_age_none": ConnectionPolicy("CONN_MAX_AGE = None, for ever", {"LAB_CONN_MAX_AGE": "none"}, -0.3, "dash-dot"),
    "pool_16": ConnectionPolicy(
        "psycopg's pool of at most 16, through Django's OPTIONS", {"LAB_CONN_POOL": "16"}, 0.45, "dotted"
    ),
}


class StackName(NamedTuple):
    """The parts of a stack's name. `budget` is the text after the colon, None without one; so is `environment`.

    `database_ms`: how far away the database is, 0 for beside the load.
    """

    lab: str
    keep: str | None
    server: str
    budget: str | None
    threads: int | None
    processes: int
    environment: str | None = None
    front: str | None = None
    database_ms: int = 0


_DISTANCE = re.compile(r"db_([1-9][0-9]{0,3})ms")
_BUDGET = re.compile(r"([1-9][0-9]{0,4})?(?:x([1-9][0-9]{0,2}))?")


def split_name(stack: str) -> StackName:
    """Take a name apart, whether or not there is such a stack: a run may be older than the lab.

    A budget that makes no sense counts as one process without a number of threads.
    """
    words, percent, environment = stack.partition("%")
    lab_text, _, rest = words.partition("@")
    front, slash, lab_text = lab_text.rpartition("/")
    lab, *more = lab_text.split("+")
    distances = [match for word in more if (match := _DISTANCE.fullmatch(word))]
    keeps = [word for word in more if not _DISTANCE.fullmatch(word)]
    server, colon, budget = rest.partition(":")
    threads, processes = match.groups() if (match := _BUDGET.fullmatch(budget)) else (None, None)
    return StackName(
        *(lab, "+".join(keeps) if keeps else None, server, budget if colon else None),
        *(int(threads) if threads else None, int(processes or 1), environment if percent else None),
        front=front if slash else None,
        database_ms=int(distances[-1][1]) if distances else 0,
    )


def split_environment(stack: str) -> tuple[str, str]:
    """Return a stack's name without its environment, and the environment's name."""
    name, _, environment = stack.partition("%")
    return name, environment or DEFAULT


def split_distance(stack: str) -> tuple[str, int]:
    """Return a stack's name without its distance, and the distance in ms, 0 for a database beside the load."""
    return re.sub(rf"[+]{_DISTANCE.pattern}(?=[+@])", "", stack), split_name(stack).database_ms


@dataclass(frozen=True)
class Stack:
    """Lab + server + budget, in an environment: the thing that is measured.

    `keep` is a name of CONNECTION_POLICIES, empty for Django's default. `environment` is a name, DEFAULT for the lab's.
    `front`: what stands before the server, if anything does. `database_ms`: as in StackName.
    """

    lab: Lab
    server: ServerKind
    budget: Budget
    keep: str = ""
    environment: str = DEFAULT
    front: Front | None = None
    database_ms: int = 0

    @property
    def folder(self) -> Path | None:
        """Where its server is started, and the application is imported from; None for the repository's root."""
        return None

    @property
    def ready_path(self) -> str:
        """Where it answers with LAB_INSTANCE."""
        return READY_PATH

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that tell the lab how to keep its database connections."""
        return dict(CONNECTION_POLICIES[self.keep].variables) if self.keep else {}

    @property
    def name(self) -> str:
        """The notation that this module describes, which `parse_stack` reads back."""
        threads = "" if self.budget.threads is None else str(self.budget.threads)
        budget = threads + (f"x{self.budget.processes}" if self.budget.processes > 1 else "")
        front = f"{self.front.name}/" if self.front else ""
        lab = front + self.lab.name + (f"+{self.keep}" if self.keep else "")
        lab += f"+db_{self.database_ms}ms" if self.database_ms else ""
        environment = f"%{self.environment}" if self.environment != DEFAULT else ""
        return f"{lab}@{self.server.name}" + (f":{budget}" if budget else "") + environment

    @property
    def request_slots(self) -> int | None:
        """Requests the server lets into the application at once (W in the limit); None: no bound."""
        if self.lab.interface == "asgi":
            return None
        return (self.budget.threads or 1) * self.budget.processes

    def command(self, port: int, *, host: str = HOST, reload: bool = False) -> list[str]:
        """The ordinary server command; its first word stands for the interpreter of the stack's environment.

        Raises UsageError where the server cannot reload.
        """
        server, lab = self.server, self.lab
        if reload and isinstance(server.reload, str):
            raise UsageError(server.reload)
        return [
            *(
                python_word(self.environment),
                "-m",
                server.program,
                *server.arguments(self.budget, lab.interface, lab.needs),
            ),
            *(word.format(host=host, port=port) for word in server.bind),
            *(server.reload if reload else ()),
            lab.application,
        ]

    def require_installed(self, *more: str) -> None:
        """Raise NotRun, with the command that helps, where front, environment or a package is absent.

        `more`: packages beside those of lab and server.
        """
        if self.front:
            programs.path_of(self.front.program)
        self.require_packages(*self.lab.packages, *self.server.packages, *more)

    def require_packages(self, *packages: str) -> None:
        """Raise NotRun or MissingDependency where its environment lacks one of these."""
        require_packages(self.environment, packages, self.name, self.server.install_command)


def parse_stack(text: str) -> Stack:
    """Read the notation; UsageError with the nearest names where a part is unknown."""
    name = split_name(text)
    front, lab = _front_of(text, name), _lab_of(text, name)
    server = _server_of(text, lab, name.server)
    environment = DEFAULT if name.environment is None else check_name(name.environment)
    budget = _budget_of(text, lab, server, name)
    return Stack(lab, server, budget, name.keep or "", environment, front, name.database_ms)


def parse_stack_alone(text: str) -> Stack:
    """Read a stack for a trace, which shows what happens in the application. UsageError if it has a front."""
    stack = parse_stack(text)
    if stack.front:
        front = stack.front.name
        raise UsageError(f"A trace shows what happens in the application, not in {front}: leave {front}/ out.")
    return stack


def _front_of(text: str, name: StackName) -> Front | None:
    if name.front is None:
        return None
    if name.front not in FRONTS:
        raise UsageError(f"Unknown front {name.front!r} in stack {text!r}: {nearest(name.front, FRONTS)}")
    return FRONTS[name.front]


def _lab_of(text: str, name: StackName) -> Lab:
    lab, keep = LABS.get(name.lab), name.keep or ""
    if lab is None:
        raise UsageError(f"Unknown lab {name.lab!r} in stack {text!r}: {nearest(name.lab, LABS)}")
    refuse_first(
        {
            f"Unknown way to keep connections {keep!r} in stack {text!r}: {nearest(keep, CONNECTION_POLICIES)}": (
                name.keep is not None and keep not in CONNECTION_POLICIES
            ),
            f"{lab.name} asks no database: leave +{keep or f'db_{name.database_ms}ms'} out of {text!r}.": (
                (keep or name.database_ms) and not lab.is_django
            ),
        }
    )
    return lab


def _server_of(text: str, lab: Lab, name: str) -> ServerKind:
    speaking = {known.name: known for known in SERVERS.values() if lab.interface in known.interfaces}
    server = SERVERS.get(name)
    if server is None:
        raise UsageError(f"Unknown server {name!r} in stack {text!r}: {nearest(name, speaking)}")
    fitting = ", ".join(known.name for known in speaking.values() if _serves(known, lab))
    refuse_first(
        {
            f"{name} speaks {' and '.join(server.interfaces).upper()} but {lab.name} is {lab.interface.upper()}: "
            f"choose one of {fitting}.": name not in speaking,
            f"{lab.name} has WebSockets, {name} serves none here: choose one of {fitting}.": (
                lab.needs and not server.has_websockets
            ),
            f"{name} serves {' and '.join(server.views)} views and those of {lab.name} are {lab.views}: "
            f"choose one of {fitting}.": lab.views not in server.views,
        }
    )
    return server


def _serves(server: ServerKind, lab: Lab) -> bool:
    """Whether a server that speaks the lab's interface has what else the lab needs."""
    return lab.views in server.views and (server.has_websockets or not lab.needs)


def _budget_of(text: str, lab: Lab, server: ServerKind, name: StackName) -> Budget:
    takes_threads, threads, processes = lab.interface in server.takes_threads, name.threads, name.processes
    refuse_first(
        {
            f"Budget {name.budget!r} of stack {text!r} is not understood: write threads, threads x processes or "
            f"processes alone, such as :64, :8x2 or :x2.": (
                name.budget is not None and not (name.budget and _BUDGET.fullmatch(name.budget))
            ),
            f"Stack {text!r} needs a number of threads, such as {server.name}:64.": takes_threads and threads is None,
            f"{server.name} takes no number of threads in stack {text!r}: leave it out, or write :x{threads} for "
            f"{threads} processes.": threads is not None and not takes_threads,
            f"{server.name} has one process in stack {text!r}: leave x{processes} out.": (
                processes > 1 and not server.takes_processes
            ),
        }
    )
    return Budget(threads, processes)


STACKS = tuple(parse_stack(text) for server in SERVERS.values() for text in server.examples)
"""The representatives that the contract test asks for every workload, and that `lab list` shows."""
