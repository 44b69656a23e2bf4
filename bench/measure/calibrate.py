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

from bench.base.console import console, print_json, run_program
from bench.base.errors import ExitCode, LabError, MissingDependency
from bench.base.options import Parser, seconds, whole
from bench.measure import cpu_placement
from bench.measure.processes import Process, work_folder
from bench.measure.readiness import serving_stack
from bench.measure.trial import run_trial
from bench.model.load import Closed, Open, WindowLoad
from bench.model.run_store import REFERENCE
from bench.model.stacks import parse_stack
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
class GeneratorRates:
    """The rate and the median latency that a generator measured in one window."""

    throughput_per_s: float
    p50_us: float


@dataclass(frozen=True)
class OpenLoopLateness:
    """How late requests of the open loop left in one window: the 99th percentile; and the loop's share of its core."""

    answered_per_s: float
    lateness_p99_us: float
    cpu_share: float


@dataclass(frozen=True)
class Calibration:
    """Medians over repeats; `*_ratio` is Locust's over wrk's. The open loop was asked for `open_rate_per_s`."""

    peak_per_s: float
    peak_repeats_per_s: list[float]
    locust: GeneratorRates
    wrk: GeneratorRates
    throughput_ratio: float
    p50_ratio: float
    open_rate_per_s: float
    open_repeats: list[OpenLoopLateness]
    repeats: int
    duration_s: float

    @property
    def open_lateness_p99_us(self) -> float:
        """Return the 99th percentile of how late requests left, in microseconds: the median over repeats."""
        return median(one.lateness_p99_us for one in self.open_repeats)


def load_calibration() -> Calibration:
    """Read the calibration that is committed with the reference runs."""
    return msgspec.json.decode((REFERENCE / "calibration.json").read_bytes(), type=Calibration)


def measure(request: Request, duration_s: float, load: WindowLoad) -> tuple[Trial, GeneratorRates]:
    """Run one trial of this load against the null server. Raises LabError if it has no numbers."""
    trial = run_trial(TrialPlan(parse_stack(NULL_SERVER), request, load, 0, (), WARMUP_S, duration_s))
    if trial.throughput_per_s is None or trial.latency_us is None:
        raise LabError("; ".join(reason.message for reason in trial.reasons))
    return trial, GeneratorRates(trial.throughput_per_s, trial.latency_us.p50)


def measure_open_loop(request: Request, duration_s: float) -> OpenLoopLateness:
    """Run one trial with the open loop at OPEN_RATE_PER_S. Raises LabError if it has no numbers."""
    trial, rates = measure(request, duration_s, Open(OPEN_RATE_PER_S))
    assert trial.lateness_us
    assert trial.load
    return OpenLoopLateness(rates.throughput_per_s, trial.lateness_us.p99, trial.load.busiest_share)


def measure_with_wrk(url: str, on_cpus: Sequence[int], duration_s: float) -> GeneratorRates:
    """Run wrk for one window, with 100 users on a wait of 100 ms. Raises MissingDependency if wrk is absent."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise MissingDependency("wrk is absent: run ./scripts/system-packages")
    with work_folder("wrk") as folder:
        script, log = folder / "spread.lua", folder / "wrk.log"
        script.write_text(WRK_SPREAD)
        command = [wrk, "-t1", f"-c{WAIT_USERS}", f"-d{duration_s:g}s", "--latency", "-s", str(script), url]
        process = Process.start(command, cpus=on_cpus, log=log)
        try:
            process.popen.wait(timeout=duration_s + 30)
        finally:
            process.stop(within_s=0)
        return read_wrk(log.read_text())


def read_wrk(output: str) -> GeneratorRates:
    """Read rate and median out of what `wrk --latency` prints. Raises LabError if they are not there."""
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    middle = re.search(r"50%\s+([0-9.]+)(us|ms|s)\b", output)
    if not rate or not middle or "Non-2xx" in output:
        raise LabError(f"wrk did not measure: {output[-300:]}")
    return GeneratorRates(float(rate[1]), float(middle[1]) * WRK_UNITS_US[middle[2]])


def median_rates(repeats: Sequence[GeneratorRates]) -> GeneratorRates:
    """Return the median rate and the median of the median latencies over repeats."""
    return GeneratorRates(median(one.throughput_per_s for one in repeats), median(one.p50_us for one in repeats))


def calibrate(repeats: int, duration_s: float) -> Calibration:
    """Measure Locust's peak, Locust and wrk on a wait, and the open loop: `repeats` times, interleaved."""
    stack, hello, wait = parse_stack(NULL_SERVER), parse_request("hello"), parse_request(WAIT)
    where = cpu_placement.plan(stack.budget.processes)
    peaks, locust, wrk, open_repeats = [], [], [], []
    for _ in track(range(repeats), "calibrating", console=console(stderr=True)):
        peaks.append(measure(hello, duration_s, Closed(PEAK_USERS))[1].throughput_per_s)
        locust.append(measure(wait, duration_s, Closed(WAIT_USERS))[1])
        with serving_stack(stack, cpus=where.server) as server:
            wrk.append(measure_with_wrk(server.url, where.load, duration_s + WARMUP_S))
        open_repeats.append(measure_open_loop(hello, duration_s))
    ours, theirs = median_rates(locust), median_rates(wrk)
    return Calibration(
        peak_per_s=median(peaks),
        peak_repeats_per_s=peaks,
        locust=ours,
        wrk=theirs,
        throughput_ratio=ours.throughput_per_s / theirs.throughput_per_s,
        p50_ratio=ours.p50_us / theirs.p50_us,
        open_rate_per_s=OPEN_RATE_PER_S,
        open_repeats=open_repeats,
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
    late_us = [round(one.lateness_p99_us) for one in found.open_repeats]
    lines = (
        f"Locust, {PEAK_USERS} users, hello: {found.peak_per_s:.0f} requests/s with recording on",
        f"{WAIT_USERS} users, {WAIT}: Locust {found.locust.throughput_per_s:.1f}/s, p50 {found.locust.p50_us:.0f} us",
        f"{WAIT_USERS} users, {WAIT}: wrk    {found.wrk.throughput_per_s:.1f}/s, p50 {found.wrk.p50_us:.0f} us",
        f"Locust / wrk: rate {found.throughput_ratio:.3f}, median {found.p50_ratio:.3f}",
        f"open loop at {OPEN_RATE_PER_S:.0f} requests/s: 99 of 100 left within {late_us} us of their time",
    )
    console().print("\n".join(lines))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
