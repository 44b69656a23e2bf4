"""Probes what people ask in 2025 and 2026: tasks that outlive a request, async tests, workers and threads."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from gunicorn.config import Config  # type: ignore[import-untyped]

from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.claims.probes.project import WHERE, project
from bench.claims.probes.serving import get, serve
from bench.claims.probes.view_and_interface import CALLERS, _inside_most
from bench.measure.ports import free_port
from bench.measure.processes import work_folder
from bench.measure.variables import clean_environment
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.tracer import trace_stack

TOGETHER, INSIDE_S = 5, 0.1
TASK_S, WITHIN_S, REPLACED_WITHIN_S = 0.3, 5.0, 30.0
INSIDE, MOST, DONE = Counter[str](), Counter[str](), list[str]()
TASKS: set[asyncio.Task[Any]] = set()
"""Kept: a loop holds tasks by weak references alone."""
SYNC_ONLY = "labs.common.middleware.sync_only"


def sync_wait(request: HttpRequest) -> HttpResponse:
    """Wait, and note how many are inside at once."""
    _enter("sync")
    time.sleep(INSIDE_S)
    INSIDE["sync"] -= 1
    return HttpResponse("waited")


async def async_wait(request: HttpRequest) -> HttpResponse:
    """Do the same as a coroutine."""
    _enter("async")
    await asyncio.sleep(INSIDE_S)
    INSIDE["async"] -= 1
    return HttpResponse("waited")


def _enter(name: str) -> None:
    INSIDE[name] += 1
    MOST[name] = max(MOST[name], INSIDE[name])


async def begin(request: HttpRequest) -> HttpResponse:
    """Leave work to a task, and answer at once."""

    async def work() -> None:
        await asyncio.sleep(TASK_S)
        DONE.append("done")

    task = asyncio.get_running_loop().create_task(work())
    TASKS.add(task)
    return HttpResponse("begun")


async def _work_in_a_thread() -> str:
    await asyncio.sleep(INSIDE_S)
    return await sync_to_async(str)("worked")


def _task_in_a_thread() -> asyncio.Task[str]:
    return asyncio.get_running_loop().create_task(_work_in_a_thread())


async def awaited(request: HttpRequest) -> HttpResponse:
    """Await a task whose work goes to a thread."""
    return HttpResponse(await _task_in_a_thread())


async def streamed(request: HttpRequest) -> StreamingHttpResponse:
    """Begin such a task, and await it in the stream, when the view has returned."""
    task = _task_in_a_thread()

    async def parts() -> AsyncIterator[str]:
        yield await task

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("sync_wait", sync_wait),
    path("async_wait", async_wait),
    path("begin", begin),
    path("awaited", awaited),
    path("streamed", streamed),
]


def async_test_client() -> dict[str, Any]:
    """Gather requests in Django's AsyncClient and in its ASGI handler: how many are inside a view at once?"""
    with project(__name__):
        return asyncio.run(_async_test_client())


async def _async_test_client() -> dict[str, Any]:
    from django.core.asgi import get_asgi_application
    from django.test import AsyncClient

    found: dict[str, Any] = {"together": TOGETHER}
    transport = httpx.ASGITransport(get_asgi_application())
    async with httpx.AsyncClient(transport=transport, base_url=WHERE) as production:
        for name, client in {"test": AsyncClient(SERVER_NAME="localhost"), "served": production}.items():
            for views in ("sync", "async"):
                MOST.clear()
                answers = await asyncio.gather(*(client.get(f"/{views}_wait") for _ in range(TOGETHER)))
                if {answer.status_code for answer in answers} != {200}:
                    raise LabError(f"/{views}_wait did not answer all of {TOGETHER} requests.")
                found[f"{name}_{views}"] = MOST[views]
    return found | {f"{views}_same": found[f"test_{views}"] == found[f"served_{views}"] for views in ("sync", "async")}


def task_after_the_answer() -> dict[str, Any]:
    """Begin a task in a view: is its work done after the answer, behind either interface, and after SIGTERM?"""
    with project(__name__):
        from django.core.asgi import get_asgi_application
        from django.core.wsgi import get_wsgi_application

        behind_asgi = asyncio.run(_begin(get_asgi_application()))
        DONE.clear()
        with httpx.Client(transport=httpx.WSGITransport(get_wsgi_application()), base_url=WHERE) as client:
            client.get("/begin").raise_for_status()
        time.sleep(2 * TASK_S)
        return {"task_ms": int(TASK_S * 1000), "asgi": behind_asgi, "wsgi": bool(DONE), "sigterm": _after_sigterm()}


async def _begin(application: Any) -> bool:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=WHERE) as client:
        (await client.get("/begin")).raise_for_status()
        await asyncio.sleep(2 * TASK_S)
    return bool(DONE)


SERVED = """
import asyncio, sys

TASKS = set()

async def work():
    await asyncio.sleep({task_s})
    open({done!r}, "w").close()

async def application(scope, receive, send):
    if scope["type"] == "http":
        TASKS.add(asyncio.get_running_loop().create_task(work()))
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"begun"}})
"""


def _after_sigterm() -> bool:
    """Let a task begin in uvicorn, end the server by SIGTERM, and return whether the task's work was done."""
    with work_folder("task") as folder:
        done, port = folder / "done", free_port()
        (folder / "served.py").write_text(SERVED.format(task_s=TASK_S, done=str(done)))
        words = ["uvicorn", "--app-dir", str(folder), "--lifespan", "off", "--log-level", "critical"]
        command = [sys.executable, "-m", *words, "--host", HOST, "--port", str(port), "served:application"]
        with subprocess.Popen(command, env=clean_environment({}), cwd=ROOT) as server:
            try:
                _ask_until_it_answers(f"http://{HOST}:{port}/")
                server.send_signal(signal.SIGTERM)
                server.wait(WITHIN_S)
            finally:
                server.kill()
        return done.exists()


def _ask_until_it_answers(url: str) -> None:
    deadline_s = time.monotonic() + 2 * WITHIN_S
    while time.monotonic() < deadline_s:
        try:
            httpx.get(url, trust_env=False, timeout=WITHIN_S).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise LabError(f"{url} does not answer.")


def task_that_hops() -> dict[str, Any]:
    """Start a task with sync_to_async in it, awaited by the view or by its stream: with and without a sync middleware.

    Each as a text, `works` or what happens instead, and whether it fails.
    """
    with project(__name__):
        found = {
            f"{name}{suffix}": asyncio.run(_outcome(f"/{name}", middleware))
            for name in ("awaited", "streamed")
            for suffix, middleware in {"": list[str](), "_under_sync_only": [SYNC_ONLY]}.items()
        }
    return found | {f"{name}_fails": outcome != "works" for name, outcome in found.items()}


async def _outcome(where: str, middleware: list[str]) -> str:
    from django.core.handlers.asgi import ASGIHandler
    from django.test import override_settings

    with override_settings(MIDDLEWARE=middleware):
        transport = httpx.ASGITransport(ASGIHandler())
    async with httpx.AsyncClient(transport=transport, base_url=WHERE) as client:
        try:
            answer = await asyncio.wait_for(client.get(where), WITHIN_S)
        except TimeoutError:
            return "hangs"
        except Exception as error:
            return f"raises {type(error).__name__}"
    return "works" if answer.text == "worked" else f"answers {answer.status_code}"


def inside_one_worker() -> dict[str, Any]:
    """Count the callers inside a waiting view at once in one worker process: gunicorn's sync and gthread, uvicorn."""
    stacks = {"sync": "sync_wsgi@sync", "gthread": "sync_wsgi@gthread:4", "uvicorn": "async_asgi@uvicorn"}
    return {"callers": CALLERS} | {name: _inside_most(stack) for name, stack in stacks.items()}


def gunicorn_threads() -> dict[str, Any]:
    """Find the worker class that gunicorn takes with `--threads 4`, and whether a loop runs under a sync view in it."""
    options = Config()
    options.set("threads", 4)
    with serve(parse_stack("sync_wsgi@gthread:4").command) as server:
        return {"worker": options.worker_class_str, "on_a_loop": get(server, "/whoami")["loop_running"]}


def killed_worker() -> dict[str, Any]:
    """Kill a worker of uvicorn with one and with two of them: does another take its place?"""
    return {"one": _is_replaced("async_asgi@uvicorn"), "two": _is_replaced("async_asgi@uvicorn:x2")}


def _is_replaced(stack: str) -> bool:
    """Kill the worker that answers; return whether a process that was not there before answers then."""
    with serve(parse_stack(stack).command) as server:
        killed = int(get(server, "/whoami")["pid"])
        before = {each.pid for each in server.family()}
        os.kill(killed, signal.SIGKILL)
        deadline_s = time.monotonic() + REPLACED_WITHIN_S
        while time.monotonic() < deadline_s and server.exit_status is None:
            if _new_one_answers(server, before):
                return True
            time.sleep(0.05)
        return False


def _new_one_answers(server: Any, before: set[int]) -> bool:
    try:
        return int(get(server, "/whoami")["pid"]) not in before
    except httpx.HTTPError:
        return False


def async_middleware_behind_wsgi() -> dict[str, Any]:
    """Count the hops of a sync view behind WSGI under an async-only middleware."""
    trace = trace_stack(parse_stack("sync_wsgi@gthread:4"), parse_request("hello"), ["async_only"])
    return {str(kind): count for kind, count in trace.hop_counts.items()}
