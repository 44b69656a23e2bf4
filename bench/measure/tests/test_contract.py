"""The contract: every stack gives every workload the same answer, asked of the real servers."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import psutil
import pytest

from bench.base.polling import eventually
from bench.measure import cpu_placement
from bench.measure.contract import WHOAMI_KEYS
from bench.measure.database.database import Database
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.services import Services
from bench.measure.tests.processes import burst
from bench.model.stacks import STACKS, Stack, parse_stack
from bench.model.workloads import WORKLOADS, parse_request

# Written out, not computed: this is what the bytes are, whatever the lab and the bench think of them.
ANSWERS = {
    "hello": ("/hello", b'{"message": "hello"}'),
    "wait": ("/wait?ms=20", b'{"waited_ms": 20}'),
    "blocking_wait": ("/blocking_wait?ms=20", b'{"waited_ms": 20}'),
    "fan_out": ("/fan_out?n=3&ms=10", b'{"calls": 3, "waited_ms": 30}'),
    "fan_out_threads": ("/fan_out_threads?n=3&ms=10", b'{"calls": 3, "waited_ms": 30}'),
    "burn": ("/burn?ms=2", b'{"burned_ms": 2}'),
    "wait_and_burn": ("/wait_and_burn?ms=20&cpu=2", b'{"waited_ms": 20, "burned_ms": 2}'),
    "feed": ("/feed?n=2&ms=10", b"event: tick\ndata: 0\n\nevent: tick\ndata: 1\n\n"),
    "tokens": ("/tokens?n=2&ms=10", b"event: token\ndata: 0\n\nevent: token\ndata: 1\n\n"),
    "tokens_lean": ("/tokens_lean?n=2&ms=10", b"event: token\ndata: 0\n\nevent: token\ndata: 1\n\n"),
    "poll": ("/poll?ms=10", b'{"news": null}'),
    "rows": ("/rows?n=2", b'{"names": ["product 1", "product 2"]}'),
    "slow_rows": ("/slow_rows?ms=20", b'{"names": ["product 1"]}'),
    "crud": ("/crud", b'{"read": "created", "saved": "updated", "deleted": 1}'),
    "gathered": ("/gathered?n=3&ms=5", b'{"names": ["product 1", "product 1", "product 1"]}'),
    "gathered_threads": ("/gathered_threads?n=3&ms=5", b'{"names": ["product 1", "product 1", "product 1"]}'),
    "hold": ("/hold?ms=20", b'{"names": ["product 1"]}'),
    "checkout": ("/checkout?ms=5", b'{"paid": 1}'),
    "checkout_in_halves": ("/checkout_in_halves", b'{"paid": 1}'),
    "checkout_across_hops": ("/checkout_across_hops", b'{"paid": 1}'),
    "upload": ("/upload", b'{"received": 0}'),
    "download": ("/download?n=2", b"x" * 160_000),
    "whoami": ("/whoami", None),
}
BARE_404 = b'{"error": "Nothing here; this lab answers /hello, /wait, /ready."}'
DJANGO_404 = (
    b'{"error": "Nothing here; this lab answers /hello, /wait, /blocking_wait, /fan_out, /fan_out_threads, '
    b"/burn, /wait_and_burn, /feed, /tokens, /tokens_lean, /poll, /rows, /slow_rows, /crud, /gathered, "
    b"/gathered_threads, /hold, /checkout, /checkout_in_halves, /checkout_across_hops, /upload, /download, /whoami, "
    b'/ready, /publish."}'
)
REFUSED = {
    "/wait?ms=10001": b'{"error": "ms must be a whole number from 0 to 10000, not \'10001\'."}',
    "/wait?ms=-1": b'{"error": "ms must be a whole number from 0 to 10000, not \'-1\'."}',
    "/wait?ms=soon": b'{"error": "ms must be a whole number from 0 to 10000, not \'soon\'."}',
    "/wait?ms=1.5": b'{"error": "ms must be a whole number from 0 to 10000, not \'1.5\'."}',
    "/wait?ms=": b'{"error": "ms must be a whole number from 0 to 10000, not \'\'."}',
    "/wait?ms=%D9%A3": b'{"error": "ms must be a whole number from 0 to 10000, not \'\\u0663\'."}',
}
REFUSED_BY_DJANGO = REFUSED | {
    "/fan_out?n=0": b'{"error": "n must be a whole number from 1 to 100, not \'0\'."}',
    "/fan_out?n=101": b'{"error": "n must be a whole number from 1 to 100, not \'101\'."}',
    "/fan_out_threads?n=many": b'{"error": "n must be a whole number from 1 to 100, not \'many\'."}',
    "/burn?ms=%2B5": b'{"error": "ms must be a whole number from 0 to 10000, not \'+5\'."}',
    "/blocking_wait?ms=1_0": b'{"error": "ms must be a whole number from 0 to 10000, not \'1_0\'."}',
}
ONE_SERVER_PER_DJANGO_LAB = (
    "sync_wsgi@gthread:8",
    "sync_asgi@uvicorn",
    "async_asgi@uvicorn",
    "async_wsgi@gthread:8",
    "mixed_middleware@uvicorn",
    "zero_hop@uvicorn",
    "pinned_pool@uvicorn",
    "channels_live@uvicorn",
)


@dataclass(frozen=True)
class Served:
    """A stack, its running server, and a client of it."""

    stack: Stack
    server: RunningServer
    client: httpx.Client

    def processes(self) -> set[int]:
        """Those that answer: without the ones that only look after others, and Python's own helper."""
        family = self.server.family()
        return {p.pid for p in family if not p.children() and "resource_tracker" not in " ".join(p.cmdline())}

    def answering(self) -> set[int]:
        """Those of them that answer now, of some connections at once; of a bare lab one."""
        if not self.stack.lab.is_django:
            return self.processes()
        return {answer.json()["pid"] for answer in burst(self.server.url, ["/whoami"] * 8).answers}

    def has_settled(self) -> bool:
        """Every process has answered, and so has said what it has to say when it starts: they do not start together."""
        return self.answering() == self.processes() and len(self.processes()) == self.stack.budget.processes


@pytest.fixture(scope="module")
def services(upstream: RunningServer, database: Database) -> dict[str, str]:
    """Where the labs find what they ask."""
    return Services(upstream, database).environment


@pytest.fixture(scope="module", params=STACKS, ids=lambda stack: stack.name)
def served(request: pytest.FixtureRequest, services: dict[str, str]) -> Iterator[Served]:
    """Each stack in turn, bound to the cores that a trial would give it."""
    stack: Stack = request.param
    where = cpu_placement.plan(stack.budget.processes)
    with (
        serving_stack(stack, services=services, cpus=where.server, grace_s=0) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        served = Served(stack, server, client)
        eventually(served.has_settled, 20)
        yield served


def assert_answers(answer: httpx.Response, status: int, body: bytes) -> None:
    headers = {name: answer.headers.get(name) for name in ("content-type", "content-length")}
    assert (answer.status_code, answer.content) == (status, body), answer.url
    if body.startswith(b"event: "):
        assert headers == {"content-type": "text/event-stream", "content-length": None}
    elif body.startswith(b"x"):
        assert headers == {"content-type": "application/octet-stream", "content-length": str(len(body))}
    else:
        assert headers == {"content-type": "application/json", "content-length": str(len(body))}


def test_every_workload_has_an_answer_here() -> None:
    assert ANSWERS.keys() == WORKLOADS.keys()


def test_every_stack_answers_every_workload(served: Served) -> None:
    for workload, (path, body) in ANSWERS.items():
        answer = served.client.get(path)
        if not parse_request(workload).is_answered_by(served.stack):
            assert_answers(answer, 404, BARE_404)
        elif body is None:
            assert_answers(answer, 200, answer.content)
            assert answer.json().keys() == WHOAMI_KEYS
        else:
            assert_answers(answer, 200, body)


def test_every_stack_reads_a_body(served: Served) -> None:
    if parse_request("upload").is_answered_by(served.stack):
        assert_answers(served.client.post("/upload?n=30", content=b"x" * 30_000), 200, b'{"received": 30000}')


def test_a_bad_parameter_is_refused_with_the_same_bytes(served: Served) -> None:
    for path, body in (REFUSED_BY_DJANGO if served.stack.lab.is_django else REFUSED).items():
        assert_answers(served.client.get(path), 400, body)


def test_an_unknown_path_is_a_404_without_a_debug_page(served: Served) -> None:
    body = DJANGO_404 if served.stack.lab.is_django else BARE_404
    assert_answers(served.client.get("/no/such?page=1"), 404, body)


def test_head_has_the_headers_of_get_and_no_body(served: Served) -> None:
    head, get = served.client.head("/hello"), served.client.get("/hello")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_answering_writes_no_log(served: Served) -> None:
    before = served.server.log.read_bytes()
    assert {served.client.get("/hello").status_code for _ in range(3)} == {200}
    assert served.client.get("/nothing").status_code == 404
    assert served.server.log.read_bytes() == before


def test_as_many_processes_answer_as_the_budget_says(served: Served) -> None:
    assert len(served.processes()) == served.stack.budget.processes
    assert served.answering() <= served.processes()


@pytest.mark.skipif(not cpu_placement.available(), reason="this system has no CPU affinity")
def test_every_thread_of_the_server_is_bound_to_its_cores(served: Served) -> None:
    burst(served.server.url, ["/wait?ms=50"] * 4)  # so that pools have threads
    asked = set(served.server.cpus)
    bound = [cores for process in served.server.family() for cores in cores_of_threads(process)]
    assert bound == [asked] * len(bound)
    assert bound


def cores_of_threads(process: psutil.Process) -> Iterator[set[int]]:
    """One of a pool's may end while we look."""
    for thread in process.threads():
        with suppress(ProcessLookupError):
            yield os.sched_getaffinity(thread.id)


@pytest.mark.parametrize("stack", ONE_SERVER_PER_DJANGO_LAB)
def test_the_startproject_middleware_changes_no_answer(stack: str, services: dict[str, str]) -> None:
    serving = serving_stack(parse_stack(stack), middleware=["startproject"], services=services, grace_s=0)
    with serving as server, httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
        for path, body in ANSWERS.values():
            answer = client.get(path)
            assert_answers(answer, 200, answer.content if body is None else body)
            assert answer.headers["x-frame-options"] == "DENY"  # so the middleware is there
        for path, body in REFUSED_BY_DJANGO.items():
            assert_answers(client.get(path), 400, body)
        stranger = client.get("/hello", headers={"Host": "example.org"})
        assert stranger.status_code == 400
        assert "example.org" in json.loads(stranger.content)["error"]


def test_mixed_middleware_takes_the_stack_it_is_told_and_signs_innermost_first() -> None:
    stack = parse_stack("mixed_middleware@uvicorn")
    with serving_stack(stack, middleware=["both", "sync_only"]) as server:
        answer = httpx.get(f"{server.url}/hello", trust_env=False)
    assert answer.headers["x-lab-middleware"] == "sync_only, both"
