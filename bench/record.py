"""A run and its trials as data, and how they become `run.json` and come back. Starts no process, draws nothing.

A run is a folder with `run.json` (everything that was measured) and `report.html` (made from it). It is written
whole after each trial and moved into place, so that a reader never meets half a file.
"""

import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.errors import DamagedRun, UsageError, nearest

SCHEMA = 1
ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
LOCAL = Path(os.environ.get("LAB_RESULTS_DIR", ROOT / "results" / "local"))

Verdict = Literal["ok", "degraded", "invalid", "aborted", "not-run"]
HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS = 1, 600_000_000, 3


@dataclass(frozen=True)
class Reason:
    """Why a verdict is not plainly `ok`: a code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Latency:
    """Percentiles of successful answers, in microseconds."""

    p50: int
    p90: int
    p99: int
    p999: int
    max: int


@dataclass(frozen=True)
class ServerUse:
    """What the server's process tree used in the window. `cpu_share` 1.0 is one core kept busy."""

    threads_max: int
    rss_bytes_max: int
    connections_max: int
    cpu_share: float
    cpu_s: float
    processes: int
    cpus: list[int]


@dataclass(frozen=True)
class LoadUse:
    """What the load processes used in the window."""

    cpu_share: float
    processes: int
    cpus: list[int]


@dataclass(frozen=True)
class Samples:
    """The server through the window: equally long columns, `at_s` counted from the window's start."""

    at_s: list[float] = field(default_factory=list)
    cpu_share: list[float] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """One stack x request x load on a freshly started server. None stands for what was not measured."""

    stack: str
    workload: str
    parameters: dict[str, int]
    middleware: list[str]
    users: int
    repeat: int
    verdict: Verdict = "not-run"
    reasons: list[Reason] = field(default_factory=list)
    completed: int = 0
    failed: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    in_flight_oldest_us: int = 0
    throughput_per_s: float | None = None
    halves_per_s: list[float] | None = None
    latency_us: Latency | None = None
    io_wait_s: float = 0.0
    slots: int | None = None
    limit_per_s: float | None = None
    fraction_of_limit: float | None = None
    cpu_us_per_request: float | None = None
    server: ServerUse | None = None
    load: LoadUse | None = None
    warmup_s: float = 0.0
    duration_s: float = 0.0
    started_s: float = 0.0
    took_s: float = 0.0
    commands: dict[str, list[str]] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    histogram: str | None = None

    @property
    def request(self) -> str:
        """The workload with its parameters, as `wait?ms=100`."""
        query = "&".join(f"{key}={value}" for key, value in self.parameters.items())
        return self.workload + (f"?{query}" if query else "")

    @property
    def is_measured(self) -> bool:
        """True where the numbers may be shown; `degraded` ones are shown hollow, with their reasons."""
        return self.verdict in ("ok", "degraded")


@dataclass(frozen=True)
class Claim:
    """A sentence that a run can support or refute: measure of `left` over measure of `right`, against `than`.

    `left` and `right` each pick trials by stack, and by request, users and middleware where those differ.
    """

    says: str
    left: dict[str, Any]
    right: dict[str, Any]
    measure: str = "throughput_per_s"
    expect: Literal["greater", "less"] = "greater"
    than: float = 1.0


@dataclass(frozen=True)
class Plan:
    """All that was decided before the first trial; enough to do it again."""

    stacks: list[str]
    requests: list[str]
    users: list[int]
    middleware: list[str]
    repeats: int
    trials: int
    warmup_s: float
    duration_s: float
    load_processes: int
    seed: int
    claims: list[Claim] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """One execution of an experiment on one machine."""

    schema: int
    experiment: str
    title: str
    question: str
    profile: str
    status: Literal["running", "complete", "aborted"]
    started_at: str
    took_s: float
    environment: dict[str, Any]
    plan: Plan
    trials: list[Trial]
    sha256: str = ""


@dataclass(frozen=True)
class _Header:
    schema: int


def new_histogram() -> Any:
    """An empty HdrHistogram over 1 us to 10 minutes with 3 significant digits."""
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(HISTOGRAM_LOWEST_US, HISTOGRAM_HIGHEST_US, HISTOGRAM_DIGITS)


def encode_histogram(histogram: Any) -> str:
    """The histogram in HdrHistogram's own compressed form, base64."""
    encoded: bytes = histogram.encode()
    return encoded.decode()


def decode_histogram(text: str) -> Any:
    """The HdrHistogram that `encode_histogram` wrote."""
    from hdrh.histogram import HdrHistogram

    return HdrHistogram.decode(text.encode())


def latency_of(histogram: Any) -> Latency | None:
    """Percentiles in microseconds; None where nothing was recorded."""
    if histogram.get_total_count() == 0:
        return None
    p50, p90, p99, p999 = (int(histogram.get_value_at_percentile(p)) for p in (50, 90, 99, 99.9))
    return Latency(p50, p90, p99, p999, int(histogram.get_max_value()))


def digest_of(run: Run) -> str:
    """SHA-256 over everything in the run but the digest itself."""
    return hashlib.sha256(msgspec.json.encode(replace(run, sha256=""))).hexdigest()


def to_json(run: Run) -> bytes:
    """The run as one JSON document with its digest, one trial a line."""
    head = msgspec.json.encode(replace(run, trials=[], sha256=digest_of(run)))
    trials = b",\n".join(msgspec.json.encode(trial) for trial in run.trials)
    return head.replace(b'"trials":[]', b'"trials":[\n' + trials + b"\n]") + b"\n"


def from_json(content: bytes, where: str) -> Run:
    """Read what `to_json` wrote; DamagedRun with the cause where it is truncated, edited or newer."""
    try:
        schema = msgspec.json.decode(content, type=_Header).schema
        if schema > SCHEMA:
            raise DamagedRun(
                f"{where} has schema {schema}, this program reads up to {SCHEMA}: update the lab to read it."
            )
        run = msgspec.json.decode(content, type=Run)
    except msgspec.ValidationError as error:
        raise DamagedRun(f"{where} is not a run of this lab ({error}): measure again with `lab run`.") from None
    except msgspec.DecodeError as error:
        raise DamagedRun(f"{where} is damaged ({error}): measure again with `lab run`.") from None
    if digest_of(run) != run.sha256:
        raise DamagedRun(f"{where} was changed after it was written: measure again with `lab run`.")
    return run


def save(run: Run, folder: Path) -> Path:
    """Write `run.json` into the folder, whole or not at all. OSError where the disk does not take it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    write_atomically(path, to_json(run))
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file in one step; on failure the old one stays untouched."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def load(folder: Path) -> Run:
    """The run in a folder; DamagedRun or UsageError say in one line why there is none."""
    path = folder / "run.json"
    try:
        return from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): give the folder of a run.") from None


def find(name: str) -> Path:
    """The folder of a run given by path, by experiment (its reference run), or as `latest`."""
    for folder in (Path(name), LOCAL / name, REFERENCE / name):
        if (folder / "run.json").exists():
            return folder.resolve()
    if Path(name).name == "run.json" and Path(name).exists():
        return Path(name).parent.resolve()
    known = {path.parent.name for base in (LOCAL, REFERENCE) for path in base.glob("*/run.json")}
    if not known:
        raise UsageError(f"There is no run {name!r}: measure one with `lab run first_look`.")
    raise UsageError(f"There is no run {name!r}: {nearest(name, known)}")
