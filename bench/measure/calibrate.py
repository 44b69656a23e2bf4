"""`scripts/calibrate`: what the load generators can do on this machine, and whether wrk, written in C, agrees.

Three questions, all against the bare ASGI callable on a core of its own, the generator on another: how many requests
per second does Locust sustain with recording on; do Locust and wrk see the same rate and median with 100 users on a
wait; and does the open loop keep its schedule at 2,000 requests/s.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import msgspec
from rich.progress import track

from bench.base.console import console, guarded, print_json
from bench.base.errors import ExitCode, LabError, MissingDependency
from bench.base.options import Parser, seconds, whole
from bench.measure import cpu_placement
from bench.measure.processes import Process, start, work_folder
from bench.measure.readiness import serving_stack
from bench.measure.trial import run_trial
from bench.model.load import Closed, Open, WindowLoad
from bench.model.run_store import REFERENCE
from bench.model.stacks import Stack, parse_stack
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import Trial
from bench.model.workloads import Request, parse_request

NULL_SERVER = "bare_asgi@uvicorn"
PEAK_USERS, WAIT_USERS = 50, 100
OPEN_RATE_PER_S = 2000.0
WAIT = "wait?ms=100"
# wrk's users all start at once and would march in step: the first request of each waits another time.
WRK_SPREAD = f"""
local asked = 0
function request()
    asked = asked + 1
    return wrk.format("GET", asked <= {WAIT_USERS} and "/wait?ms=" .. asked or "/{WAIT}")
end
"""
WRK_UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6}
WARMUP_S = 1.0


@dataclass(frozen=True)
class Seen:
    """What a generator saw in one window."""

    throughput_per_s: float
    p50_us: float


@dataclass(frozen=True)
class Kept:
    """How the open loop kept its schedule in one window: p99 of how late requests left, and its share of its core."""

    answered_per_s: float
    lateness_p99_us: float
    cpu_share: float


@dataclass(frozen=True)
class Calibration:
    """Medians over repeats; `*_ratio` is Locust's over wrk's. The open loop was asked for `open_rate_per_s`."""

    peak_per_s: float
    peak_repeats_per_s: list[float]
    locust: Seen
    wrk: Seen
    throughput_ratio: float
    p50_ratio: float
    open_rate_per_s: float
    open_repeats: list[Kept]
    repeats: int
    duration_s: float

    @property
    def open_lateness_p99_us(self) -> float:
        """Return the 99th percentile of how late requests left, in microseconds: the median over repeats."""
        return median(kept.lateness_p99_us for kept in self.open_repeats)


def load_calibration() -> Calibration:
    """The calibration that is committed with the reference runs."""
    return msgspec.json.decode((REFERENCE / "calibration.json").read_bytes(), type=Calibration)


def locust_sees(stack: Stack, request: Request, users: int, duration_s: float) -> Seen:
    """One trial with the closed loop; LabError where it is invalid."""
    trial = measured(stack, request, duration_s, Closed(users))
    assert trial.throughput_per_s
    assert trial.latency_us
    return Seen(trial.throughput_per_s, trial.latency_us.p50)


def open_loop_keeps(stack: Stack, request: Request, duration_s: float) -> Kept:
    """One trial with the open loop; LabError where it is invalid."""
    trial = measured(stack, request, duration_s, Open(OPEN_RATE_PER_S))
    assert trial.throughput_per_s
    assert trial.lateness_us
    assert trial.load
    return Kept(trial.throughput_per_s, trial.lateness_us.p99, trial.load.busiest_share)


def measured(stack: Stack, request: Request, duration_s: float, load: WindowLoad) -> Trial:
    """One trial; LabError where it has no numbers."""
    plan = TrialPlan(
        *(stack, request, load),
        repeat=0,
        middleware=(),
        warmup_s=WARMUP_S,
        duration_s=duration_s,
    )
    trial = run_trial(plan)
    if trial.throughput_per_s is None or trial.latency_us is None:
        raise LabError("; ".join(reason.message for reason in trial.reasons))
    return trial


def wrk_sees(url: str, on_cpus: Sequence[int], duration_s: float) -> Seen:
    """One window with wrk, 100 users on a wait of 100 ms; MissingDependency where wrk is absent."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise MissingDependency("wrk is absent: run ./scripts/system-packages")
    with work_folder("wrk") as folder:
        script, log = folder / "spread.lua", folder / "wrk.log"
        script.write_text(WRK_SPREAD)
        command = [wrk, "-t1", f"-c{WAIT_USERS}", f"-d{duration_s:g}s", "--latency", "-s", str(script), url]
        process = Process(command, start(command, environment={}, cpus=on_cpus, log=log), log, list(on_cpus))
        try:
            process.popen.wait(timeout=duration_s + 30)
        finally:
            process.stop(within_s=0)
        return read_wrk(log.read_text())


def wrk_trial(stack: Stack, duration_s: float) -> Seen:
    """wrk against a server of its own, on the cores that a trial would use."""
    where = cpu_placement.plan(stack.budget.processes)
    with serving_stack(stack, cpus=where.server) as server:
        return wrk_sees(server.url, where.load, duration_s + WARMUP_S)


def read_wrk(output: str) -> Seen:
    """Rate and median out of what `wrk --latency` prints; LabError where they are not there."""
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    middle = re.search(r"50%\s+([0-9.]+)(us|ms|s)\b", output)
    if not rate or not middle or "Non-2xx" in output:
        raise LabError(f"wrk did not measure: {output[-300:]}")
    return Seen(float(rate[1]), float(middle[1]) * WRK_UNITS_US[middle[2]])


def middle_of(seen: Sequence[Seen]) -> Seen:
    """Medians over repeats."""
    return Seen(median(one.throughput_per_s for one in seen), median(one.p50_us for one in seen))


def calibrate(repeats: int, duration_s: float) -> Calibration:
    """Interleave the four measurements `repeats` times."""
    stack = parse_stack(NULL_SERVER)
    hello, wait = parse_request("hello"), parse_request(WAIT)
    peaks, locust, wrk, kept = [], [], [], []
    for _ in track(range(repeats), "calibrating", console=console(stderr=True)):
        peaks.append(locust_sees(stack, hello, PEAK_USERS, duration_s).throughput_per_s)
        locust.append(locust_sees(stack, wait, WAIT_USERS, duration_s))
        wrk.append(wrk_trial(stack, duration_s))
        kept.append(open_loop_keeps(stack, hello, duration_s))
    ours, theirs = middle_of(locust), middle_of(wrk)
    return Calibration(
        peak_per_s=median(peaks),
        peak_repeats_per_s=peaks,
        locust=ours,
        wrk=theirs,
        throughput_ratio=ours.throughput_per_s / theirs.throughput_per_s,
        p50_ratio=ours.p50_us / theirs.p50_us,
        open_rate_per_s=OPEN_RATE_PER_S,
        open_repeats=kept,
        repeats=repeats,
        duration_s=duration_s,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the load generators and print what they reached."""
    parser = Parser(prog="scripts/calibrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=whole(1, 100), default=5)
    parser.add_argument("--duration", type=seconds, default=3.0, metavar="S")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args(argv)
    found = calibrate(arguments.repeats, arguments.duration)
    if arguments.json:
        return print_json(asdict(found))
    out = console()
    out.print(f"Locust, {PEAK_USERS} users, hello: {found.peak_per_s:.0f} requests/s with recording on")
    out.print(
        f"{WAIT_USERS} users, {WAIT}: Locust {found.locust.throughput_per_s:.1f}/s, p50 {found.locust.p50_us:.0f} us"
    )
    out.print(f"{WAIT_USERS} users, {WAIT}: wrk    {found.wrk.throughput_per_s:.1f}/s, p50 {found.wrk.p50_us:.0f} us")
    out.print(f"Locust / wrk: rate {found.throughput_ratio:.3f}, median {found.p50_ratio:.3f}")
    late_us = [round(kept.lateness_p99_us) for kept in found.open_repeats]
    out.print(f"open loop at {OPEN_RATE_PER_S:.0f} requests/s: 99 of 100 left within {late_us} us of their time")
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
