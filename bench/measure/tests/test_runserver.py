"""`manage.py runserver` without daphne's app and with it: which handler serves, and what a page can then do."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, serving
from bench.measure.tests.live import enter, get, publish, refused_with
from bench.model.servers import HOST

pytestmark = pytest.mark.timeout(60)


@contextmanager
def runserver(**variables: str) -> Iterator[RunningServer]:
    port = free_port()
    command = ["python", "-m", "labs.channels_live.manage", "runserver", "--noreload", f"{HOST}:{port}"]
    with serving(command, port, environment=variables) as server:
        yield server


@pytest.fixture(scope="module")
def django_s() -> Iterator[RunningServer]:
    with runserver() as server:
        yield server


@pytest.fixture(scope="module")
def daphne_s() -> Iterator[RunningServer]:
    with runserver(LAB_RUNSERVER="daphne") as server:
        yield server


def handlers_and_loops(server: RunningServer) -> tuple[set[str], int]:
    """What kind of request three async views were given, and on how many event loops they ran."""
    answers = [get(server, "/process") for _ in range(3)]
    return {answer["request"] for answer in answers}, len({answer["loop"] for answer in answers})


def is_open_after_its_first_event(server: RunningServer, path: str = "/feed?n=5&ms=400") -> bool:
    """Whether a feed still listens when its client has the first event: it was sent as it came."""
    with httpx.stream("GET", f"{server.url}{path}", trust_env=False, timeout=30) as feed:
        events = feed.iter_text()  # kept: when it goes, it closes the connection
        assert next(events).startswith("event: tick\ndata: 0\n\n")
        return bool(publish(server, "one").json()["heard"])


def test_django_s_runserver_is_wsgi_and_makes_a_loop_for_each_async_view(django_s: RunningServer) -> None:
    assert handlers_and_loops(django_s) == ({"WSGIRequest"}, 3)
    assert get(django_s, "/whoami")["loop_running"] is True


def test_daphne_s_runserver_is_asgi_on_one_loop(daphne_s: RunningServer) -> None:
    assert handlers_and_loops(daphne_s) == ({"ASGIRequest"}, 1)
    assert len({get(daphne_s, "/whoami")["thread_id"] for _ in range(3)}) == 1


def test_django_s_runserver_collects_an_async_stream_before_its_first_event_leaves(django_s: RunningServer) -> None:
    assert not is_open_after_its_first_event(django_s)
    assert "StreamingHttpResponse must consume asynchronous iterators" in django_s.log.read_text()


def test_daphne_s_runserver_sends_each_event_as_it_comes(daphne_s: RunningServer) -> None:
    assert is_open_after_its_first_event(daphne_s, "/feed?n=2&ms=10000")


def test_django_s_runserver_answers_a_websocket_with_404(django_s: RunningServer) -> None:
    assert asyncio.run(refused_with(django_s, "/ws/chat/one")) == 404


def test_daphne_s_runserver_opens_websockets(daphne_s: RunningServer) -> None:
    async def talk() -> None:
        async with await enter(daphne_s, "/ws/chat/one"):
            pass

    asyncio.run(talk())
