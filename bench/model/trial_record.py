"""One measured trial as data: its verdict, its numbers, and the parts they come in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import Any, Literal

from bench.model.bounds import Amount, Connections, Count, Encoded, Name, Number, Some, Text, Users, Whole, Width
from bench.model.load import STORED, Load, Open, load_of
from bench.model.workloads import request_name

LONGEST_MESSAGE = 4000

Verdict = Literal["ok", "degraded", "invalid", "aborted", "not-run"]
ANSWERED_EVERY_S = 0.2
MOST_COLUMNS = 120
"""Samples and columns of a window: a long window still fits into 12 kB of run.json."""


def shorten(text: str) -> str:
    """Keep the beginning and the end of a text that is longer than LONGEST_MESSAGE: a server may log without end."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = LONGEST_MESSAGE // 2
    return f"{text[:half]} [{len(text) - 2 * half:,} characters left out] {text[-half:]}"


@dataclass(frozen=True)
class Reason:
    """Why a verdict is not plainly `ok`: a code for programs, a sentence for people."""

    code: Name
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shorten(self.message))


@dataclass(frozen=True)
class Latency:
    """Percentiles of successful answers, in microseconds."""

    p50: Count
    p90: Count
    p99: Count
    p999: Count
    max: Count


@dataclass(frozen=True)
class Event:
    """Something that happened in the window. `at_s` counts from the window's start, `for_s` is how long it lasted."""

    code: Name
    at_s: Number
    for_s: Number
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shorten(self.message))


ASKED_FOR = ("frozen", "database-away")
"""Codes of events that the experiment itself causes."""


@dataclass(frozen=True)
class ServerUse:
    """What the server's process tree used in the window. A `cpu_share` of 1.0 is one busy core."""

    threads_max: Count
    rss_bytes_max: Count
    connections_max: Count
    cpu_share: Number
    cpu_s: Number
    processes: Count
    cpus: list[Count]


@dataclass(frozen=True)
class LoadUse:
    """What the load processes used in the window. `busiest_share`: of the process with the most CPU time.

    `engine`: the program that made the load, with its version, as `locust 2.45.0` or `wrk debian/4.1.0-3+b2`; empty in
    runs that did not keep it, whose closed loops were Locust's.
    """

    cpu_share: Number
    processes: Count
    cpus: list[Count]
    busiest_share: Number = 0.0
    engine: Text = ""


@dataclass(frozen=True)
class FrontUse:
    """What the program in front of the server used, which is not in the server's numbers; as in ServerUse.

    `cpu_us_per_request`: None where requests are not counted.
    """

    rss_bytes_max: Count
    connections_max: Count
    cpu_share: Number
    cpu_s: Number
    cpus: list[Count]
    cpu_us_per_request: Amount | None = None


@dataclass(frozen=True)
class Hops:
    """Crossings between event loop and threads in one request of the trial, counted outside of the window."""

    sync_to_async: Count
    async_to_sync: Count


@dataclass(frozen=True)
class MachineUse:
    """Cores kept busy in the window by other programs than server, load and lab, and cores taken by the host."""

    other_cores: Number
    stolen_cores: Number
    upstream_cores: Number = 0.0
    database_cores: Number = 0.0


@dataclass(frozen=True)
class DatabaseUse:
    """The database during a trial.

    `connections_max`: most open connections; None if the database has none to count. `coins_off`: how far the sum over
    all accounts moved. `payments_lost`: payments that were confirmed but are not in the database; None if answers were
    not counted. `recovered_us`: time from the database's return to the next right answers, as exact as the columns in
    which these are counted; None if it was not away, or they never came. `errors`: from the lab's log.
    """

    vendor: Name
    connections_max: Count | None
    coins_off: Whole
    payments_lost: Count | None = None
    recovered_us: Count | None = None
    errors: dict[Text, Count] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldResult:
    """The outcome of N feeds that were opened one after the other, held, sent `published` events, and closed.

    `served` got their first event in time, `starved` got none, `lost` were cut while they were held; refused ones are
    in the trial's `errors`. Threads and memory of the server: before the first feed, while all were held, and some
    seconds after the last was closed. `delivery_us`: time from publishing an event to its arrival, for every event in
    every feed. `all_delivered_us`: until an event reached all feeds, the median over events. `undelivered`: events
    that never arrived.
    """

    served: Count
    starved: Count
    lost: Count
    published: Count
    asked_to_publish: Count
    undelivered: Count
    first_byte_us: Latency | None
    delivery_us: Latency | None
    all_delivered_us: Count | None
    threads_before: Count
    threads_held: Count
    threads_left: Count
    rss_before_bytes: Count
    rss_held_bytes: Count
    rss_left_bytes: Count
    rss_per_connection_bytes: Count | None


@dataclass(frozen=True)
class LeavingResult:
    """The outcome of N requests whose clients left before the answer; `answered` were too quick for that.

    `ended_in_vain` did all of their work, `cut_short` were cancelled, `never_begun` were dropped before the view.
    `newcomer_us`: latency of a request that was sent when the last client had left; None if it was not answered in
    time. `quiet_s`: from the last departure until the server worked on none of these requests any more.
    `cpu_us_per_leaver`: the server's CPU in that time, per departure.
    """

    left: Count
    answered: Count
    ended_in_vain: Whole
    cut_short: Count
    never_begun: Count
    newcomer_us: Count | None
    quiet_s: Number | None
    cpu_us_per_leaver: Number
    stayed: Count = 0


@dataclass(frozen=True)
class VisitsResult:
    """What ordinary visitors got for `lasted_s`. Latencies are of the visits sent in that time, however they ended.

    `unanswered` were given up; they count in the latencies with the time they had waited, so as lower bounds.
    """

    lasted_s: Number
    answered_per_s: Number
    unanswered: Count
    failed: Count
    latency_us: Latency | None


@dataclass(frozen=True)
class SlowResult:
    """The outcome of N slow clients: `served` had the right answer, `starved` none in time, `failed` another one.

    `alone`, `beside`: the visitors before them, and while they were there. `kept_share`: the visits answered per second
    beside them, of those before. `inside_most`: the most slow requests that were in a view at once, each of which has a
    thread in a sync view.
    """

    served: Count
    starved: Count
    failed: Count
    inside_most: Count
    alone: VisitsResult
    beside: VisitsResult
    kept_share: Number | None


@dataclass(frozen=True)
class StreamsResult:
    """The outcome of N streams of parts, which the view reads from the upstream and passes on.

    Each stream came `whole`, or its client `left` half way as planned, or it was `late`, not whole in time, or it
    `failed`. `carried`: streams as quick as their upstream as long as a client was there; see `load/streams.py`.
    `first_part_us`: from the request to the first part; of a stream without any, the time for which it was waited, a
    lower bound. `gap_us`: between two parts of a stream, and `gaps` is their histogram. `gap_growth`: the p99 of the
    gap over the upstream's own. `cpu_us_per_part`: the server's CPU time over all, for each of the `parts` that came.
    The upstream's side: how many streams it `stopped` because their reader had gone, how many it wrote to the end
    `in_vain`, to no client, and how many `parts_in_vain` it wrote that came to none.
    """

    whole: Count
    left: Count
    late: Count
    failed: Count
    carried: Count
    parts: Count
    first_part_us: Latency | None
    gap_us: Latency | None
    gaps: Encoded
    gap_growth: Number | None
    cpu_us_per_part: Number | None
    stopped: Count
    in_vain: Whole
    parts_in_vain: Whole


@dataclass(frozen=True)
class WaveResult:
    """N requests that start one after the other, each holding its database connection.

    `first_failed`: number of the first request that failed, from 1 on; None if none did. `slowest_us`: of right
    answers. `open_max`: most open connections on the database during the wave; `open_left`: some time after it.
    """

    answered: Count
    failed: Count
    first_failed: Count | None
    slowest_us: Count | None
    open_max: Count
    open_left: Count


@dataclass(frozen=True)
class WavesResult:
    """Two equal waves. `recovered_us`: time from their end to the next right answer; None if none came.

    Equally long columns: seconds since the first request, requests in flight, open connections on the database.
    `failed_at_s`: when the requests that failed were sent.
    """

    first: WaveResult
    second: WaveResult
    recovered_us: Count | None
    at_s: list[Number] = field(default_factory=list)
    in_flight: list[Count] = field(default_factory=list)
    open: list[Count] = field(default_factory=list)
    failed_at_s: list[Number] = field(default_factory=list)


@dataclass(frozen=True)
class ServerEnvironment:
    """What the running server said of itself, just before it was measured, through `labs/common/runtime.py`.

    `name` is that of its environment. `python` as in `CPython 3.13.5t`, where t is a build that can run without the
    GIL; `gil` is whether it had one. `versions`: of the packages that it had loaded, by module name. `variables`:
    those that its environment sets. With several processes it is one of them that answered.
    """

    name: Name
    python: Name
    gil: bool
    pid: Count
    versions: dict[Text, Text]
    variables: dict[Text, Text] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return interpreter and lock in words, such as `CPython 3.13.5t, GIL off`."""
        return f"{self.python}, GIL {'on' if self.gil else 'off'}"


@dataclass(frozen=True)
class Samples:
    """Samples of the server in the window: equally long columns, `at_s` counted from the window's start."""

    at_s: list[Number] = field(default_factory=list)
    cpu_share: list[Number] = field(default_factory=list)
    rss_bytes: list[Count] = field(default_factory=list)
    threads: list[Count] = field(default_factory=list)
    accept_queue: list[Count] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """One stack x request x load on a freshly started server. None: not measured.

    The load is closed with `users`, open with `rate_per_s`, or, with both, closed and held back to that rate. With
    `connections` there is no such load: see `held`, `gone` and, of a database that allows `max_connections` and no
    more, `waves`; with `visitors` they are slow clients: see `slow`; with `leaving` they are streams: see `streams`.
    `server_cores`: how many the server was given; None: one for each process.
    `overlaps`: parts of a request wait while others compute, so that it takes the longer of L and S, not their sum.
    `in_flight_mean` is how many requests were in flight, averaged over the window.
    `issued` requests belong to the window; in an open loop issued = completed + failed + timed_out + dropped +
    in_flight, and `completed` counts answers until the end of the drain; `throughput_per_s` counts only those inside
    the window. Latencies of an open loop run from the intended send, `latency_from_send_us` from the actual one;
    a percentile named in `latency_at_least` is a lower bound, because unanswered requests reach down to it.
    `commands`: the words of its `server`, its `load` and its `upstream`, and of a `front` also the lines of its
    configuration. In run.json each command stands once, in the
    run's `commands`, and the trial has `command_names` instead.
    """

    stack: Name
    workload: Name
    parameters: dict[Name, Count]
    middleware: list[Name]
    users: Users | None
    repeat: Count
    rate_per_s: Amount | None = None
    capacity_share: Amount | None = None
    connections: Connections | None = None
    visitors: Users | None = None
    slow_over_s: Amount | None = None
    leaving: Count | None = None
    verdict: Verdict = "not-run"
    reasons: list[Reason] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    issued: Count = 0
    carried_in: Count = 0
    completed: Count = 0
    failed: Count = 0
    errors: dict[Text, Count] = field(default_factory=dict)
    timed_out: Count = 0
    dropped: Count = 0
    in_flight: Whole = 0
    in_flight_oldest_us: Whole = 0
    in_flight_mean: Number | None = None
    throughput_per_s: Amount | None = None
    halves_per_s: list[Amount] | None = None
    answered: list[Count] = field(default_factory=list)
    answered_every_s: Width = ANSWERED_EVERY_S
    latency_us: Latency | None = None
    latency_from_send_us: Latency | None = None
    latency_at_least: list[Name] = field(default_factory=list)
    lateness_us: Latency | None = None
    io_wait_s: Amount = 0.0
    overlaps: bool = False
    slots: Some | None = None
    limit_per_s: Amount | None = None
    fraction_of_limit: Amount | None = None
    limiter: Name | None = None
    utilisation: dict[Name, Number] = field(default_factory=dict)
    cpu_us_per_request: Amount | None = None
    server: ServerUse | None = None
    front: FrontUse | None = None
    load: LoadUse | None = None
    machine: MachineUse | None = None
    hops: Hops | None = None
    held: HeldResult | None = None
    gone: LeavingResult | None = None
    waves: WavesResult | None = None
    slow: SlowResult | None = None
    streams: StreamsResult | None = None
    database: DatabaseUse | None = None
    environment: ServerEnvironment | None = None
    max_connections: Some | None = None
    server_cores: Some | None = None
    warmup_s: Amount = 0.0
    duration_s: Amount = 0.0
    started_s: Number = 0.0
    took_s: Number = 0.0
    window_at_s: Number | None = None
    commands: dict[Text, list[Text]] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples)
    histogram: Encoded | None = None
    histogram_from_send: Encoded | None = None

    @property
    def request(self) -> str:
        """The workload with its parameters, as `wait?ms=100`."""
        return request_name(self.workload, self.parameters)

    @property
    def offered_load(self) -> Load:
        """The load as one of its kinds; `load` is what the load processes used."""
        return load_of(*(getattr(self, name) for name in STORED))

    @property
    def is_open(self) -> bool:
        """True for an open loop."""
        return isinstance(self.offered_load, Open)

    @property
    def load_text(self) -> str:
        """Return the load in words, such as `100 users`."""
        return self.offered_load.text

    @property
    def lower_bounds(self) -> list[str]:
        """Return the percentiles that are lower bounds: all, if users wait longer than warm-up and window last.

        By Little's law each of N users waits N/X in a closed loop without a pause. Earlier answers are the early part.
        """
        seen_s = self.warmup_s + self.duration_s
        if self.users and self.throughput_per_s and not self.rate_per_s and self.users / self.throughput_per_s > seen_s:
            return [field.name for field in fields(Latency)]
        return self.latency_at_least

    @property
    def is_measured(self) -> bool:
        """True if the numbers may be shown; those of `degraded` trials are shown hollow, with their reasons."""
        return self.verdict in ("ok", "degraded")


def values_of(trials: Iterable[Trial], measure: str) -> list[float]:
    """Return the numbers at a dotted path of all trials that have them. Raises AttributeError if none can have it."""
    values = (_follow(trial, measure.split(".")) for trial in trials)
    return [float(value) for value in values if value is not None]


def _follow(start: object, path: Sequence[str]) -> Any:
    return reduce(lambda at, name: None if at is None else getattr(at, name), path, start)


def column_s(window_s: float) -> float:
    """Return the width in s of the columns in which answers are counted and the server is sampled."""
    return max(ANSWERED_EVERY_S, window_s / MOST_COLUMNS)
