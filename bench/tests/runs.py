"""A made-up run with plausible numbers, for tests of what is made from runs. No number here was measured."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from bench import record, theory
from bench.record import Claim, Plan, Reason, Run, Trial
from bench.stacks import parse_stack
from bench.workloads import parse_request

STACKS = (
    "sync_wsgi@gthread:8",
    "sync_wsgi@gthread:64",
    "sync_wsgi@gthread:400",
    "sync_asgi@uvicorn",
    "async_asgi@uvicorn",
)
CPU_US = {
    "sync_wsgi": 420,
    "sync_asgi": 900,
    "async_asgi": 520,
    "async_wsgi": 1100,
    "bare_asgi": 90,
    "bare_wsgi": 150,
}
DURATION_S = 5.0
CLAIM = Claim(
    "At 400 users one event loop answers more than 8 threads",
    {"stack": "async_asgi@uvicorn", "request": "wait?ms=100", "users": 400},
    {"stack": "sync_wsgi@gthread:8", "request": "wait?ms=100", "users": 400},
)
CLAIMS = [
    CLAIM,
    Claim(
        "At 400 users one event loop answers more than 400 threads",
        {"stack": "async_asgi@uvicorn", "request": "wait?ms=100", "users": 400},
        {"stack": "sync_wsgi@gthread:400", "request": "wait?ms=100", "users": 400},
    ),
    Claim(
        "It needs fewer threads",
        {"stack": "async_asgi@uvicorn", "users": 400},
        {"stack": "sync_wsgi@gthread:400", "users": 400},
        measure="server.threads_max",
        expect="less",
    ),
    Claim("More processes answer more", {"stack": "async_asgi@uvicorn:x2"}, {"stack": "async_asgi@uvicorn"}),
]
CLIENT_LIMITED = Reason("client-limited", "The load generator used 83% of its core: a faster one might show more.")
DIED = Reason("server-died", "The server died 2.1 s into the window (exit status 137) after 312 answers.")
NO_BOOT = Reason("not-run", "The server did not boot: ModuleNotFoundError: No module named 'uvloop' <b>&</b>")


def trial_of(stack: str, request: str = "wait?ms=100", users: int = 100, repeat: int = 0, **changes: Any) -> Trial:
    """One measured trial as queueing theory predicts it with the lab's CPU time, give or take 3 %."""
    return replace(_predicted(stack, request, users, repeat), **changes)


@cache
def _predicted(stack: str, request: str, users: int, repeat: int) -> Trial:
    parsed, asked = parse_stack(stack), parse_request(request)
    chance = random.Random(f"{stack} {request} {users} {repeat}")
    blank = Trial(stack, asked.workload.name, dict(asked.parameters), [], users, repeat)
    cpu_us = CPU_US[parsed.lab.name] * (1 + users / 2000) * chance.uniform(0.97, 1.03)
    network: dict[str, Any] = {
        "io_wait_s": asked.io_wait_s(parsed),
        "cpu_s": cpu_us / 1e6,
        "threads": asked.slots(parsed),
        "cores": parsed.budget.processes,
    }
    point = theory.thread_pool_curve([users], **network)[0]
    measured = _measured(blank, point, theory.limit_per_s(users=users, **network), cpu_us, chance)
    return replace(measured, io_wait_s=network["io_wait_s"], slots=network["threads"])


def _measured(blank: Trial, point: theory.Point, limit_per_s: float, cpu_us: float, chance: random.Random) -> Trial:
    rate = point.throughput_per_s * chance.uniform(0.9, 0.95)
    histogram = record.new_histogram()
    for _ in range(400):
        histogram.record_value(max(1, int(point.response_s * 1e6 * chance.lognormvariate(0.05, 0.12))))
    return replace(
        blank,
        verdict="ok",
        completed=int(rate * DURATION_S),
        duration_s=DURATION_S,
        throughput_per_s=rate,
        halves_per_s=[rate, rate],
        latency_us=record.latency_of(histogram),
        histogram=record.encode_histogram(histogram),
        limit_per_s=limit_per_s,
        fraction_of_limit=rate / limit_per_s,
        cpu_us_per_request=cpu_us,
        server=_server_use(blank, rate * cpu_us / 1e6),
        load=record.LoadUse(cpu_share=min(0.95, rate * 120e-6), processes=1, cpus=[1]),
        commands={"server": parse_stack(blank.stack).command(8000), "load": ["locust", "--headless"]},
    )


def _server_use(blank: Trial, cpu_share: float) -> record.ServerUse:
    slots = parse_stack(blank.stack).request_slots
    threads = min(blank.users, slots) + 2 if slots else (blank.users if blank.stack.startswith("sync_asgi") else 0) + 2
    rss_bytes = 52_000_000 + 90_000 * threads + 9_000 * blank.users
    return record.ServerUse(threads, rss_bytes, blank.users, cpu_share, cpu_share * DURATION_S, 1, [0])


def without_numbers(trial: Trial, verdict: record.Verdict, reason: Reason) -> Trial:
    """The trial as it is recorded when nothing could be measured."""
    bare = Trial(trial.stack, trial.workload, trial.parameters, trial.middleware, trial.users, trial.repeat)
    return replace(
        bare,
        verdict=verdict,
        reasons=[reason],
        io_wait_s=trial.io_wait_s,
        slots=trial.slots,
        commands=trial.commands,
    )


def run_of(trials: Sequence[Trial], claims: Sequence[Claim] = (), **changes: Any) -> Run:
    """A complete run around these trials, its plan read off them."""
    plan = Plan(
        stacks=list(dict.fromkeys(trial.stack for trial in trials)),
        requests=list(dict.fromkeys(trial.request for trial in trials)),
        users=sorted({trial.users for trial in trials}),
        middleware=[],
        repeats=max((trial.repeat for trial in trials), default=0) + 1,
        trials=len(trials),
        warmup_s=1.0,
        duration_s=DURATION_S,
        load_processes=1,
        seed=7,
        claims=list(claims),
    )
    run = Run(
        schema=record.SCHEMA,
        experiment="io_wait",
        title="Waiting for I/O",
        question="How many requests that wait can one process hold?",
        profile="reference",
        status="complete",
        started_at="2030-01-01T12:00:00Z",
        took_s=1234.0,
        environment=ENVIRONMENT,
        plan=plan,
        trials=list(trials),
    )
    return replace(run, **changes)


ENVIRONMENT: dict[str, Any] = {
    "cpu": "Imaginary CPU @ 2.00GHz",
    "cores": 2,
    "cores_shared": False,
    "governor": None,
    "memory_bytes": 8_200_000_000,
    "system": "Linux 6.1.0",
    "python": "CPython 3.11.7",
    "packages": {"django": "5.2.19", "gunicorn": "27.0.1", "uvicorn": "0.54.0", "uvloop": None},
    "file_descriptors": [65536, 65536],
    "load_average_before": [0.12, 0.2, 0.31],
    "git": {"commit": "0123abc", "dirty": False},
}


def sweep(
    stacks: Sequence[str] = STACKS,
    requests: Sequence[str] = ("wait?ms=100",),
    users: Sequence[int] = (1, 10, 50, 100, 200, 400),
    repeats: int = 3,
    claims: Sequence[Claim] = CLAIMS,
) -> Run:
    """All of these against each other, everything ok."""
    trials = [
        trial_of(stack, request, level, repeat)
        for repeat in range(repeats)
        for request in requests
        for level in users
        for stack in stacks
    ]
    return run_of(trials, claims)


def flawed() -> Run:
    """The sweep with two client-limited restarts, a server that died, one restart lost, one stack not run."""
    run = sweep((*STACKS, "async_asgi@gunicorn_asgi"))
    return replace(run, trials=[_spoiled(trial) for trial in run.trials])


def _spoiled(trial: Trial) -> Trial:
    match trial.stack, trial.users, trial.repeat:
        case "async_asgi@uvicorn", 200, 0 | 1:
            return replace(trial, verdict="degraded", reasons=[CLIENT_LIMITED])
        case "sync_asgi@uvicorn", 400, _:
            # An invalid trial may carry a number; it must never be shown.
            return replace(trial, verdict="invalid", reasons=[DIED], throughput_per_s=987654.0)
        case "sync_wsgi@gthread:64", 100, 2:
            return without_numbers(trial, "invalid", DIED)
        case "async_asgi@gunicorn_asgi", _, _:
            return without_numbers(trial, "not-run", NO_BOOT)
    return trial
