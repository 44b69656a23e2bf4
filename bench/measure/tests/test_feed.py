"""Feeds and polls over real servers: what is sent when, who is told, and what the wrong pairings do."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator

import httpx
import pytest

from bench.base.polling import eventually
from bench.measure.readiness import RunningServer, serving_stack
from bench.model.stacks import parse_stack

STREAMS = ("sync_wsgi@gthread:8", "async_asgi@uvicorn", "zero_hop@uvicorn")
BUFFERS = ("sync_asgi@uvicorn", "async_wsgi@gthread:8")
N, PAUSE_MS = 4, 150
LASTS_S = (N - 1) * PAUSE_MS / 1000


@pytest.fixture(scope="module", params=[*STREAMS, *BUFFERS])
def cell(request: pytest.FixtureRequest) -> Iterator[tuple[str, RunningServer]]:
    with serving_stack(parse_stack(request.param), grace_s=0) as server:
        yield request.param, server


def until_nobody_listens(server: RunningServer) -> None:
    """A thread notices that its client has left when it writes."""
    assert eventually(lambda: not publish(server, "anybody"), 10)


def first_byte_and_end_s(server: RunningServer) -> tuple[float, float]:
    began_s = time.monotonic()
    with httpx.stream("GET", f"{server.url}/feed?n={N}&ms={PAUSE_MS}", timeout=30, trust_env=False) as answer:
        parts = answer.iter_raw()
        next(parts)
        first_s = time.monotonic() - began_s
        for _ in parts:
            pass
    return first_s, time.monotonic() - began_s


def test_the_first_byte_comes_at_once_or_with_the_last(cell: tuple[str, RunningServer]) -> None:
    stack, server = cell
    first_s, end_s = first_byte_and_end_s(server)
    assert end_s >= LASTS_S
    if stack in BUFFERS:
        assert first_s >= LASTS_S
        return
    with httpx.stream("GET", f"{server.url}/feed?n=2&ms=10000", timeout=8, trust_env=False) as answer:
        assert answer.status_code == 200
        parts = answer.iter_raw()  # kept: when it goes, it closes the connection
        next(parts)
    until_nobody_listens(server)


def publish(server: RunningServer, text: str) -> int:
    request = urllib.request.Request(f"{server.url}/publish?text={text}", data=b"", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.load(answer)["heard"])


def test_a_poll_answers_when_something_is_published_and_else_at_its_end(cell: tuple[str, RunningServer]) -> None:
    _, server = cell
    quiet = httpx.get(f"{server.url}/poll?ms=50", trust_env=False).json()
    assert quiet == {"news": None}
    heard: list[object] = []

    def ask() -> None:
        heard.append(httpx.get(f"{server.url}/poll?ms=10000", timeout=30, trust_env=False).json()["news"])

    asking = threading.Thread(target=ask)
    asking.start()
    deadline_s = time.monotonic() + 10
    while not publish(server, "now") and time.monotonic() < deadline_s:
        time.sleep(0.02)
    asking.join(timeout=10)
    assert heard == ["now"]


def test_a_feed_that_is_left_frees_its_listener(cell: tuple[str, RunningServer]) -> None:
    stack, server = cell
    if stack in BUFFERS:
        pytest.skip("nothing is sent before the end, so there is nothing to leave")
    with httpx.stream("GET", f"{server.url}/feed?n=100&ms=200", timeout=30, trust_env=False) as answer:
        parts = answer.iter_raw()  # kept: when it goes, it closes the connection
        next(parts)
        assert publish(server, "hello") == 1
    until_nobody_listens(server)


def test_what_is_published_is_one_event_whatever_is_in_it() -> None:
    """A line break in a text must not make an event of its own."""
    with (
        serving_stack(parse_stack("async_asgi@uvicorn"), grace_s=0) as server,
        httpx.stream("GET", f"{server.url}/feed?n=100&ms=10000", timeout=30, trust_env=False) as answer,
    ):
        parts = answer.iter_raw()
        next(parts)
        publish(server, "a%0A%0Aevent:%20tick")
        assert next(parts) == b"event: news\ndata: a\ndata: \ndata: event: tick\n\n"
