"""Probes the four cells, sync and async views behind both interfaces, on real servers."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from typing import Any

import httpx

from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.claims.probes.serving import get, publish
from bench.measure.process_usage import read
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.variables import clean_environment
from bench.model.stacks import parse_stack, split_name
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack

LOOKS, CALLERS, THREADS = 3, 20, 4
CELLS = (f"sync_wsgi@gthread:{THREADS}", "sync_asgi@uvicorn", "async_asgi@uvicorn", f"async_wsgi@gthread:{THREADS}")
WAIT, BLOCK = "/wait?ms=200", "/blocking_wait?ms=100"
HEARD_WITHIN_S = 10.0
VISIT_WITHIN_S = 20.0
ROUNDS, PAGES = 3, 40


def whereabouts() -> dict[str, Any]:
    """Ask each cell for `whoami`: does it answer, does a loop run under the view, on how many threads did it run?"""
    found: dict[str, Any] = {"cells": len(CELLS), "looks": LOOKS, "answering": 0}
    for stack in CELLS:
        with serving_stack(parse_stack(stack), grace_s=0) as server:
            looks = [get(server, "/whoami") for _ in range(LOOKS)]
        lab = split_name(stack).lab
        found["answering"] += len(looks) == LOOKS
        found[f"{lab}_on_a_loop"] = all(look["loop_running"] for look in looks)
        found[f"{lab}_threads"] = len({look["thread_id"] for look in looks})
    return found


def waits_at_once() -> dict[str, Any]:
    """Count the callers inside a waiting view at once: in one process with a few threads, and on one event loop."""
    pool, loop = (_inside_most(stack) for stack in (CELLS[0], "async_asgi@uvicorn"))
    return {
        "callers": CALLERS,
        "threads": THREADS,
        "pool_inside": pool,
        "loop_inside": loop,
        "inside_a_pool_s_thread": pool // THREADS,
        "inside_the_loop_s_thread": loop,
    }


def blocking_calls() -> dict[str, Any]:
    """Count the callers inside a blocking view at once behind ASGI: an async view and a sync one."""
    found = {views: _inside_most(f"{views}_asgi@uvicorn", BLOCK) for views in ("async", "sync")}
    return {"callers": CALLERS} | {f"{views}_inside": most for views, most in found.items()}


def _inside_most(stack: str, path: str = WAIT) -> int:
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        statuses = asyncio.run(_asked_at_once(server, path))
        if set(statuses) != {200}:
            raise LabError(f"{stack} did not answer all of {CALLERS} requests for {path}.")
        return int(get(server, "/whoami")["inside_most"])


async def _asked_at_once(server: RunningServer, path: str) -> list[int]:
    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=30, trust_env=False) as client:
        return [answer.status_code for answer in await asyncio.gather(*(client.get(path) for _ in range(CALLERS)))]


def polls() -> dict[str, Any]:
    """Long-poll behind each interface: does it hear what is published while it waits?"""
    doors = {"wsgi": CELLS[0], "asgi": "async_asgi@uvicorn"}
    return {"threads": THREADS} | {f"{door}_heard": _poll_hears(stack) for door, stack in doors.items()}


def _poll_hears(stack: str) -> bool:
    heard: list[object] = []
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        asking = threading.Thread(target=lambda: heard.append(get(server, "/poll?ms=8000")["news"]))
        asking.start()
        deadline_s = time.monotonic() + HEARD_WITHIN_S
        while not publish(server, "now") and time.monotonic() < deadline_s:
            time.sleep(0.02)
        asking.join(HEARD_WITHIN_S)
    return heard == ["now"]


def contact_form() -> dict[str, Any]:
    """Fill in the HTMX form behind both interfaces: visits, those answered differently, hops and CPU of the page."""
    wsgi, asgi = (_visits(door) for door in ("labs.sync_wsgi.wsgi", "labs.async_asgi.asgi"))
    different = [name for name in wsgi if wsgi[name][1:] != asgi[name][1:]]
    return {
        "visits": len(wsgi),
        "different": len(different),
        "wsgi_hops": wsgi["page"][0],
        "asgi_hops": asgi["page"][0],
        **{f"{stack.partition('_')[2][:4]}_cpu_us": _cpu_of_page_us(stack) for stack in (CELLS[0], CELLS[2])},
    }


def _cpu_of_page_us(stack: str) -> int:
    """Measure the microseconds of server CPU that the form's page takes: the least mean of some rounds."""
    with serving_stack(parse_stack(stack), grace_s=0) as server, httpx.Client(trust_env=False, timeout=30) as client:
        family, means_us = server.family(), list[float]()
        for _ in range(ROUNDS + 1):  # the first one imports and compiles
            before_s = read(family).cpu_s
            for _ in range(PAGES):
                client.get(f"{server.url}/contact").raise_for_status()
            means_us.append((read(family).cpu_s - before_s) / PAGES * 1e6)
        return round(min(means_us[1:]))


def _visits(door: str) -> dict[str, list[Any]]:
    command = [sys.executable, "-m", "bench.claims.exhibits.contact_visits", door]
    variables = clean_environment({})
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=VISIT_WITHIN_S, check=False
    )
    if done.returncode:
        raise LabError(f"{door} could not be visited: {done.stderr.strip()[-200:]}")
    return dict(json.loads(done.stdout))


def query_hops() -> dict[str, Any]:
    """Count the hops of an async view with four queries, beside those of one without."""
    stack = parse_stack("async_asgi@uvicorn")
    hello, crud = (trace_stack(stack, parse_request(name)).hop_counts["sync_to_async"] for name in ("hello", "crud"))
    return {"hello_hops": hello, "crud_hops": crud, "query_hops": crud - hello}
