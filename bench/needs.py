"""What a request asks besides its server: the slow service, the database. Started for one trial, stopped with it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.databases.database import Database, serving_database
from bench.model.stacks import Stack
from bench.model.workloads import Request
from bench.servers import Server, serving_upstream


@dataclass(frozen=True)
class Needs:
    """The services that run for a request; None for those it does not ask."""

    upstream: Server | None = None
    database: Database | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Where the lab finds them."""
        upstream = {"LAB_UPSTREAM_URL": self.upstream.url} if self.upstream else {}
        return upstream | (self.database.environment if self.database else {})


@contextmanager
def serving_needs(request: Request, *, cpus: Sequence[int] = (), max_connections: int | None = None) -> Iterator[Needs]:
    """The services that the request asks, ready, on `cpus`. NotRun where one cannot start."""
    with ExitStack() as running:
        upstream = database = None
        if request.workload.needs_upstream:
            upstream = running.enter_context(serving_upstream(cpus=cpus))
        if request.workload.needs_database:
            database = running.enter_context(serving_database(max_connections=max_connections, cpus=cpus))
        yield Needs(upstream, database)


@contextmanager
def serving_all_needs(stack: Stack, *, cpus: Sequence[int] = ()) -> Iterator[Needs]:
    """Every service that something in the stack's lab asks."""
    lab = stack.lab
    with ExitStack() as running:
        calls_out = lab.is_django and lab.has_workloads
        upstream = running.enter_context(serving_upstream(cpus=cpus)) if calls_out else None
        database = running.enter_context(serving_database(cpus=cpus)) if calls_out or lab.has_tables else None
        yield Needs(upstream, database)
