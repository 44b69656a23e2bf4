"""nginx before uvicorn under gunicorn before a database: what comes through, when, and on how many connections."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Any

import httpx
import psutil

from bench.base.errors import NotRun
from bench.claims.probes import programs
from bench.claims.probes.cells import get, publish
from bench.claims.probes.printed import listening
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.readiness import RunningServer, serving
from bench.measure.services import serving_services
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request

ROWS = 3
PARSERS = {"httptools": "labs.common.workers.PinnedUvicornWorker", "h11": "uvicorn_worker.UvicornH11Worker"}
EVENTS, PAUSE_MS = 4, 300
STREAM = f"/feed?n={EVENTS}&ms={PAUSE_MS}"
REQUESTS, STREAMS, LEFT_WITHIN_S, SETTLES_S = 20, 5, 5.0, 0.5
# All that nginx writes lies in one folder. Below `/off` the site's own setting is to hold nothing back.
CONFIGURATION = Template("""
daemon off;
$user
worker_processes 1;
pid $folder/pid;
error_log $folder/error.log;
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
""")


def behind_nginx() -> dict[str, Any]:
    """A query answered through nginx, when a stream's first event comes, and what uvicorn sees of nginx's connections.

    nginx asks in HTTP/1.0 unless it is told otherwise: of uvicorn's two parsers `httptools` sends a stream in chunks
    all the same, `h11`, which a plain uvicorn has, does not. With h11 also straight from uvicorn, with the header
    `X-Accel-Buffering: no`, and with nginx's `proxy_buffering off`.
    """
    program, request = programs.path_of("nginx"), parse_request(f"rows?n={ROWS}")
    with serving_services(request) as needs:
        if not needs.database or not needs.database.vendor.startswith("PostgreSQL"):
            raise NotRun("there is no PostgreSQL: ./scripts/system-packages gets it.")
        with _both(program, "httptools", needs.environment) as (server, nginx):
            rows = httpx.get(f"{nginx}{request.path}", trust_env=False, timeout=30).json()["names"]
            found = {"rows": len(rows), "database": needs.database.vendor, "lasts_ms": (EVENTS - 1) * PAUSE_MS}
            found |= _connections(server, nginx) | _first_event("httptools", server, nginx)
        with _both(program, "h11", needs.environment) as (server, nginx):
            found |= _first_event("direct", server, server.url) | _first_event("h11", server, nginx)
            found |= _first_event("header", server, nginx, "&unbuffered") | _first_event("off", server, f"{nginx}/off")
    return found


@contextmanager
def _both(program: str, parser: str, services: dict[str, str]) -> Iterator[tuple[RunningServer, str]]:
    """uvicorn with one of its parsers under gunicorn, and the address of an nginx before it."""
    port = free_port()
    *command, _ = parse_stack("async_asgi@uvicorn_worker").command(port)
    command[command.index("--worker-class") + 1] = PARSERS[parser]
    command.append("bench.claims.probes.held_back:application")
    with serving(command, port, environment=services, grace_s=0) as server, _before(program, server) as nginx:
        yield server, nginx


@contextmanager
def _before(program: str, server: RunningServer) -> Iterator[str]:
    """The address of an nginx that passes everything on to the server."""
    with work_folder("nginx") as folder:
        file, port = folder / "nginx.conf", free_port()
        file.write_text(_configuration(folder, port, server.port))
        with listening([program, "-p", str(folder), "-e", "stderr", "-c", str(file)], port) as url:
            yield url


def _configuration(folder: Path, port: int, behind: int) -> str:
    # Its workers would become somebody who may not enter the folder; who is not root stays himself.
    user = "user root;" if os.geteuid() == 0 else ""
    return CONFIGURATION.substitute(user=user, folder=folder, host=HOST, port=port, behind=behind)


def _first_event(way: str, server: RunningServer, url: str, asked: str = "") -> dict[str, Any]:
    """Milliseconds until it is here, and whether its stream was still open then, so that it was not held back."""
    began_s = time.monotonic()
    with httpx.stream("GET", f"{url}{STREAM}{asked}", trust_env=False, timeout=30) as feed:
        events = feed.iter_bytes()  # kept: when it goes, it closes the connection
        next(events)
        took_ms = int((time.monotonic() - began_s) * 1000)
        return {f"{way}_ms": took_ms, f"{way}_streams": publish(server, "one") > 0}


def _connections(server: RunningServer, nginx: str) -> dict[str, Any]:
    """What uvicorn sees of requests on one connection to nginx, of streams open there, and of those who left."""
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
    told = {"requests": REQUESTS, "connections": made, "streams": STREAMS, "open": open_streams}
    return {**told, "threads": threads, "left": _left(server)}


def _ended_at(port: int) -> int:
    """Connections to a port of this machine that have ended: the system remembers them a minute. Once none is added."""
    seen = -1
    while seen != (now := sum(port in ports for ports in _ended())):
        seen = now
        time.sleep(SETTLES_S)
    return seen


def _ended() -> Iterator[list[int]]:
    """The ports at both ends of each connection that has ended."""
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_TIME_WAIT:
            yield [end.port for end in (each.laddr, each.raddr) if end]


def _left(server: RunningServer) -> int:
    """Streams that are still open after their clients have gone."""
    deadline_s = time.monotonic() + LEFT_WITHIN_S
    while (heard := publish(server, "anybody?")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return heard
