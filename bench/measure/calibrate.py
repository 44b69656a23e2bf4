"""`scripts/calibrate`: what the load generators can do on this machine, and whether Locust and wrk agree.

Three questions, all against the bare ASGI callable on a core of its own, the generator on another: how many requests
per second do Locust and wrk sustain with recording on, and how busy are they then; do both see the same rate and median
with 100 users on a wait; and does the open loop keep its schedule at 2,000 requests/s.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median

import msgspec
from rich.progress import track

from bench.base.console import console, print_json, run_program
from bench.base.errors import ExitCode, LabError
from bench.base.options import Parser, seconds, whole
from bench.measure.trial import run_trial
from bench.model.load import Closed, Open, WindowLoad
from bench.model.run_store import REFERENCE
from bench.model.stacks import parse_stack
from bench.model.trial_plan import Engine, Program, TrialPlan
from bench.model.trial_record import Trial
from bench.model.workloads import Request, parse_request

NULL_SERVER = "bare_asgi@uvicorn"
PEAK_USERS, WAIT_USERS = 50, 100
OPEN_RATE_PER_S = 2000.0
WAIT = "wait?ms=100"
WARMUP_S = 1.0


@dataclass(frozen=True)
class GeneratorRates:
    """The rate and the median latency that a generator measured in one window."""

    throughput_per_s: float
    p50_us: float


@dataclass(frozen=True)
class Peak:
    """The rate that a generator sustained in one window, and the share of its core that it used.

    Where the share is small, the server was the limit, and the generator can do more.
    """

    throughput_per_s: float
    cpu_share: float

    @property
    def per_busy_core_s(self) -> float:
        """Return the requests/s for each core that the generator keeps busy: what a core of it could do at most."""
        return self.throughput_per_s / self.cpu_share


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
    wrk_peaks: list[Peak] = field(default_factory=list)

    @property
    def wrk_peak(self) -> Peak | None:
        """Return the repeat with the median rate for each busy core; None in calibrations that did not measure it."""
        by_core = sorted(self.wrk_peaks, key=lambda peak: peak.per_busy_core_s)
        return by_core[len(by_core) // 2] if by_core else None

    @property
    def open_lateness_p99_us(self) -> float:
        """Return the 99th percentile of how late requests left, in microseconds: the median over repeats."""
        return median(one.lateness_p99_us for one in self.open_repeats)


def load_calibration() -> Calibration:
    """Read the calibration that is committed with the reference runs."""
    return msgspec.json.decode((REFERENCE / "calibration.json").read_bytes(), type=Calibration)


def measure(
    request: Request, duration_s: float, load: WindowLoad, program: Program = "locust"
) -> tuple[Trial, GeneratorRates]:
    """Run one trial of this load against the null server. Raises LabError if it has no numbers."""
    plan = TrialPlan(parse_stack(NULL_SERVER), request, load, 0, (), WARMUP_S, duration_s)
    trial = run_trial(replace(plan, engine=Engine(program=program)))
    if trial.throughput_per_s is None or trial.latency_us is None:
        raise LabError("; ".join(reason.message for reason in trial.reasons))
    return trial, GeneratorRates(trial.throughput_per_s, trial.latency_us.p50)


def measure_open_loop(request: Request, duration_s: float) -> OpenLoopLateness:
    """Run one trial with the open loop at OPEN_RATE_PER_S. Raises LabError if it has no numbers."""
    trial, rates = measure(request, duration_s, Open(OPEN_RATE_PER_S))
    assert trial.lateness_us
    assert trial.load
    return OpenLoopLateness(rates.throughput_per_s, trial.lateness_us.p99, trial.load.busiest_share)


def measure_wrk_peak(request: Request, duration_s: float) -> Peak:
    """Run one trial with wrk and PEAK_USERS. Raises LabError if it has no numbers."""
    trial, rates = measure(request, duration_s, Closed(PEAK_USERS), "wrk")
    assert trial.load
    return Peak(rates.throughput_per_s, trial.load.busiest_share)


def median_rates(repeats: Sequence[GeneratorRates]) -> GeneratorRates:
    """Return the median rate and the median of the median latencies over repeats."""
    return GeneratorRates(median(one.throughput_per_s for one in repeats), median(one.p50_us for one in repeats))


def calibrate(repeats: int, duration_s: float) -> Calibration:
    """Measure the peaks, Locust and wrk on a wait, and the open loop: `repeats` times, interleaved."""
    hello, wait = parse_request("hello"), parse_request(WAIT)
    peaks, wrk_peaks, locust, wrk, open_repeats = [], [], [], [], []
    for _ in track(range(repeats), "calibrating", console=console(stderr=True)):
        peaks.append(measure(hello, duration_s, Closed(PEAK_USERS))[1].throughput_per_s)
        locust.append(measure(wait, duration_s, Closed(WAIT_USERS))[1])
        wrk_peaks.append(measure_wrk_peak(hello, duration_s))
        wrk.append(measure(wait, duration_s, Closed(WAIT_USERS), "wrk")[1])
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
        wrk_peaks=wrk_peaks,
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
    assert found.wrk_peak
    lines = (
        f"wrk, {PEAK_USERS} users, hello: {found.wrk_peak.throughput_per_s:,.0f} requests/s with recording on, with "
        f"{100 * found.wrk_peak.cpu_share:.0f} % of its core: {found.wrk_peak.per_busy_core_s:,.0f} for each busy core",
        f"Locust, {PEAK_USERS} users, hello: {found.peak_per_s:,.0f} requests/s with recording on",
        f"{WAIT_USERS} users, {WAIT}: Locust {found.locust.throughput_per_s:.1f}/s, p50 {found.locust.p50_us:.0f} us",
        f"{WAIT_USERS} users, {WAIT}: wrk    {found.wrk.throughput_per_s:.1f}/s, p50 {found.wrk.p50_us:.0f} us",
        f"Locust / wrk: rate {found.throughput_ratio:.3f}, median {found.p50_ratio:.3f}",
        f"open loop at {OPEN_RATE_PER_S:.0f} requests/s: 99 of 100 left within {late_us} us of their time",
    )
    console().print("\n".join(lines))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
