"""A small trial, something that happens in its window, and applications that answer wrongly once they are timed."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.base.errors import ExitCode
from bench.base.programs import find_program
from bench.base.tests.attempts import until, until_in
from bench.measure.load.recording import Stretch
from bench.measure.monitor import WindowRunner
from bench.measure.trial import run_trial
from bench.model.load import Closed, Open
from bench.model.servers import SERVERS, Budget, Interface
from bench.model.stacks import Lab, Stack, parse_stack
from bench.model.trial_plan import Engine, TrialPlan
from bench.model.trial_record import Event, Trial
from bench.model.workloads import parse_request

OPEN: dict[str, Any] = {"load": Open(100.0)}
WRK: dict[str, Any] = {"engine": Engine(program="wrk")}
NEEDS_WRK = pytest.mark.skipif(not find_program("wrk"), reason="wrk is absent: run ./scripts/system-packages")


def planned(stack: str = "async_asgi@uvicorn", request: str = "wait?ms=20", **changes: Any) -> TrialPlan:
    """Five users of Locust, of wrk with `**WRK`, or, with `**OPEN`, 100 requests/s."""
    plan = TrialPlan(
        parse_stack(stack), parse_request(request), Closed(5), repeat=0, middleware=(), warmup_s=0.3, duration_s=1.0
    )
    return replace(plan, **changes)


def in_the_window(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[WindowRunner], None], after_s: float = 0.5
) -> list[Stretch]:
    """Have something happen to each next trial so long after its window has begun.

    Returns a list that gets when it began and was done, in seconds of the window: a busy machine does it late.
    """
    original, acted = WindowRunner._wait_for_window, list[Stretch]()

    def wait_for_window(watch: WindowRunner) -> Stretch:
        window = original(watch)

        def act_and_note() -> None:
            began_s = time.monotonic()
            act(watch)
            acted.append((began_s - window[0], time.monotonic() - window[0]))

        threading.Timer(window[0] + after_s - time.monotonic(), act_and_note).start()
        return window

    monkeypatch.setattr(WindowRunner, "_wait_for_window", wait_for_window)
    return acted


def server_of(watch: WindowRunner) -> list[psutil.Process]:
    assert watch.server
    return watch.server.family()


def load_of(watch: WindowRunner) -> list[psutil.Process]:
    return [member for process in watch.load.processes for member in process.family()]


def pause(processes: Sequence[psutil.Process], for_s: float | None) -> None:
    """SIGSTOP them all; None is for good."""
    for process in processes:
        process.suspend()
    if for_s is not None:
        time.sleep(for_s)
        for process in processes:
            process.resume()


def events_of(trial: Trial, code: str) -> list[Event]:
    return [event for event in trial.events if event.code == code]


def longest_s(trial: Trial, code: str) -> float:
    """Of the events of that kind; 0 without any. A shared machine has short ones of its own in any window."""
    return max((event.for_s for event in events_of(trial, code)), default=0.0)


def codes_of(trial: Trial) -> list[str]:
    return [reason.code for reason in trial.reasons]


def run_until(plan: TrialPlan, holds: Callable[[Trial], bool] = lambda trial: True) -> Trial:
    """The trial, made again where a busy machine kept the lab from looking, or from what `holds` asks; five times."""

    def is_looked_at(trial: Trial) -> bool:
        return not (trial.verdict == "invalid" and "lab-gap" in codes_of(trial)) and holds(trial)

    return until(is_looked_at, lambda: run_trial(plan))


def valid_run(folder: Path, made_in: Callable[[Path], int], holds: Callable[[Path], bool] = lambda run: True) -> Path:
    """The folder of a run, made again in another where a busy machine made a trial invalid; five times.

    Or where it kept it from what `holds` asks of the run in this folder.

    `made_in` makes the run in the folder that it is given, and returns the exit status of `lab run`.
    """

    def is_valid(made: tuple[int, Path]) -> bool:
        status, run = made
        return status != ExitCode.INVALID and holds(run)

    status, run = until_in(folder, is_valid, lambda at: (made_in(at / "run"), at / "run"))
    assert status == ExitCode.FINE
    return run


def assert_without_numbers(trial: Trial, code: str) -> str:
    """Invalid for that reason alone, with nothing left that could be drawn; returns the reason's first line."""
    assert (trial.verdict, codes_of(trial)) == ("invalid", [code]), trial.reasons
    assert trial.throughput_per_s is trial.latency_us is trial.limit_per_s is trial.histogram is None
    return trial.reasons[0].message.splitlines()[0]


@dataclass(frozen=True)
class OtherLab(Lab):
    """A lab whose application is any importable callable."""

    at: str = ""

    @property
    def application(self) -> str:
        return self.at


def other_stack(at: str, server: str = "gthread", interface: Interface = "wsgi", processes: int = 1) -> Stack:
    """A stack that serves the callable at this import path."""
    threads = 8 if SERVERS[server].takes_threads else None
    lab = OtherLab(f"bare_{interface}", "bare", "sync", interface, "not a lab", at=at)
    return Stack(lab, SERVERS[server], Budget(threads, processes))
