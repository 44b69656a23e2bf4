"""Probes nginx before uvicorn under gunicorn before a database: what comes through, when, on how many connections."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from string import Template
from typing import Any

import httpx
import psutil

from bench.base import programs
from bench.base.errors import LabError, NotRun
from bench.claims.probes.serving import LISTENS_WITHIN_S, get, publish, serve
from bench.measure.fronting import Addresses, running_front
from bench.measure.ports import free_port
from bench.measure.readiness import RunningServer, listens_within
from bench.measure.services import serving_services
from bench.model.fronts import FRONTS
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request

ROWS = 3
PARSERS = {"httptools": "labs.common.workers.PinnedUvicornWorker", "h11": "uvicorn_worker.UvicornH11Worker"}
EVENTS, PAUSE_MS = 4, 300
STREAM = f"/feed?n={EVENTS}&ms={PAUSE_MS}"
REQUESTS, STREAMS, TRIES, LEFT_WITHIN_S, SETTLES_S = 20, 5, 3, 5.0, 0.5
# nginx as a site has it that sets nothing; below `/off` its own setting is to hold nothing back.
PLAIN = replace(
    FRONTS["nginx"],
    configuration=Template("""
daemon off;
pid $folder/pid;
error_log stderr;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen $host:$port;
        location / { proxy_pass http://$host:$behind; }
        location /off/ { proxy_pass http://$host:$behind/; proxy_buffering off; }
    }
}
"""),
)


def behind_nginx() -> dict[str, Any]:
    """Ask through nginx: a query's answer, when a stream's first event comes, and the connections that uvicorn sees.

    By default nginx sends requests in HTTP/1.0: of uvicorn's two parsers `httptools` sends a stream in chunks
    all the same, `h11`, which a plain uvicorn has, does not. With h11 also straight from uvicorn, with the header
    `X-Accel-Buffering: no`, and with nginx's `proxy_buffering off`.
    """
    programs.path_of(PLAIN.program)
    request = parse_request(f"rows?n={ROWS}")
    with serving_services(request, parse_stack("async_asgi@uvicorn")) as needs:
        if not needs.database or not needs.database.is_postgres:
            raise NotRun("there is no PostgreSQL: ./scripts/system-packages gets it.")
        with _both("httptools", needs.environment) as (server, nginx):
            rows = httpx.get(f"{nginx}{request.path}", trust_env=False, timeout=30).json()["names"]
            found = {"rows": len(rows), "database": needs.database.vendor, "lasts_ms": (EVENTS - 1) * PAUSE_MS}
            found |= _connections(server, nginx) | _first_event("httptools", server, nginx)
        with _both("h11", needs.environment) as (server, nginx):
            found |= _first_event("direct", server, server.url) | _first_event("h11", server, nginx)
            found |= _first_event("header", server, nginx, "&unbuffered") | _first_event("off", server, f"{nginx}/off")
    return found


@contextmanager
def _both(parser: str, services: dict[str, str]) -> Iterator[tuple[RunningServer, str]]:
    """Start uvicorn with one of its parsers under gunicorn, and an nginx before it; yield server and address."""

    def command(port: int) -> list[str]:
        *words, _ = parse_stack("async_asgi@uvicorn_worker").command(port)
        words[words.index("--worker-class") + 1] = PARSERS[parser]
        return [*words, "bench.claims.probes.unbuffered:application"]

    with serve(command, **services) as server, _before(server) as nginx:
        yield server, nginx


@contextmanager
def _before(server: RunningServer) -> Iterator[str]:
    """Start an nginx that passes everything on to the server; yield its address."""
    port = free_port()
    with running_front(PLAIN, Addresses(HOST, port, server.port), cpus=()) as nginx:
        if not listens_within(nginx, port, LISTENS_WITHIN_S):
            raise LabError(f"nginx does not listen. The end of its log:\n{nginx.log_tail()}")
        yield f"http://{HOST}:{port}"


def _first_event(way: str, server: RunningServer, url: str, asked: str = "") -> dict[str, Any]:
    """Return the milliseconds until the first event, and whether the stream was still open then: not held back.

    One that was not open is read again, because a busy machine may have looked too late.
    """
    tries = []
    for _ in range(TRIES):
        tries.append(_read_first(server, f"{url}{STREAM}{asked}"))
        if tries[-1][1]:
            break
    took_ms, streams = tries[-1] if tries[-1][1] else min(tries)
    return {f"{way}_ms": took_ms, f"{way}_streams": streams}


def _read_first(server: RunningServer, url: str) -> tuple[int, bool]:
    began_s = time.monotonic()
    with httpx.stream("GET", url, trust_env=False, timeout=30) as feed:
        events = feed.iter_bytes()  # kept: when it goes, it closes the connection
        next(events)
        took_ms = int((time.monotonic() - began_s) * 1000)
        return took_ms, publish(server, "one") > 0


def _connections(server: RunningServer, nginx: str) -> dict[str, Any]:
    """Count the connections uvicorn sees: for requests on one connection to nginx, for open streams, and after."""
    before = _ended_at(server.port)
    with httpx.Client(trust_env=False, timeout=30) as client:
        for _ in range(REQUESTS):
            client.get(f"{nginx}/hello").raise_for_status()
    made = _ended_at(server.port) - before
    with ExitStack() as leaving:
        url = f"{nginx}/off/feed?n=100&ms=1000"
        feeds = [leaving.enter_context(httpx.stream("GET", url, trust_env=False)).iter_bytes() for _ in range(STREAMS)]
        for feed in feeds:  # all kept: one that goes closes its connection
            next(feed)
        open_streams, threads = publish(server, "one"), int(get(server, "/whoami")["threads_alive"])
    counts = {"requests": REQUESTS, "connections": made, "streams": STREAMS, "open": open_streams}
    return {**counts, "threads": threads, "left": _left(server)}


def _ended_at(port: int) -> int:
    """Count the ended connections to a port, once no more are added: the system remembers them for a minute."""
    seen = -1
    while seen != (now := sum(port in ports for ports in _ended())):
        seen = now
        time.sleep(SETTLES_S)
    return seen


def _ended() -> Iterator[list[int]]:
    """Yield the ports at both ends of each connection that has ended."""
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_TIME_WAIT:
            yield [end.port for end in (each.laddr, each.raddr) if end]


def _left(server: RunningServer) -> int:
    """Count the streams that stay open after their clients have left, for LEFT_WITHIN_S at most."""
    deadline_s = time.monotonic() + LEFT_WITHIN_S
    while (heard := publish(server, "anybody?")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return heard
