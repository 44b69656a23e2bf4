"""One trial: a fresh server, the probe, warm-up, the window, and a verdict from what was seen.

The whole trial is watched by one loop in one thread, so that a server that dies is noticed at once.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench import cpus, meter, theory
from bench.errors import NotRun
from bench.load.process import Ask, ClosedLoad, Recording, closed_load, merge
from bench.probe import ContractBroken, probe
from bench.record import LoadUse, Reason, ServerUse, Trial, encode_histogram, latency_of
from bench.servers import Server, free_port, serving_stack, serving_upstream
from bench.stacks import HOST, Stack
from bench.verdict import TrialInvalid, judge
from bench.workloads import Request

SAMPLE_EVERY_S = 0.2
LOOK_EVERY_S = 0.02
LOAD_WITHIN_S = 60.0
FIRST_REQUEST_S = 0.005  # of a user: its connection, its thread, its place in the queue
MAX_ROUND_S = 5.0  # beyond it a trial is left to be called unsteady
RECORDED_WITHIN_S = 10.0


@dataclass(frozen=True)
class TrialPlan:
    """What one trial is to be, decided before it starts."""

    stack: Stack
    request: Request
    users: int
    repeat: int
    middleware: tuple[str, ...]
    warmup_s: float
    duration_s: float
    load_processes: int = 1

    @property
    def full_warmup_s(self) -> float:
        """The warm-up, with time for every user's first request, and one round where users queue for slots, N L / W.

        Until everybody has been served once, connections and threads are being made and the queue still grows.
        """
        slots = self.request.slots(self.stack)
        round_s = self.users * self.request.io_wait_s(self.stack) / slots if slots and slots < self.users else 0.0
        return self.warmup_s + self.users * FIRST_REQUEST_S + min(round_s, MAX_ROUND_S)

    @property
    def arrive_within_s(self) -> float:
        """Users arrive at random in the first half of the warm-up: in step they would come in waves for ever."""
        return self.warmup_s / 2


@dataclass(frozen=True)
class Evidence:
    """What was seen in the window: the load's books, and readings of both process trees at its edges and between."""

    recording: Recording
    server: list[meter.Reading]
    load: list[meter.Reading]
    ours: list[meter.Reading]
    restarted: bool

    @property
    def other_cores(self) -> float:
        """Cores kept busy in the window by programs that are neither server nor load nor the lab itself."""
        first, last = self.ours[0], self.ours[-1]
        used_by_us_s = last.cpu_s - first.cpu_s + self.server[-1].cpu_s - self.server[0].cpu_s
        return max(0.0, (last.machine_s - first.machine_s - used_by_us_s) / (last.at_s - first.at_s))


def blank(plan: TrialPlan) -> Trial:
    """The trial as planned, not run."""
    return Trial(
        stack=plan.stack.name,
        workload=plan.request.workload.name,
        parameters=dict(plan.request.parameters),
        middleware=list(plan.middleware),
        users=plan.users,
        repeat=plan.repeat,
        io_wait_s=plan.request.io_wait_s(plan.stack),
        slots=plan.request.slots(plan.stack),
    )


def run_trial(plan: TrialPlan) -> Trial:
    """Measure once. Every end but an interruption is a Trial with a verdict; nothing keeps running."""
    trial = blank(plan)
    try:
        return _measured(trial, plan)
    except NotRun as error:
        return replace(trial, verdict="not-run", reasons=[Reason("not-run", str(error))])
    except ContractBroken as error:
        return replace(trial, verdict="invalid", reasons=[Reason("contract", str(error))])
    except TrialInvalid as error:
        return replace(trial, verdict="invalid", reasons=[error.reason])


def _measured(trial: Trial, plan: TrialPlan) -> Trial:
    plan.stack.require_installed()
    where = cpus.plan(plan.stack.budget.processes, plan.load_processes)
    port = free_port()
    with ExitStack() as running, tempfile.TemporaryDirectory(prefix="lab-load-") as folder:
        upstream = None
        if plan.request.workload.needs_upstream:
            upstream = running.enter_context(serving_upstream(cpus=where.load))
        # Locust takes as long to load as the server to boot, so both start together.
        load = running.enter_context(
            closed_load(ask_of(plan, port), Path(folder), processes=plan.load_processes, cpus=where.load)
        )
        server = running.enter_context(
            serving_stack(
                plan.stack,
                middleware=plan.middleware,
                upstream_url=upstream.url if upstream else None,
                cpus=where.server,
                port=port,
                grace_s=0,
            )
        )
        probe(server.url, plan.request, plan.stack)
        load.go()
        evidence = Watch(server, load, upstream).through_the_window()
        load.stop()
    commands = {"server": server.command, "load": _without_folder(load.command, folder)}
    if upstream:
        commands["upstream"] = upstream.command
    return _judged(replace(trial, commands=commands, warmup_s=plan.full_warmup_s), plan, where, evidence)


def ask_of(plan: TrialPlan, port: int) -> Ask:
    """What the load is to do."""
    return Ask(
        url=f"http://{HOST}:{port}",
        path=plan.request.path,
        body=plan.request.body,
        users=plan.users,
        warmup_s=plan.full_warmup_s,
        duration_s=plan.duration_s,
        spread_s=plan.arrive_within_s,
    )


def _without_folder(command: list[str], folder: str) -> list[str]:
    """The command as it is kept: the temporary folder is nobody's business."""
    return ["FOLDER" if word == folder else word for word in command]


class Watch:
    """Looks at server and load through the window, without a thread of its own."""

    def __init__(self, server: Server, load: ClosedLoad, upstream: Server | None) -> None:
        self.server, self.load, self.upstream = server, load, upstream
        self.start_s = 0.0

    def through_the_window(self) -> Evidence:
        """Wait for the window, read at both edges and in between, and gather the recording."""
        self.start_s, end_s = self._wait_for_window()
        self._sleep_until(self.start_s)
        server_family, load_family = self.server.family(), self._load_family()
        ours = [*load_family, psutil.Process(), *(self.upstream.family() if self.upstream else [])]
        server_readings, load_readings, our_readings = [], [], []
        at_s = self.start_s
        while True:
            server_readings.append(meter.read(server_family, self.server.port))
            if at_s in (self.start_s, end_s):
                load_readings.append(meter.read(load_family))
                our_readings.append(meter.read(ours))
            if at_s >= end_s:
                break
            at_s = min(at_s + SAMPLE_EVERY_S, end_s)
            self._sleep_until(at_s)
        restarted = {p.pid for p in self.server.family()} != {p.pid for p in server_family}
        return Evidence(self._wait_for_recording(), server_readings, load_readings, our_readings, restarted)

    def _load_family(self) -> list[psutil.Process]:
        return [member for process in self.load.processes for member in process.family()]

    def _wait_for_window(self) -> tuple[float, float]:
        deadline = time.monotonic() + LOAD_WITHIN_S
        while (window := self.load.window()) is None:
            self._look()
            if time.monotonic() > deadline:
                raise NotRun(f"The load did not have all its users within {LOAD_WITHIN_S:.0f} s.")
            time.sleep(LOOK_EVERY_S)
        return window

    def _wait_for_recording(self) -> Recording:
        deadline = time.monotonic() + RECORDED_WITHIN_S
        while not self.load.is_recorded():
            self._look()
            if time.monotonic() > deadline:
                raise TrialInvalid(
                    "load-lost",
                    f"{len(self.load.parts())} of {self.load.expected} load processes handed in a recording.",
                )
            time.sleep(LOOK_EVERY_S)
        return merge(self.load.parts())

    def _sleep_until(self, at_s: float) -> None:
        """Sleep to a monotonic time, looking after the processes on the way."""
        while (left_s := at_s - time.monotonic()) > 0:
            time.sleep(min(left_s, LOOK_EVERY_S))
            self._look()

    def _look(self) -> None:
        """Raise TrialInvalid where a process of ours has ended."""
        for server in filter(None, (self.server, self.upstream)):
            if server.exit_status is not None:
                since_s = time.monotonic() - self.start_s if self.start_s else 0.0
                when = f"{since_s:.1f} s into the window" if since_s > 0 else "before the window"
                raise TrialInvalid(
                    "server-died",
                    f"The server ended with status {server.exit_status}, {when}. "
                    f"The end of its log:\n{server.log_tail()}".rstrip(),
                )
        lost = self.load.lost_process()
        if lost:
            raise TrialInvalid("load-lost", lost[0].upper() + lost[1:])


def _judged(trial: Trial, plan: TrialPlan, where: cpus.CpuPlan, seen: Evidence) -> Trial:
    """Numbers out of the evidence, then the verdict; where that is `invalid` the numbers go again."""
    measured = _numbers(trial, plan, where, seen)
    verdict, reasons = judge(
        measured,
        lost=seen.recording.lost,
        mean_latency_s=seen.recording.histogram.get_mean_value() / 1e6,
        other_cores=seen.other_cores,
        restarted=seen.restarted,
    )
    if verdict == "invalid":
        return replace(_without_numbers(measured), verdict=verdict, reasons=reasons)
    if any(reason.code == "errors" for reason in reasons):
        measured = replace(measured, latency_us=None, histogram=None)
    return replace(measured, verdict=verdict, reasons=reasons)


def _without_numbers(trial: Trial) -> Trial:
    return replace(
        trial,
        throughput_per_s=None,
        halves_per_s=None,
        latency_us=None,
        histogram=None,
        limit_per_s=None,
        fraction_of_limit=None,
        cpu_us_per_request=None,
    )


def _numbers(trial: Trial, plan: TrialPlan, where: cpus.CpuPlan, seen: Evidence) -> Trial:
    recording, books = seen.recording, seen.recording
    duration_s = recording.end_s - recording.start_s
    throughput_per_s = books.completed / duration_s
    server = _server_use(seen.server, plan, where)
    cpu_s = server.cpu_s / books.completed if books.completed and not seen.restarted else None
    limit_per_s = theory.limit_per_s(
        users=plan.users,
        io_wait_s=trial.io_wait_s,
        cpu_s=cpu_s or 0.0,
        threads=trial.slots,
        cores=cpus.cores_of(where.server, plan.stack.budget.processes),
    )
    return replace(
        trial,
        completed=books.completed,
        failed=books.failed,
        errors=books.errors,
        in_flight=books.in_flight,
        in_flight_oldest_us=books.in_flight_oldest_us,
        throughput_per_s=throughput_per_s,
        halves_per_s=[count / (duration_s / 2) for count in books.completed_halves],
        latency_us=latency_of(recording.histogram),
        limit_per_s=limit_per_s if cpu_s else None,
        fraction_of_limit=throughput_per_s / limit_per_s if cpu_s else None,
        cpu_us_per_request=cpu_s * 1e6 if cpu_s else None,
        server=server,
        load=LoadUse(meter.cpu_share(seen.load[0], seen.load[-1]), plan.load_processes, where.load),
        duration_s=duration_s,
        samples=meter.samples_of(seen.server, recording.start_s),
        histogram=encode_histogram(recording.histogram),
    )


def _server_use(readings: Sequence[meter.Reading], plan: TrialPlan, where: cpus.CpuPlan) -> ServerUse:
    first, last = readings[0], readings[-1]
    return ServerUse(
        threads_max=max(reading.threads for reading in readings),
        rss_bytes_max=max(reading.rss_bytes for reading in readings),
        connections_max=max(reading.connections for reading in readings),
        cpu_share=meter.cpu_share(first, last),
        cpu_s=last.cpu_s - first.cpu_s,
        processes=plan.stack.budget.processes,
        cpus=where.server,
    )
