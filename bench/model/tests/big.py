"""A run of 1,000 trials as large as they get; `python -m bench.model.tests.big FOLDER` writes it. None was measured."""

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

from bench.model import histograms, run_store
from bench.model.run_record import Assertion, Run
from bench.model.tests import runs
from bench.model.trial_record import ANSWERED_EVERY_S, Event, Reason, Samples, Trial

STACKS = (*runs.STACKS, "async_asgi@gunicorn_asgi", "async_wsgi@gthread:64", "sync_wsgi@gthread:1")
USERS = (1, 4, 8, 16, 50, 100, 200, 400)
REQUESTS = ("wait?ms=100", "wait?ms=10")
SHARES = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.1)
REPEATS = 5
WINDOW_S = 5.0
CLAIMS = [
    Assertion(
        f"{left} serves more than {right} at {users} users, {request}",
        {"stack": left, "request": request, "users": users},
        {"stack": right, "request": request, "users": users},
    )
    for left, right in pairwise(STACKS)
    for users in USERS[4:]
    for request in REQUESTS
]


def big_run() -> Run:
    """128 rows of closed and 72 of open loops, five restarts each, with all that a trial may carry."""
    trials = [replace(trial, started_s=8.0 * place, window_at_s=8.0 * place + 2.5) for place, trial in _numbered()]
    return runs.run_of(trials, CLAIMS, experiment="io_wait")


def _numbered() -> Iterator[tuple[int, Trial]]:
    return enumerate(trial for repeat in range(REPEATS) for trial in _pass(repeat))


def _pass(repeat: int) -> Iterator[Trial]:
    for request in REQUESTS:
        for users in USERS:
            yield from (full(_again(runs.trial_of(stack, request, users), repeat)) for stack in STACKS)
    for share in SHARES:
        yield from (_full_open(_again(runs.open_trial_of(stack, share=share), repeat)) for stack in STACKS)


def _again(trial: Trial, repeat: int) -> Trial:
    """Another restart, with a rate of its own."""
    return replace(trial, repeat=repeat, throughput_per_s=(trial.throughput_per_s or 0.0) * (1 + 0.013 * repeat))


def full(trial: Trial) -> Trial:
    """With samples as dense as real ones, long commands, and latencies spread over thousands of values."""
    chance = random.Random(f"{trial.stack}{trial.request}{trial.load_text}{trial.repeat}")
    return replace(
        trial,
        samples=_samples(chance),
        answered=[chance.randrange(5000) for _ in range(int(WINDOW_S / ANSWERED_EVERY_S))],
        histogram=_one_of_many(chance),
        reasons=[Reason("drift", f"The window's halves differ: {chance.random():.0f} and 3 requests/s. " * 2)],
        events=[Event("server-gap", 1.5, 0.3, "The server answered nothing for 0.3 s, 1.5 s into the window.")] * 2,
        verdict="degraded",
        warmup_s=2.0,
        commands={name: ["python", "-m", *["--some-option=value-of-it"] * 20] for name in ("server", "load")},
        utilisation={"users": 0.91, "server CPU": 0.931, "client": 0.41, "backlog": 0.0},
    )


def _full_open(trial: Trial) -> Trial:
    return replace(full(trial), histogram_from_send=_one_of_many(random.Random(trial.repeat)))


@cache
def _histograms() -> list[str]:
    """Recording takes long in pure Python, so that trials share a few."""
    return [spread_histogram(random.Random(seed)) for seed in range(20)]


def _one_of_many(chance: random.Random) -> str:
    return chance.choice(_histograms())


def _samples(chance: random.Random) -> Samples:
    count = int(WINDOW_S / 0.2) + 1
    return Samples(
        at_s=[round(0.2 * place + chance.uniform(0, 0.01), 3) for place in range(count)],
        cpu_share=[round(chance.random(), 4) for _ in range(count)],
        rss_bytes=[84_000_000 + chance.randrange(4096) * 4096 for _ in range(count)],
        threads=[chance.randrange(50, 450) for _ in range(count)],
        accept_queue=[chance.randrange(100) for _ in range(count)],
    )


def spread_histogram(chance: random.Random, seen: int = 5000, low_us: int = 1000, high_us: int = 10_000_000) -> str:
    """Latencies evenly spread on a log scale: thousands of distinct values, the worst there is to compress."""
    histogram = histograms.new_histogram()
    for _ in range(seen):
        histogram.record_value(int(low_us * (high_us / low_us) ** chance.random()))
    return histograms.encode_histogram(histogram)


if __name__ == "__main__":
    run_store.save_run(big_run(), Path(sys.argv[1]))
