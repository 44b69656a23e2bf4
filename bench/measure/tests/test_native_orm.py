"""The lab whose ORM asks on the event loop, served in the environment of its own that it needs."""

from collections.abc import Iterator

import pytest

from bench.base.errors import NotRun
from bench.base.polling import eventually
from bench.measure.contract import check_contract
from bench.measure.database.database import Database
from bench.measure.database.distance import serving_at_a_distance
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.postgresql import require_postgresql
from bench.measure.tests.processes import burst
from bench.model.experiment import load_experiment
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack

STACK = parse_stack("native_orm+pool_16@uvicorn%native61")
FAR = parse_stack("native_orm+pool_16+db_50ms@uvicorn%native61")
CONNECTIONS = 16


@pytest.fixture(scope="module", autouse=True)
def _environment() -> None:
    """Skip without PostgreSQL or the environment, with the command that makes it."""
    require_postgresql()
    try:
        load_experiment("native_async_orm").require_environment(STACK.environment)
        STACK.require_installed("psycopg-pool")
    except NotRun as absence:
        pytest.skip(str(absence))


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[RunningServer]:
    """The lab, beside its database."""
    with serving_stack(STACK, services=database.environment, grace_s=0) as server:
        yield server


def test_it_answers_its_workloads_as_the_other_labs_do(server: RunningServer) -> None:
    for name in STACK.lab.answers:
        check_contract(server.url, parse_request(name), STACK)


def test_gathered_queries_are_asked_at_once(server: RunningServer) -> None:
    (answer,) = burst(server.url, ["/gathered?n=5&ms=500"]).answers
    assert answer.status_code == 200
    assert 0.5 <= answer.elapsed.total_seconds() < 5 * 0.5


def test_every_request_gives_its_connections_back(server: RunningServer, database: Database) -> None:
    for path in ("/rows?n=1", "/gathered?n=5&ms=1", "/checkout"):
        assert {answer.status_code for answer in burst(server.url, [path] * 2 * CONNECTIONS).answers} == {200}
    assert eventually(lambda: 0 < (database.connections() or 0) <= CONNECTIONS, within_s=20)


def test_a_database_that_is_away_is_waited_for(database: Database) -> None:
    with (
        serving_at_a_distance(database, FAR.database_ms) as way,
        serving_stack(FAR, services=way, grace_s=0) as server,
    ):
        for name in ("rows?n=1", "gathered?n=5&ms=1", "checkout"):
            check_contract(server.url, parse_request(name), FAR)


@pytest.mark.parametrize(("lab", "hops"), [("native_orm", (2, 1)), ("async_asgi", (3, 0))])
def test_a_query_takes_no_hop(lab: str, hops: tuple[int, int]) -> None:
    """The one that comes back to the loop closes async connections, by a signal that Django sends from a thread."""
    trace = trace_stack(parse_stack(f"{lab}+pool_16@uvicorn%native61"), parse_request("rows?n=1"))
    assert (trace.status, trace.hop_counts["sync_to_async"], trace.hop_counts["async_to_sync"]) == (200, *hops)
