"""Trials in a window: users and rates. Locust, wrk or the open loop drives them; the result is answers per second."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.analyse import gates
from bench.base.errors import SecondInterrupt
from bench.base.files import write_atomically
from bench.base.programs import path_of
from bench.measure import cpu_placement, monitor, preflight
from bench.measure.contract import PROBED_WITHIN_S, check_contract
from bench.measure.cpu_placement import CpuPlan
from bench.measure.database.database import OF_OURS_WITHIN_S
from bench.measure.load.launcher import LoadSpec, RunningLoad, running_load
from bench.measure.monitor import WindowEvidence, WindowRunner
from bench.measure.readiness import RunningServer
from bench.measure.services import Services
from bench.measure.strategy import Strategy, TrialInterrupted
from bench.measure.trial_metrics import metrics_of
from bench.model.load import Open, WindowLoad
from bench.model.trial_record import Trial

LATENCIES: dict[str, Any] = {"latency_us": None, "latency_from_send_us": None, "latency_at_least": []}
HISTOGRAMS: dict[str, Any] = {"histogram": None, "histogram_from_send": None}
OTHER_NUMBERS: dict[str, Any] = {
    "throughput_per_s": None,
    "halves_per_s": None,
    "limit_per_s": None,
    "fraction_of_limit": None,
    "limiter": None,
    "utilisation": {},
    "cpu_us_per_request": None,
}


@dataclass(frozen=True)
class WindowTrial(Strategy[RunningLoad, WindowEvidence]):
    """A trial with a warm-up and a window. `requests_path`: where an open loop's single requests are kept."""

    requests_path: Path | None = None

    @property
    def load(self) -> WindowLoad:
        """The plan's load, which is one of these."""
        assert isinstance(self.plan.load, WindowLoad)
        return self.plan.load

    @property
    def longest_s(self) -> float:
        """One probe, the load's start, warm-up and window, and its recording."""
        probed_s = PROBED_WITHIN_S + self.plan.request.io_wait_s(self.plan.stack)
        outage_s = OF_OURS_WITHIN_S if self.plan.outage else 0.0
        window_s = self.plan.full_warmup_s + self.plan.duration_s
        return probed_s + monitor.LOAD_WITHIN_S + window_s + outage_s + monitor.RECORDED_WITHIN_S

    def require_room(self) -> None:
        """Raise NotRun where there are too few file descriptors or ports for the load, or wrk is absent."""
        if self.plan.engine.program == "wrk":
            path_of("wrk")
        if isinstance(self.load, Open):
            preflight.require_room_for_rate(self.load.rate_per_s or 0.0, self.plan.request.io_wait_s(self.plan.stack))
        else:
            preflight.require_room(self.load.users)

    @contextmanager
    def starting(self, url: str, folder: Path, where: CpuPlan, services: Services) -> Iterator[RunningLoad]:
        """Start Locust, wrk or the open loop."""
        plan = self.plan
        with running_load(
            self.spec(url), folder, engine=plan.engine, cpus=where.load, allowed=plan.drives_others
        ) as load:
            yield load

    def spec(self, url: str) -> LoadSpec:
        """What the load is to do, at a server with this address."""
        plan = self.plan
        return LoadSpec(
            url=url,
            path=plan.request.path,
            body=plan.request.body,
            load=self.load,
            warmup_s=plan.full_warmup_s,
            duration_s=plan.duration_s,
            spread_s=plan.arrive_within_s,
            schedule=plan.schedule,
            seed=plan.seed + plan.repeat,
            max_in_flight=preflight.most_in_flight(),
            io_wait_s=plan.request.io_wait_s(plan.stack),
        )

    def check(self, url: str) -> None:
        """Send the very request that is about to be timed."""
        check_contract(url, self.plan.request, self.plan.stack)

    def watch(self, server: RunningServer | None, driver: RunningLoad, services: Services) -> WindowEvidence:
        """Give the go, read everything through the window, and gather the recordings."""
        driver.go()
        try:
            seen = WindowRunner(server, driver, services, self.plan.freeze, self.plan.outage).through_the_window()
        except SecondInterrupt:
            raise
        except KeyboardInterrupt:
            raise TrialInterrupted(driver.hand_in(monitor.HAND_IN_WITHIN_S)) from None
        driver.stop()
        if self.requests_path and driver.requests_file.exists():
            self.requests_path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.requests_path, driver.requests_file.read_bytes())
        return seen

    def payments(self, seen: WindowEvidence) -> None:
        """No load in a window counts what was paid."""

    def judge(self, trial: Trial, seen: WindowEvidence, where: CpuPlan) -> Trial:
        """Numbers out of the evidence, then the verdict; where that is `invalid` the numbers go again."""
        has_gil = trial.environment is None or trial.environment.gil
        cores = cpu_placement.cores_of(where.server, self.plan.stack.budget.processes, has_gil=has_gil)
        warmed_up = replace(trial, warmup_s=self.plan.full_warmup_s)
        measured = _with_recovery(metrics_of(warmed_up, seen, where, cores=cores, engine=self.plan.engine))
        verdict, reasons = gates.judge(
            measured, lost=seen.recording.lost, mean_latency_s=seen.mean_latency_s, shortest_s=seen.shortest_s
        )
        no_number = LATENCIES | HISTOGRAMS | OTHER_NUMBERS
        no_latency = LATENCIES | HISTOGRAMS if any(reason.code == "errors" for reason in reasons) else {}
        gone = no_number if verdict == "invalid" else no_latency
        return replace(measured, verdict=verdict, reasons=reasons, **gone)


def _with_recovery(trial: Trial) -> Trial:
    """How long it took from the database's return until right answers came, beside what else is known of it."""
    again_us = [round(1e6 * event.for_s) for event in trial.events if event.code == "recovered"]
    if trial.database is None or not again_us:
        return trial
    return replace(trial, database=replace(trial.database, recovered_us=again_us[0]))
