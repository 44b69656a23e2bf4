"""The services behind a server, upstream and database: started for one trial, and stopped with it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.base.errors import NotRun
from bench.measure.database.database import REMEDY, Database, serving_database
from bench.measure.database.distance import serving_at_a_distance
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving
from bench.model.servers import HOST
from bench.model.stacks import Stack
from bench.model.workloads import Request


@dataclass(frozen=True)
class Services:
    """The services that run for a request; None for those that it does not use.

    `way`: the variable by which a lab finds a database that is not beside it.
    """

    upstream: RunningServer | None = None
    database: Database | None = None
    way: Mapping[str, str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables by which the lab finds them."""
        upstream = {"LAB_UPSTREAM_URL": self.upstream.url} if self.upstream else {}
        return upstream | dict(self.way or (self.database.environment if self.database else {}))


@contextmanager
def serving_services(
    request: Request, stack: Stack, *, cpus: Sequence[int] = (), max_connections: int | None = None
) -> Iterator[Services]:
    """Start the services that the request uses in that stack, on `cpus`. Raises NotRun where one cannot start."""
    with ExitStack() as running:
        upstream = database = way = None
        if request.workload.needs_upstream:
            upstream = running.enter_context(serving_upstream(cpus=cpus))
        if request.workload.needs_database:
            database = running.enter_context(serving_database(max_connections=max_connections, cpus=cpus))
            way = _way_to(database, stack, cpus, running)
        yield Services(upstream, database, way)


@contextmanager
def serving_all_services(stack: Stack, *, cpus: Sequence[int] = ()) -> Iterator[Services]:
    """Start every service that something in the stack's lab uses."""
    lab = stack.lab
    with ExitStack() as running:
        calls_out = lab.is_django and lab.has_workloads
        upstream = running.enter_context(serving_upstream(cpus=cpus)) if calls_out else None
        database = running.enter_context(serving_database(cpus=cpus)) if calls_out or lab.has_tables else None
        yield Services(upstream, database, _way_to(database, stack, cpus, running) if database else None)


def _way_to(database: Database, stack: Stack, cpus: Sequence[int], running: ExitStack) -> Mapping[str, str] | None:
    """Start what makes the way to the database longer, if the stack asks for it. NotRun where the lab needs another."""
    if stack.lab.needs_postgres and not database.is_postgres:
        raise NotRun(f"{stack.lab.name} asks PostgreSQL alone, and the database is {database.vendor}: {REMEDY}.")
    if not stack.database_ms:
        return None
    return running.enter_context(serving_at_a_distance(database, stack.database_ms, cpus))


def upstream_command(port: int) -> list[str]:
    """The command of the slow service that `fan_out` calls: plain ASGI on uvicorn."""
    return [
        *("python", "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75", "--backlog", "2048"),
        *("--host", HOST, "--port", str(port), "labs.upstream.asgi:application"),
    ]


@contextmanager
def serving_upstream(*, cpus: Sequence[int] = (), port: int | None = None) -> Iterator[RunningServer]:
    """Start the upstream service on a free loopback port. It is ended at once: its open answers matter to no trial."""
    port = port or free_port()
    with serving(upstream_command(port), port, environment={}, cpus=cpus, grace_s=0) as server:
        yield server
