"""Trials of connections: N feeds held open, N clients that leave early, N slow ones, N streams that are passed on, or
waves of N requests that each hold a connection to the database. The drivers: load/held.py, load/departures.py,
load/slow_clients.py, load/streams.py, load/waves.py.

They have no throughput and no window. The driver has phases, and what counts is how many connections are served, what
each costs the server while it is only open, and what is left after the last one.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from bench.analyse import gates
from bench.analyse.gates import TrialInvalid
from bench.analyse.stats import median_of
from bench.measure import preflight, process_usage, socket_counts, stalls
from bench.measure.contract import PROBED_WITHIN_S, check_contract
from bench.measure.cpu_placement import CpuPlan
from bench.measure.database.database import Database
from bench.measure.load.recording import Stretch
from bench.measure.monitor import HELD_UP_S, within
from bench.measure.processes import Process, start
from bench.measure.readiness import RunningServer
from bench.measure.services import Services
from bench.measure.strategy import Strategy
from bench.measure.trial_metrics import machine_use
from bench.measure.wave_metrics import wave_metrics_of
from bench.model import trial_record
from bench.model.histograms import decode_histogram, latency_of
from bench.model.load import ConnectionLoad, Held, Leaving, Slow, Streams, Waves
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import LeavingResult, LoadUse, ServerUse, SlowResult, StreamsResult, Trial, VisitsResult

LOOK_EVERY_S = 0.05
DRIVEN_WITHIN_S = 150.0
WARM_UPS = 3
"""Quick requests of the same kind, which probe the server and have it import what all need."""
SETTLE_S = 5.0
"""After the last connection's end, until server and database are read once more."""
BETWEEN_WAVES_S = 2.0


@dataclass
class ConnectionEvidence:
    """What the driver wrote, and readings from before the first connection until after the last, of the server, of its
    front and, first and last, of its upstream and of all of ours. `front_connections`: those to the front. `open`:
    monotonic seconds, and connections open on the database then.
    """

    server: list[process_usage.Reading]
    ours: list[process_usage.Reading]
    wrote: dict[str, Any] = field(default_factory=dict)
    connections: int = 0
    front: list[process_usage.Reading] = field(default_factory=list)
    upstream: list[process_usage.Reading] = field(default_factory=list)
    front_connections: int = 0
    open: list[tuple[float, int]] = field(default_factory=list)
    log: str = ""

    @property
    def open_max(self) -> int | None:
        """The most connections open on the database at once; None where there are none to count."""
        return max((count for _, count in self.open), default=None)

    @property
    def before(self) -> process_usage.Reading:
        """Return the server's reading from before the first connection."""
        return self.server[0]

    @property
    def held_up(self) -> list[Stretch]:
        """When the lab itself did not come to look, in monotonic seconds; the last look is late on purpose."""
        times_s = [reading.at_s for reading in self.server[:-1]]
        return [(since_s, until_s) for since_s, until_s in pairwise(times_s) if until_s - since_s > HELD_UP_S]

    @property
    def after(self) -> process_usage.Reading:
        """Return the server's reading from after the last connection."""
        return self.server[-1]

    def at(self, phase: str) -> process_usage.Reading:
        """The last reading before the phase began."""
        began_s = self.wrote["phases"][phase]
        return [self.server[0], *(reading for reading in self.server if reading.at_s <= began_s)][-1]


@dataclass(frozen=True)
class ConnectionTrial(Strategy[Process, ConnectionEvidence]):
    """A trial whose driver has phases."""

    @property
    def load(self) -> ConnectionLoad:
        """The plan's load, which is one of these."""
        assert isinstance(self.plan.load, ConnectionLoad)
        return self.plan.load

    @property
    def settle_s(self) -> float:
        """How long the server is left alone after the last connection, where what it is left with counts."""
        return SETTLE_S if isinstance(self.load, Held | Leaving) else 0.0

    @property
    def longest_s(self) -> float:
        """The probes, and the driver with all its phases."""
        probe_s = PROBED_WITHIN_S + self.plan.request.io_wait_s(self.plan.stack)
        return WARM_UPS * probe_s + DRIVEN_WITHIN_S + self.settle_s

    def require_room(self) -> None:
        """Raise NotRun where there are too few file descriptors or ports for the connections."""
        preflight.require_room(self.load.connections, "connections")

    @contextmanager
    def starting(self, url: str, folder: Path, where: CpuPlan, services: Services) -> Iterator[Process]:
        """Start the driver."""
        command = [
            *("python", "-m", *self._driver(services), "--url", url, "--path", self.plan.request.path),
            *("--connections", str(self.load.connections), "--folder", str(folder)),
        ]
        log = folder / "load.log"
        driver = Process(command, start(command, environment={}, cpus=where.load, log=log), log, where.load)
        try:
            yield driver
        finally:
            driver.stop(within_s=0)

    def _driver(self, services: Services) -> list[str]:
        """Return the driver's module, with the options of its own kind of load."""
        match self.load:
            case Held():
                return ["bench.measure.load.held", "--hold", str(self.plan.duration_s)]
            case Leaving(_, leave_after_s, staying):
                options = ["--leave-after", str(leave_after_s), "--staying", str(staying)]
                return ["bench.measure.load.departures", *options]
            case Slow(_, visitors, over_s):
                sends = self.plan.request.workload.sends
                sent = ["--sends", str(sends(self.plan.request.parameters))] if sends else []
                options = ["--over", str(over_s), "--visitors", str(visitors), "--alone", str(self.plan.duration_s)]
                return ["bench.measure.load.slow_clients", *options, *sent]
            case Streams(_, leaving):
                return ["bench.measure.load.streams", *self._streams(leaving, services)]
            case Waves():
                return ["bench.measure.load.waves", "--look-after", str(BETWEEN_WAVES_S)]

    def _streams(self, leaving: int, services: Services) -> list[str]:
        """Return the options of the driver of streams, which asks the upstream itself."""
        assert services.upstream, "what is passed on comes from an upstream"
        parameters = self.plan.request.parameters
        parts, every_s = parameters["n"], parameters["ms"] / 1000
        return [
            *("--parts", str(parts), "--every", str(every_s), "--leaving", str(leaving)),
            *("--upstream", services.upstream.url),
        ]

    def check(self, url: str) -> None:
        """Send requests of the same kind that are soon over."""
        for _ in range(WARM_UPS):
            check_contract(url, self.plan.request.quick, self.plan.stack)

    def watch(self, server: RunningServer | None, driver: Process, services: Services) -> ConnectionEvidence:
        """Give the go, read the server until some seconds after the driver's end, and gather what it wrote."""
        assert server, "connections are held to servers of ours"
        return _watch(server, driver, services, self.load.connections, self.settle_s)

    def payments(self, seen: ConnectionEvidence) -> int | None:
        """The answers to checkouts, those of the warm-up too."""
        return seen.wrote["answered"] + WARM_UPS if self.plan.request.workload.pays else None

    def judge(self, trial: Trial, seen: ConnectionEvidence, where: CpuPlan) -> Trial:
        """The trial with the driver's numbers, those of the server, and its verdict."""
        return _judge(_with_numbers(trial, self.plan, seen, where), seen)


def _watch(
    server: RunningServer, driver: Process, services: Services, connections: int, settle_s: float
) -> ConnectionEvidence:
    folder, database = driver.log.parent, services.database
    members, front, upstream = (it.family() if it else [] for it in (server, server.front, services.upstream))
    ours = [*members, *front, *upstream, *driver.family()]
    seen = ConnectionEvidence([process_usage.read(members)], [_read_ours(ours, database)])
    seen.front += _read_optional(front)
    seen.upstream += _read_optional(upstream)
    (folder / "go").touch()
    deadline_s = time.monotonic() + DRIVEN_WITHIN_S
    while not (folder / "seen.json").exists():
        _require_alive(server, services, driver, deadline_s)
        if max(seen.connections, seen.front_connections) < connections and "holding" in _phases(folder):
            seen.connections = max(seen.connections, socket_counts.established(server.port))
            if server.front:
                seen.front_connections = max(seen.front_connections, socket_counts.established(server.front.port))
        time.sleep(LOOK_EVERY_S)
        seen.server.append(process_usage.read(members))
        seen.front += _read_optional(front)
        if database and (count := database.connections()) is not None:
            seen.open.append((time.monotonic(), count))
    seen.ours.append(_read_ours(ours, database))
    seen.upstream += _read_optional(upstream)
    seen.wrote = json.loads((folder / "seen.json").read_text())
    time.sleep(settle_s)
    _require_alive(server, services, None, math.inf)
    seen.server.append(process_usage.read(members))
    seen.log = server.log.read_text(errors="replace")
    return seen


def _read_optional(family: Sequence[psutil.Process]) -> list[process_usage.Reading]:
    return [process_usage.read(family)] if family else []


def _read_ours(ours: Sequence[psutil.Process], database: Database | None) -> process_usage.Reading:
    return process_usage.add_readings(
        process_usage.read(ours), process_usage.read_with_ended(database.family() if database else [])
    )


def _phases(folder: Path) -> dict[str, float]:
    path = folder / "phases.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _require_alive(server: RunningServer, services: Services, driver: Process | None, deadline_s: float) -> None:
    for who, it in {"server": server, "front": server.front, "upstream": services.upstream}.items():
        if it and it.exit_status is not None:
            raise TrialInvalid(
                "server-died", f"The {who} ended with status {it.exit_status}. Its log:\n{it.log_tail()}"
            )
    if driver and driver.exit_status is not None:
        raise TrialInvalid(
            "load-lost", f"The driver ended with status {driver.exit_status}. Its log:\n{driver.log_tail()}"
        )
    if time.monotonic() > deadline_s:
        raise TrialInvalid("deadline", f"The driver was not done after {DRIVEN_WITHIN_S:.0f} s.")


def _with_numbers(trial: Trial, plan: TrialPlan, seen: ConnectionEvidence, where: CpuPlan) -> Trial:
    first, last = seen.ours[0], seen.ours[-1]
    took_s = last.at_s - first.at_s
    cpu_s = sum(seen.wrote["cpu_s"].values())
    return replace(
        trial,
        errors=_errors(seen),
        failed=sum(_errors(seen).values()),
        **_of_the_load(plan, seen),
        server=ServerUse(
            threads_max=max(reading.threads for reading in seen.server),
            rss_bytes_max=max(reading.rss_bytes for reading in seen.server),
            connections_max=seen.connections,
            cpu_share=process_usage.cpu_share(seen.before, seen.server[-2]),
            cpu_s=seen.after.cpu_s - seen.before.cpu_s,
            processes=plan.stack.budget.processes,
            cpus=where.server,
        ),
        front=process_usage.front_use(seen.front, seen.front_connections, where.server),
        load=LoadUse(cpu_share=cpu_s / took_s, processes=1, cpus=where.load, busiest_share=cpu_s / took_s),
        machine=replace(machine_use(first, last), upstream_cores=_upstream_cores(seen)),
        samples=process_usage.samples_of(seen.server, seen.before.at_s),
        events=stalls.lab_gaps(within(seen.held_up, seen.before.at_s, seen.after.at_s)),
        duration_s=took_s,
    )


def _of_the_load(plan: TrialPlan, seen: ConnectionEvidence) -> dict[str, Any]:
    match plan.load:
        case Leaving():
            return {"gone": _departures(seen, plan.load.staying)}
        case Slow():
            return {"slow": _slow(seen.wrote)}
        case Streams():
            return {"streams": _streams(seen, plan.request.parameters["ms"])}
        case Waves():
            return {"waves": wave_metrics_of(seen.wrote, seen.open)}
    return {"held": _held(seen)}


def _errors(seen: ConnectionEvidence) -> dict[str, int]:
    """Answers that were not right, by class."""
    of_waves = Counter(one["error"] for wave in seen.wrote.get("waves", []) for one in wave if one["error"])
    return {**seen.wrote.get("errors", {}), **of_waves}


def _held(seen: ConnectionEvidence) -> trial_record.HeldResult:
    wrote, held = seen.wrote, seen.at("publishing")
    all_told_s = wrote["all_delivered_s"]
    added_bytes = held.rss_bytes - seen.before.rss_bytes
    return trial_record.HeldResult(
        **{name: wrote[name] for name in COUNTED},
        first_byte_us=latency_of(decode_histogram(wrote["first_byte"])),
        delivery_us=latency_of(decode_histogram(wrote["delivery"])),
        all_delivered_us=round(1e6 * median_of(all_told_s)) if all_told_s else None,
        threads_before=seen.before.threads,
        threads_held=held.threads,
        threads_left=seen.after.threads,
        rss_before_bytes=seen.before.rss_bytes,
        rss_held_bytes=held.rss_bytes,
        rss_left_bytes=seen.after.rss_bytes,
        rss_per_connection_bytes=max(0, added_bytes) // wrote["served"] if wrote["served"] else None,
    )


COUNTED = ("served", "starved", "lost", "published", "asked_to_publish", "undelivered")


def _departures(seen: ConnectionEvidence, staying: int) -> LeavingResult:
    wrote = seen.wrote
    cpu_s = seen.at("quiet").cpu_s - seen.at("left").cpu_s
    return LeavingResult(
        left=wrote["left"],
        answered=wrote["answered"],
        ended_in_vain=wrote["ended"] - wrote["answered"],
        cut_short=wrote["cut_short"],
        never_begun=max(0, wrote["left"] + wrote["answered"] + sum(wrote["errors"].values()) - _begun(wrote)),
        newcomer_us=None if wrote["newcomer_s"] is None else round(1e6 * wrote["newcomer_s"]),
        quiet_s=wrote["quiet_s"],
        cpu_us_per_leaver=1e6 * cpu_s / max(1, wrote["left"]),
        stayed=staying,
    )


def _slow(wrote: dict[str, Any]) -> SlowResult:
    alone, beside = (_visits(wrote[when]) for when in ("alone", "beside"))
    return SlowResult(
        **{name: wrote[name] for name in ("served", "starved", "failed", "inside_most")},
        alone=alone,
        beside=beside,
        kept_share=beside.answered_per_s / alone.answered_per_s if alone.answered_per_s else None,
    )


def _streams(seen: ConnectionEvidence, every_ms: int) -> StreamsResult:
    wrote, upstream = seen.wrote, seen.wrote["upstream"]
    gap_us = latency_of(decode_histogram(wrote["gaps"]))
    cpu_s = seen.at("closing").cpu_s - seen.before.cpu_s
    return StreamsResult(
        **{name: wrote[name] for name in ("whole", "left", "late", "failed", "carried", "parts", "gaps")},
        first_part_us=latency_of(decode_histogram(wrote["first_part"])),
        gap_us=gap_us,
        gap_growth=gap_us.p99 / (1000 * every_ms) if gap_us and every_ms else None,
        cpu_us_per_part=1e6 * cpu_s / wrote["parts"] if wrote["parts"] else None,
        stopped=upstream["cut_short"],
        in_vain=upstream["ended"] - wrote["whole"],
        parts_in_vain=upstream["parts"] - wrote["parts"],
    )


def _upstream_cores(seen: ConnectionEvidence) -> float:
    """Cores that the upstream kept busy."""
    return process_usage.cpu_share(seen.upstream[0], seen.upstream[-1]) if seen.upstream else 0.0


def _visits(counted: dict[str, Any]) -> VisitsResult:
    latency = latency_of(decode_histogram(counted["latency"]))
    return VisitsResult(**{name: counted[name] for name in counted if name != "latency"}, latency_us=latency)


def _begun(wrote: dict[str, Any]) -> int:
    """Requests that came as far as their view's work."""
    return int(wrote["ended"] + wrote["cut_short"])


def _judge(trial: Trial, seen: ConnectionEvidence) -> Trial:
    verdict, reasons = gates.judge_connections(
        trial,
        shortest_s=_shortest_s(seen),
        missed_a_phase=_missed_a_phase(seen),
        driver_shares=_driver_shares(trial, seen),
    )
    judged = replace(trial, verdict=verdict, reasons=reasons)
    without = replace(judged, held=None, gone=None, waves=None, slow=None, streams=None)
    return without if verdict == "invalid" else judged


def _missed_a_phase(seen: ConnectionEvidence) -> bool:
    """True where a phase began while the lab was held up: then what the server had just before it was not read."""
    began_s = seen.wrote.get("phases", {}).values()
    return any(since_s < at_s < until_s for since_s, until_s in seen.held_up for at_s in began_s)


def _shortest_s(seen: ConnectionEvidence) -> float | None:
    """The shortest time of a right answer in waves, in seconds; for other loads no single time is kept."""
    requests = [one for wave in seen.wrote.get("waves", []) for one in wave]
    return min((one["ended_s"] - one["began_s"] for one in requests if not one["error"]), default=None)


def _driver_shares(trial: Trial, seen: ConnectionEvidence) -> dict[str, float]:
    """The share of its core that the driver used in the phases that have measured delays."""
    if not (trial.slow or trial.streams or trial.held):
        return {}
    cpu_s, phases = seen.wrote["cpu_s"], seen.wrote["phases"]
    if trial.slow:
        ends = {"alone": "opening", "holding": "leaving"}
        return {phase: cpu_s[phase] / (phases[end] - phases[phase]) for phase, end in ends.items()}
    if trial.streams and trial.machine:
        share = sum(cpu_s[phase] for phase in ("opening", "holding")) / (phases["closing"] - phases["opening"])
        return {"reading, with the upstream beside it": share + trial.machine.upstream_cores}
    delivered_s = sum(seen.wrote["all_delivered_s"])
    return {
        "opening": cpu_s["opening"] / (phases["holding"] - phases["opening"]),
        "publishing": cpu_s["publishing"] / delivered_s if delivered_s > 0 else 0.0,
    }
