"""N requests at once through httpx: when each was answered, and how many threads the server had meanwhile.

A picture, not a measurement: httpx costs the client about a millisecond a request, which is why it stops at 100.
"""

import asyncio
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import httpx

from bench.base.bounded_http import ask
from bench.base.signals import run
from bench.measure import cpu_placement, process_usage
from bench.measure.contract import check_contract
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.services import serving_services
from bench.model.stacks import Stack
from bench.model.workloads import Request

MAX_REQUESTS = 100
LOOK_EVERY_S = 0.02
ANSWERED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Answer:
    """One request of a burst: seconds from the burst's start to its own start and to its answer."""

    start_s: float
    end_s: float
    ok: bool


@dataclass(frozen=True)
class Burst:
    """What came of N requests at once. `inside_most`: the most in a view at a time; None if no view counts them."""

    stack: str
    request: str
    answers: list[Answer]
    inside_most: int | None
    threads_most: int


async def ask_at_once(url: str, request: Request, n: int) -> list[Answer]:
    """Send N requests together and compare each answer with the contract's body."""
    limits = httpx.Limits(max_connections=n)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=ANSWERED_WITHIN_S, trust_env=False) as client:
        # A client's first request pays for its imports, which would look like the server's delay. Its connection is
        # closed again, so that all requests of the burst have to open one.
        with suppress(httpx.HTTPError):  # a server that has ended shows in the burst's answers
            await client.get("/ready", headers={"Connection": "close"})
        began_s = time.monotonic()

        async def ask() -> Answer:
            start_s = time.monotonic() - began_s
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    answer = await client.get(request.path)
                ok = answer.status_code == 200 and request.body in (None, answer.content)
            except (httpx.HTTPError, TimeoutError):
                ok = False
            return Answer(start_s, time.monotonic() - began_s, ok)

        return await asyncio.gather(*(ask() for _ in range(n)))


async def watch(server: RunningServer, request: Request, n: int) -> tuple[list[Answer], int]:
    """Return the answers of a burst, and the most threads that the server had meanwhile."""
    family, threads_most = server.family(), 0
    asking = asyncio.create_task(ask_at_once(server.url, request, n))
    while not asking.done():
        threads_most = max(threads_most, process_usage.read(family).threads)
        await asyncio.sleep(LOOK_EVERY_S)
    return await asking, threads_most


def burst(stack: Stack, request: Request, n: int) -> Burst:
    """Start the stack, send N requests at once, stop it. Raises NotRun and ContractBroken as a trial does."""
    counts_itself = stack.lab.is_django and stack.budget.processes == 1  # several processes count each for itself
    where = cpu_placement.plan(stack.budget.processes)
    with ExitStack() as running:
        needs = running.enter_context(serving_services(request, stack, cpus=where.load))
        server = running.enter_context(serving_stack(stack, services=needs.environment, cpus=where.server))
        check_contract(server.url, request, stack)
        answers, threads_most = run(watch(server, request, n))
        whoami = ask(server.url, "/whoami", ANSWERED_WITHIN_S).json() if counts_itself else {}
        return Burst(stack.name, request.name, answers, whoami.get("inside_most"), threads_most)
