"""The services behind a server, upstream and database: started for one trial, and stopped with it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.measure.database.database import Database, serving_database
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving
from bench.model.servers import HOST
from bench.model.stacks import Stack
from bench.model.workloads import Request


@dataclass(frozen=True)
class Services:
    """The services that run for a request; None for those that it does not use."""

    upstream: RunningServer | None = None
    database: Database | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables by which the lab finds them."""
        upstream = {"LAB_UPSTREAM_URL": self.upstream.url} if self.upstream else {}
        return upstream | (self.database.environment if self.database else {})


@contextmanager
def serving_services(
    request: Request, *, cpus: Sequence[int] = (), max_connections: int | None = None
) -> Iterator[Services]:
    """Start the services that the request uses, on `cpus`. Raises NotRun where one cannot start."""
    with ExitStack() as running:
        upstream = database = None
        if request.workload.needs_upstream:
            upstream = running.enter_context(serving_upstream(cpus=cpus))
        if request.workload.needs_database:
            database = running.enter_context(serving_database(max_connections=max_connections, cpus=cpus))
        yield Services(upstream, database)


@contextmanager
def serving_all_services(stack: Stack, *, cpus: Sequence[int] = ()) -> Iterator[Services]:
    """Start every service that something in the stack's lab uses."""
    lab = stack.lab
    with ExitStack() as running:
        calls_out = lab.is_django and lab.has_workloads
        upstream = running.enter_context(serving_upstream(cpus=cpus)) if calls_out else None
        database = running.enter_context(serving_database(cpus=cpus)) if calls_out or lab.has_tables else None
        yield Services(upstream, database)


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
