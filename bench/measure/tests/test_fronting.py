"""A front before a real server: what passes, what is held, on which cores, as whom, and what is counted apart."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bench.base import programs
from bench.base.polling import eventually
from bench.measure import cpu_placement, monitor
from bench.measure.contract import check_contract
from bench.measure.fronting import Addresses, account_for, running_front
from bench.measure.ports import free_port
from bench.measure.readiness import listens_within, serving_stack
from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import run_until
from bench.measure.trial import run_trial
from bench.model.fronts import FRONTS
from bench.model.load import Closed
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.trial_plan import TrialPlan
from bench.model.workloads import WORKLOADS, parse_request

NGINX = FRONTS["nginx"]
STACK = "nginx/sync_wsgi@gthread:2"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
pytestmark = pytest.mark.skipif(
    not programs.find_program("nginx"), reason="needs nginx: ./scripts/system-packages gets it"
)


@dataclass
class Behind:
    """A server that keeps what it reads, by connection, and answers each request that it has whole."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server((HOST, 0)))
    read: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Answer until the listener is closed: a connection for the whole of its life, then the next."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.read.append(b"")
            with connection:
                while part := connection.recv(65536):
                    self.read[-1] += part
                    connection.sendall(ANSWER)


@contextmanager
def nginx_before() -> Iterator[tuple[Behind, str]]:
    behind, port = Behind(), free_port()
    with behind.listener, running_front(NGINX, Addresses(HOST, port, behind.port), ()) as front:
        threading.Thread(target=behind.serve, daemon=True).start()
        assert listens_within(front, port, 10), front.log_tail()
        yield behind, f"http://{HOST}:{port}"
        behind.listener.shutdown(socket.SHUT_RDWR)


def test_requests_pass_on_one_kept_connection_with_the_clients_address_and_host() -> None:
    with nginx_before() as (behind, url):
        for number in range(3):
            headers = {"Host": "lab.example", "X-Number": str(number)}
            assert httpx.get(f"{url}/page?{number}", headers=headers, trust_env=False).text == "ok"
        (seen,) = behind.read  # one connection
    heads = seen.decode().split("\r\n\r\n")[:-1]
    assert [head.partition("\r\n")[0] for head in heads] == [f"GET /page?{number} HTTP/1.1" for number in range(3)]
    for line in ("Host: lab.example", f"X-Forwarded-For: {HOST}", f"X-Real-IP: {HOST}", "X-Forwarded-Proto: http"):
        assert all(line in head.split("\r\n") for head in heads), heads
    assert not any(line.startswith("Connection: close") for head in heads for line in head.split("\r\n"))


def test_a_body_that_trickles_in_reaches_the_server_when_it_is_whole() -> None:
    with nginx_before() as (behind, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection((HOST, port)) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\n\r\nab")
            assert httpx.get(url, trust_env=False).text == "ok"  # another passes meanwhile
            assert [b"POST" in each for each in behind.read] == [False]
            slow.sendall(b"cd")
            assert slow.recv(1000).endswith(b"ok")
        assert behind.read[0].endswith(b"\r\n\r\nabcd")


def test_it_runs_on_the_servers_cores_without_rights_and_leaves_nothing(mark: str) -> None:
    where = cpu_placement.plan(1)
    with serving_stack(parse_stack(STACK), cpus=where.server, grace_s=0) as server:
        assert server.front
        assert server.front.port != server.port
        assert server.url.endswith(f":{server.front.port}")
        front, folder = server.front.family(), Path(server.front.command[2])
        assert not {each.pid for each in front} & {each.pid for each in server.family()}
        assert len(front) == 2  # the master and its one worker
        if where.server:
            assert {tuple(each.cpu_affinity()) for each in front} == {tuple(where.server)}
        assert all(each.uids().effective != 0 for each in front) is (account_for(NGINX) is not None or os.getuid() != 0)
        assert {path.stat().st_uid for path in [folder, *folder.iterdir()]} == {front[0].uids().effective}
    assert not folder.parent.exists()
    assert_nothing_is_left(mark, server.port)


@pytest.mark.parametrize("stack", ["nginx/sync_wsgi@gthread:8", "nginx/async_asgi@uvicorn"])
def test_answers_are_those_of_the_server(stack: str) -> None:
    alone = [it.name for it in WORKLOADS.values() if not it.needs_database and not it.needs_upstream]
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        for workload in alone:
            check_contract(server.url, parse_request(workload).quick, parse_stack(stack))
        assert server.front
        assert not server.front.log_tail()


def planned(stack: str, duration_s: float) -> TrialPlan:
    request = parse_request("hello")
    return TrialPlan(parse_stack(stack), request, Closed(2), 0, (), warmup_s=0.2, duration_s=duration_s)


def test_a_trial_counts_what_a_front_uses_apart_from_the_server() -> None:
    # Connections are counted before the window: a busy machine may not have let the users in by then.
    trial = run_until(planned(STACK, 0.8), lambda trial: trial.front is not None and trial.front.connections_max >= 2)
    assert trial.verdict in ("ok", "degraded"), trial.reasons
    assert trial.front
    assert trial.server
    assert trial.cpu_us_per_request
    assert trial.throughput_per_s
    assert trial.limit_per_s
    assert trial.front.cpu_s > 0
    assert trial.front.cpu_us_per_request
    assert trial.front.rss_bytes_max > 0
    assert trial.front.cpus == trial.server.cpus
    assert trial.front.connections_max >= 2
    of_both_us = trial.cpu_us_per_request + trial.front.cpu_us_per_request
    assert trial.limit_per_s <= 1.02e6 / of_both_us * len(trial.server.cpus or [0])
    assert trial.commands["front"][0] == "nginx"
    assert "        server 127.0.0.1:PORT;" in trial.commands["front configuration"]
    assert f"{HOST}:PORT" in trial.commands["server"]
    assert f"http://{HOST}:FRONT_PORT" in trial.commands["load"]
    assert run_trial(planned("sync_wsgi@gthread:2", 0.3)).front is None


def test_a_front_that_dies_in_the_window_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    look = monitor.WindowRunner._look

    def kill_in_the_window(self: monitor.WindowRunner) -> None:
        if self.start_s and self.front and self.front.exit_status is None:
            os.kill(self.front.pid, signal.SIGKILL)
            assert eventually(lambda: self.front is None or self.front.exit_status is not None, 5)
        look(self)

    monkeypatch.setattr(monitor.WindowRunner, "_look", kill_in_the_window)
    trial = run_until(planned(STACK, 0.5))
    assert trial.verdict == "invalid"
    assert trial.reasons[0].code == "server-died"
    assert trial.reasons[0].message.startswith("The front ended with status -9")
