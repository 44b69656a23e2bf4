"""A made-up run with plausible numbers, for tests of what is made from runs. No number here was measured."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from bench.analyse import queueing, utilisation
from bench.model import histograms, run_record, trial_record
from bench.model.run_record import Assertion, Run, RunPlan
from bench.model.stacks import parse_stack
from bench.model.trial_record import ANSWERED_EVERY_S, Event, Reason, Samples, Trial
from bench.model.workloads import parse_request

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
COLUMNS = round(DURATION_S / ANSWERED_EVERY_S)
CLAIM = Assertion(
    "At 400 users one event loop answers more than 8 threads",
    {"stack": "async_asgi@uvicorn", "request": "wait?ms=100", "users": 400},
    {"stack": "sync_wsgi@gthread:8", "request": "wait?ms=100", "users": 400},
)
CLAIMS = [
    CLAIM,
    Assertion(
        "At 400 users one event loop answers more than 400 threads",
        {"stack": "async_asgi@uvicorn", "request": "wait?ms=100", "users": 400},
        {"stack": "sync_wsgi@gthread:400", "request": "wait?ms=100", "users": 400},
    ),
    Assertion(
        "It needs fewer threads",
        {"stack": "async_asgi@uvicorn", "users": 400},
        {"stack": "sync_wsgi@gthread:400", "users": 400},
        measure="server.threads_max",
        expect="less",
    ),
    Assertion("More processes answer more", {"stack": "async_asgi@uvicorn:x2"}, {"stack": "async_asgi@uvicorn"}),
]
CLIENT_LIMITED = Reason("client-limited", "The load generator used 83 % of its core: a faster one might show more.")
DIED = Reason("server-died", "The server died 2.1 s into the window (exit status 137) after 312 answers.")
OVERLOAD = Reason("overload", "90 of 3000 requests were not answered until the end of the drain: at least.")
RESTARTED = Event("server-restarted", 2.1, 0.0, "Process 77 of the server ended 2.1 s into the window.")
FROZEN = Event("frozen", 2.0, 1.0, "The server was frozen, as the experiment asks, 2.0 s into the window.")
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
    point = queueing.thread_pool_curve([users], **network)[0]
    measured = _measured(blank, point, queueing.limit_per_s(users=users, **network), cpu_us, chance)
    return _limited(replace(measured, io_wait_s=network["io_wait_s"], slots=network["threads"]))


def _limited(trial: Trial) -> Trial:
    """With what was used to the full, as the lab itself finds it."""
    used = utilisation.utilisation_of(trial, (trial.cpu_us_per_request or 0.0) / 1e6, cores=1)
    return replace(trial, utilisation=used, limiter=utilisation.observed_bottleneck(used))


def _measured(blank: Trial, point: queueing.Point, limit_per_s: float, cpu_us: float, chance: random.Random) -> Trial:
    rate = point.throughput_per_s * chance.uniform(0.9, 0.95)
    histogram = histograms.new_histogram()
    for _ in range(400):
        histogram.record_value(max(1, int(point.response_s * 1e6 * chance.lognormvariate(0.05, 0.12))))
    return replace(
        blank,
        verdict="ok",
        issued=int(rate * DURATION_S),
        completed=int(rate * DURATION_S),
        duration_s=DURATION_S,
        throughput_per_s=rate,
        halves_per_s=[rate, rate],
        answered=[round(rate * ANSWERED_EVERY_S)] * COLUMNS,
        latency_us=histograms.latency_of(histogram),
        histogram=histograms.encode_histogram(histogram),
        limit_per_s=limit_per_s,
        fraction_of_limit=rate / limit_per_s,
        cpu_us_per_request=cpu_us,
        server=_server_use(blank, rate * cpu_us / 1e6),
        load=_load_use(rate),
        samples=_samples(rate * cpu_us / 1e6),
        commands={"server": parse_stack(blank.stack).command(8000), "load": ["locust", "--headless"]},
    )


def _load_use(rate: float) -> trial_record.LoadUse:
    share = min(0.95, rate * 120e-6)
    return trial_record.LoadUse(cpu_share=share, processes=1, cpus=[1], busiest_share=share)


def _samples(cpu_share: float) -> Samples:
    many = COLUMNS + 1
    return Samples(
        at_s=[place * ANSWERED_EVERY_S for place in range(many)],
        cpu_share=[cpu_share] * many,
        rss_bytes=[52_000_000] * many,
        threads=[3] * many,
        accept_queue=[0] * many,
    )


def _server_use(blank: Trial, cpu_share: float) -> trial_record.ServerUse:
    slots = parse_stack(blank.stack).request_slots
    users = blank.users or 50
    threads = min(users, slots) + 2 if slots else (users if blank.stack.startswith("sync_asgi") else 0) + 2
    rss_bytes = 52_000_000 + 90_000 * threads + 9_000 * users
    return trial_record.ServerUse(threads, rss_bytes, users, cpu_share, cpu_share * DURATION_S, 1, [0])


CAPACITY_USERS = 200


def open_trial_of(
    stack: str,
    request: str = "wait?ms=100",
    share: float | None = 0.5,
    repeat: int = 0,
    rate_per_s: float | None = None,
    **changes: Any,
) -> Trial:
    """One open loop at a share of what the stack answers to many users, or at a rate; above capacity it piles up."""
    capacity = trial_of(stack, request, CAPACITY_USERS).throughput_per_s or 1.0
    rate = rate_per_s or float(f"{(share or 0.0) * capacity:.3g}")
    share = share if rate_per_s is None else None
    return replace(_at_rate(stack, request, rate, capacity, share, repeat), **changes)


@cache
def _at_rate(stack: str, request: str, rate: float, capacity: float, share: float | None, repeat: int) -> Trial:
    chance = random.Random(f"{stack} {request} {rate} {repeat}")
    closed = trial_of(stack, request, CAPACITY_USERS, repeat)
    answer_s = closed.io_wait_s + CPU_US[stack.partition("@")[0]] / 1e6
    waits_s = [_queued_s(rate / capacity, capacity, chance) for _ in range(400)]
    base = replace(closed, users=None, rate_per_s=rate, capacity_share=share, issued=round(rate * DURATION_S))
    rate = min(rate, capacity)
    timed = _timed(base, [answer_s + wait_s for wait_s in waits_s])
    answered = replace(timed, throughput_per_s=rate, halves_per_s=[rate, rate], load=_load_use(rate))
    return _limited(_piled_up(answered) if (base.rate_per_s or 0) > capacity else replace(answered, issued=_done(rate)))


def _done(rate: float) -> int:
    return round(rate * DURATION_S)


def _queued_s(load: float, capacity: float, chance: random.Random) -> float:
    """A wait as it grows towards capacity; above it the queue grows through the window."""
    if load > 1:
        return chance.uniform(0.0, (load - 1) * DURATION_S + 0.3)
    return chance.expovariate(1.0) * 4 / capacity * load / (1.02 - load)


def _timed(trial: Trial, answers_s: Sequence[float]) -> Trial:
    """With these latencies; each request left 0.1 ms after it was due."""
    intended, sent = histograms.new_histogram(), histograms.new_histogram()
    for answer_s in answers_s:
        intended.record_value(round(answer_s * 1e6) + 100)
        sent.record_value(max(1, round(answer_s * 1e6)))
    return replace(
        trial,
        completed=trial.issued,
        latency_us=histograms.latency_of(intended),
        latency_from_send_us=histograms.latency_of(sent),
        lateness_us=trial_record.Latency(100, 200, 400, 500, 600),
        histogram=histograms.encode_histogram(intended),
        histogram_from_send=histograms.encode_histogram(sent),
    )


def _piled_up(trial: Trial) -> Trial:
    """Some of it is unanswered when the drain ends."""
    left = min(90, trial.issued)
    return replace(
        trial,
        completed=trial.issued - left,
        timed_out=left // 9,
        in_flight=left - left // 9,
        latency_at_least=["p99", "p999", "max"],
        verdict="degraded",
        reasons=[OVERLOAD],
    )


def open_sweep(
    stacks: Sequence[str] = ("sync_wsgi@gthread:8", "sync_wsgi@gthread:64", "async_asgi@uvicorn"),
    shares: Sequence[float] = (0.1, 0.5, 0.9, 1.2),
    repeats: int = 3,
    **changes: Any,
) -> Run:
    """Open loops at shares of each stack's capacity, after the closed loops in which that was measured."""
    every = [(stack, repeat) for repeat in range(repeats) for stack in stacks]
    capacity = [trial_of(stack, users=CAPACITY_USERS, repeat=repeat) for stack, repeat in every]
    loads = [open_trial_of(stack, share=share, repeat=repeat) for share in shares for stack, repeat in every]
    return run_of([*capacity, *loads], **changes)


def freeze(stack: str = "async_asgi@uvicorn", rate_per_s: float = 100.0, repeats: int = 3) -> Run:
    """An open loop and a closed one held to the same rate, through the same freeze of a second."""
    trials = [_frozen(stack, users, rate_per_s, repeat) for repeat in range(repeats) for users in (None, 10)]
    return run_of(trials, experiment="freeze", title="A server that stands still")


def _frozen(stack: str, users: int | None, rate: float, repeat: int) -> Trial:
    """The open loop's requests pile up; ten users have ten requests that see the freeze."""
    chance = random.Random(f"{users} {repeat}")
    began, ended = (round(at_s / ANSWERED_EVERY_S) for at_s in (FROZEN.at_s, FROZEN.at_s + FROZEN.for_s))
    column = round(rate * ANSWERED_EVERY_S)
    answered = [0 if began <= place < ended else column for place in range(COLUMNS)]
    stuck = round(rate * FROZEN.for_s) if users is None else 4  # fewer than 1 in 100, who are all that see it
    answered[ended] += stuck
    usual_s = [chance.uniform(0.001, 0.003) for _ in range(sum(answered) - stuck)]
    waited_s = [FROZEN.for_s * (1 - place / stuck if users is None else 1) for place in range(stuck)]
    trial = replace(
        open_trial_of(stack, "hello", repeat=repeat, rate_per_s=rate),
        users=users,
        issued=sum(answered),
        answered=answered,
        events=[FROZEN],
        samples=_samples_frozen(stuck, began, ended),
        throughput_per_s=sum(answered) / DURATION_S,
    )
    trial = _timed(trial, [*usual_s, *waited_s])
    if users is None:
        return trial
    return replace(trial, latency_from_send_us=None, histogram_from_send=None, lateness_us=None)


def _samples_frozen(stuck: int, began: int, ended: int) -> Samples:
    usual = _samples(0.1)
    places = range(len(usual.at_s))
    return replace(
        usual,
        cpu_share=[0.0 if began < place <= ended else 0.1 for place in places],
        accept_queue=[stuck if began < place <= ended else 0 for place in places],
    )


def without_numbers(trial: Trial, verdict: trial_record.Verdict, reason: Reason) -> Trial:
    """The trial as it is recorded when nothing could be measured."""
    bare = Trial(trial.stack, trial.workload, trial.parameters, trial.middleware, trial.users, trial.repeat)
    return replace(
        bare,
        rate_per_s=trial.rate_per_s,
        capacity_share=trial.capacity_share,
        verdict=verdict,
        reasons=[reason],
        io_wait_s=trial.io_wait_s,
        slots=trial.slots,
        commands=trial.commands,
    )


def run_of(trials: Sequence[Trial], claims: Sequence[Assertion] = (), **changes: Any) -> Run:
    """A complete run around these trials, its plan read off them."""
    plan = RunPlan(
        stacks=list(dict.fromkeys(trial.stack for trial in trials)),
        requests=list(dict.fromkeys(trial.request for trial in trials)),
        loads=list(dict.fromkeys(trial.load_text for trial in trials)),
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
        schema=run_record.SCHEMA,
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
    claims: Sequence[Assertion] = CLAIMS,
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
