"""The one list of labs and servers, and the notation `lab[+keep]@server[:budget]` that joins them into a stack.

A budget is `T` threads, `xP` processes, or `TxP`: `sync_wsgi@gthread:64`, `async_asgi@uvicorn:x2`,
`sync_wsgi@gthread:8x2`. A keep is how the lab keeps database connections: `sync_wsgi+max_age_60@gthread:8`.
Read `servers.py` next for how a stack is started.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.base.errors import MissingDependency, UsageError, nearest
from bench.model.servers import HOST, SERVERS, Budget, Interface, Need, ServerKind, bind_arguments, reload_arguments

Views = Literal["sync", "async"]


@dataclass(frozen=True)
class Lab:
    """One folder of `labs/`, seen through one interface, and what it needs of a server besides HTTP.

    `page` is where to look first; `has_workloads` is False for a lab of pages alone, `has_tables` True where these ask
    a database.
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

    @property
    def application(self) -> str:
        """Import path of the callable, as gunicorn and uvicorn take it."""
        return f"labs.{self.folder}.{self.interface}:application"

    @property
    def is_django(self) -> bool:
        """False for the bare callables, which answer `hello` and `wait` only."""
        return self.folder != "bare"


LIVE: tuple[Need, ...] = ("websockets", "lifespan")
LABS = {
    lab.name: lab
    for lab in (
        Lab("sync_wsgi", "sync_wsgi", "sync", "wsgi", "thread per request"),
        Lab("sync_asgi", "sync_asgi", "sync", "asgi", "async outside, sync inside"),
        Lab("async_asgi", "async_asgi", "async", "asgi", "event loop"),
        Lab("async_wsgi", "async_wsgi", "async", "wsgi", "a loop per request, in its thread"),
        Lab("mixed_middleware", "mixed_middleware", "async", "asgi", "async views under mixed middleware"),
        Lab("zero_hop", "zero_hop", "async", "asgi", "no thread unless something needs one"),
        Lab("pinned_pool", "pinned_pool", "async", "asgi", "stock Django on a bounded set of threads"),
        Lab("folded", "folded", "async", "asgi", "all middlewares in one crossing"),
        Lab(
            "channels_live", "channels_live", "async", "asgi", "WebSockets beside async views", LIVE, page="/chat/hall"
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
        Lab("bare_wsgi", "bare", "sync", "wsgi", "the interface without a framework"),
        Lab("bare_asgi", "bare", "async", "asgi", "the interface without a framework"),
    )
}


@dataclass(frozen=True)
class ConnectionPolicy:
    """How a lab keeps its database connections, by variables that `labs/common/database.py` reads."""

    says: str
    environment: Mapping[str, str]


# Without one CONN_MAX_AGE is 0, Django's default: a connection for each request.
CONNECTION_POLICIES = {
    "max_age_60": ConnectionPolicy("CONN_MAX_AGE = 60 seconds", {"LAB_CONN_MAX_AGE": "60"}),
    "max_age_none": ConnectionPolicy("CONN_MAX_AGE = None, for ever", {"LAB_CONN_MAX_AGE": "none"}),
    "pool_16": ConnectionPolicy("psycopg's pool of at most 16, through Django's OPTIONS", {"LAB_CONN_POOL": "16"}),
}


@dataclass(frozen=True)
class Stack:
    """Lab + server + budget: the thing that is measured. `keep` is a name of KEEPS, empty for Django's default."""

    lab: Lab
    server: ServerKind
    budget: Budget
    keep: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What the lab is to know of how it keeps its connections."""
        return dict(CONNECTION_POLICIES[self.keep].environment) if self.keep else {}

    @property
    def name(self) -> str:
        """The notation `lab[+keep]@server[:budget]`, which `parse_stack` reads back."""
        threads = "" if self.budget.threads is None else str(self.budget.threads)
        processes = f"x{self.budget.processes}" if self.budget.processes > 1 else ""
        budget = threads + processes
        lab = self.lab.name + (f"+{self.keep}" if self.keep else "")
        return f"{lab}@{self.server.name}" + (f":{budget}" if budget else "")

    @property
    def request_slots(self) -> int | None:
        """Requests the server lets into the application at once (W in the limit); None: no bound."""
        if self.lab.interface == "asgi":
            return None
        return (self.budget.threads or 1) * self.budget.processes

    def command(self, port: int, *, host: str = HOST, reload: bool = False) -> list[str]:
        """The ordinary server command; `python` is to be the interpreter that runs the lab."""
        program, *arguments = self._arguments()
        again = reload_arguments(program) if reload else []
        return ["python", "-m", program, *arguments, *bind_arguments(program, host, port), *again, self.lab.application]

    def _arguments(self) -> list[str]:
        if self.lab.needs and self.server.live_arguments:
            return self.server.live_arguments(self.budget, self.lab.needs)
        return self.server.arguments(self.budget)

    def require_installed(self) -> None:
        """Raise MissingDependency, with the command that helps, where a module of the server is absent."""
        for module in self.server.modules:
            if importlib.util.find_spec(module) is None:
                package = module.replace("_", "-")
                raise MissingDependency(
                    f"{self.name} needs the package {package}, which is not installed: "
                    f"run `python -m pip install {package}`."
                )


_BUDGET = re.compile(r"(?P<threads>[1-9][0-9]{0,4})?(?:x(?P<processes>[1-9][0-9]{0,2}))?")


def parse_stack(text: str) -> Stack:
    """Read `lab[+keep]@server[:budget]`; UsageError with the nearest names where a part is unknown."""
    lab_text, _, rest = text.partition("@")
    server_name, colon, budget_text = rest.partition(":")
    lab, keep = _parse_lab(text, *lab_text.partition("+"))
    server = _parse_server(text, lab, server_name)
    return Stack(lab, server, _parse_budget(text, server, budget_text if colon else None), keep)


def _parse_lab(text: str, name: str, plus: str, keep: str) -> tuple[Lab, str]:
    lab = LABS.get(name)
    if lab is None:
        raise UsageError(f"Unknown lab {name!r} in stack {text!r}: {nearest(name, LABS)}")
    if plus and keep not in CONNECTION_POLICIES:
        raise UsageError(
            f"Unknown way to keep connections {keep!r} in stack {text!r}: {nearest(keep, CONNECTION_POLICIES)}"
        )
    if plus and not lab.is_django:
        raise UsageError(f"{name} asks no database: leave +{keep} out of {text!r}.")
    return lab, keep


def _parse_server(text: str, lab: Lab, name: str) -> ServerKind:
    speaking = {known.name: known for known in SERVERS.values() if known.interface == lab.interface}
    server = SERVERS.get(name)
    if server is None:
        raise UsageError(f"Unknown server {name!r} in stack {text!r}: {nearest(name, speaking)}")
    fitting = ", ".join(known.name for known in speaking.values() if known.live_arguments or not lab.needs)
    if server.interface != lab.interface:
        raise UsageError(
            f"{name} speaks {server.interface.upper()} but {lab.name} is {lab.interface.upper()}: "
            f"choose one of {fitting}."
        )
    if lab.needs and server.live_arguments is None:
        raise UsageError(f"{lab.name} has WebSockets, {name} serves none here: choose one of {fitting}.")
    return server


def _parse_budget(text: str, server: ServerKind, budget_text: str | None) -> Budget:
    match = _BUDGET.fullmatch(budget_text) if budget_text is not None else None
    if budget_text is not None and (match is None or not budget_text):
        raise UsageError(
            f"Budget {budget_text!r} of stack {text!r} is not understood: write threads, "
            f"threads x processes or processes alone, such as :64, :8x2 or :x2."
        )
    threads = int(match["threads"]) if match and match["threads"] else None
    processes = int(match["processes"]) if match and match["processes"] else 1
    if server.takes_threads and threads is None:
        raise UsageError(f"Stack {text!r} needs a number of threads, such as {server.name}:64.")
    if threads is not None and not server.takes_threads:
        raise UsageError(
            f"{server.name} takes no number of threads in stack {text!r}: leave it out, or write "
            f":x{threads} for {threads} processes."
        )
    if processes > 1 and not server.takes_processes:
        raise UsageError(f"{server.name} has one process in stack {text!r}: leave x{processes} out.")
    return Budget(threads, processes)


# The representatives that the contract test asks for every workload and `lab list` shows.
STACKS = tuple(
    parse_stack(text)
    for text in (
        "sync_wsgi@sync",
        "sync_wsgi@gthread:8",
        "sync_wsgi@gthread:64",
        "sync_wsgi@gthread:400",
        "sync_wsgi@gthread:8x2",
        "sync_asgi@uvicorn",
        "sync_asgi@uvicorn_worker",
        "sync_asgi@gunicorn_asgi",
        "async_asgi@uvicorn",
        "async_asgi@uvicorn:x2",
        "async_asgi@uvicorn_worker",
        "async_asgi@gunicorn_asgi",
        "async_wsgi@sync",
        "async_wsgi@gthread:64",
        "mixed_middleware@uvicorn",
        "zero_hop@uvicorn",
        "pinned_pool@uvicorn",
        "folded@uvicorn",
        "channels_live@uvicorn",
        "channels_live@daphne",
        "bare_wsgi@sync",
        "bare_wsgi@gthread:64",
        "bare_asgi@uvicorn",
        "bare_asgi@gunicorn_asgi",
    )
)
