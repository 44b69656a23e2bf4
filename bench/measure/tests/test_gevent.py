"""gunicorn's gevent worker: sync views wait together on one thread, also in psycopg and httpx; async ones cannot."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bench.base.errors import UsageError
from bench.measure.database.database import Database
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.services import Services
from bench.measure.tests.processes import at_rest, burst
from bench.measure.tests.test_counts import CALLERS, wait_and_look, whoami
from bench.model.servers import HOST
from bench.model.stacks import parse_stack

WITHIN_S, SILENT_FOR_S = 10.0, 0.7


@pytest.fixture(scope="module")
def server(upstream: RunningServer, database: Database) -> Iterator[RunningServer]:
    services = Services(upstream, database).environment
    with serving_stack(parse_stack("sync_wsgi@gevent:100"), services=services, grace_s=0) as server:
        yield server


def test_20_waits_in_sync_views_are_inside_at_once_on_one_thread(server: RunningServer) -> None:
    looks = wait_and_look(server)
    assert {look["inside_now"] for look in looks} == {CALLERS}
    assert not any(look["loop_running"] for look in looks)
    assert at_rest(lambda: [process.num_threads() for process in server.family()]) == [1, 1]


@pytest.mark.parametrize(
    ("path", "waits_s"),
    [
        ("/slow_rows?ms=500", 0.5),  # psycopg waits as gevent wants it
        ("/fan_out?n=2&ms=250", 0.5),  # httpx's sockets are gevent's
        ("/fan_out_threads?n=4&ms=500", 0.5),  # and so are the threads of a pool
        ("/gathered_threads?n=2&ms=500", 0.5),
    ],
)
def test_what_waits_in_a_library_waits_together(server: RunningServer, path: str, waits_s: float) -> None:
    for _ in range(3):  # a busy machine may let the first go before the last has come
        asked = burst(server.url, [path] * 8)
        assert {answer.status_code for answer in asked.answers} == {200}
        if asked.took_s < 8 * waits_s / 2:
            break
    assert waits_s <= asked.took_s < 8 * waits_s / 2


def test_work_that_does_not_wait_lets_nobody_else_in() -> None:
    with serving_stack(parse_stack("sync_wsgi@gevent:100"), grace_s=0) as server:
        burst(server.url, ["/burn?ms=20"] * 8)
        assert whoami(server)["inside_most"] == 1


@pytest.mark.parametrize(("stack", "answers"), [("bare_wsgi@gthread:1", True), ("bare_wsgi@gevent:1", False)])
def test_an_idle_connection_keeps_a_greenlet_and_no_thread(stack: str, answers: bool) -> None:
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        address = (HOST, server.port)
        with socket.create_connection(address, WITHIN_S) as idle, socket.create_connection(address, WITHIN_S) as other:
            assert is_answered(idle, WITHIN_S)
            assert is_answered(other, WITHIN_S if answers else SILENT_FOR_S) is answers
            idle.close()
            assert answers or is_answered(other, WITHIN_S)


def is_answered(connection: socket.socket, within_s: float) -> bool:
    """Ask for hello, and see whether all of an answer comes."""
    connection.settimeout(within_s)
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    with suppress(TimeoutError):
        while not answer.endswith(b"}") and (part := connection.recv(1000)):
            answer += part
    return answer.endswith(b"}")


@pytest.mark.parametrize("lab", ["async_wsgi", "traps_wsgi"])
def test_async_views_are_refused(lab: str) -> None:
    with pytest.raises(UsageError, match=f"gevent serves sync views and those of {lab} are async: choose one of sync,"):
        parse_stack(f"{lab}@gevent:8")
