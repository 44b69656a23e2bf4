"""Trials of connections: N feeds held open, or N clients that leave early. The drivers: load/held.py, load/gone.py.

No throughput and no window: the phases are the driver's, and what counts is how many are served, what each costs the
server while it is only open, and what is left when all have gone.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench import cpus, meter, preflight
from bench.cpus import CpuPlan
from bench.limits import CLIENT_FULL
from bench.probe import probe
from bench.record import Gone, Held, LoadUse, MachineUse, Reason, ServerUse, Trial, decode_histogram, latency_of
from bench.servers import Process, Server, free_port, serving_stack, start, work_folder
from bench.stacks import HOST, Stack
from bench.stats import median_of
from bench.verdict import MAX_OTHER_CORES, TrialInvalid
from bench.workloads import Request, parse_request

LOOK_EVERY_S = 0.05
LOOKED_AFTER_S = 5.0
"""From the last connection's end on: what the server still has then, it was left with."""
DRIVEN_WITHIN_S = 150.0
WARM_UPS = 3
QUICK = {"feed": "feed?n=2&ms=10", "wait": "wait?ms=10", "burn": "burn?ms=1"}
"""A request of the same kind that is over soon: the probe, and the first requests that import what all need."""


class Plan(Protocol):
    """What is asked of `trial.TrialPlan` here. `leave_after_s` None: connections are held."""

    @property
    def stack(self) -> Stack: ...
    @property
    def request(self) -> Request: ...
    @property
    def connections(self) -> int | None: ...
    @property
    def leave_after_s(self) -> float | None: ...
    @property
    def middleware(self) -> tuple[str, ...]: ...
    @property
    def duration_s(self) -> float: ...


@dataclass
class Seen:
    """What the driver wrote, and readings from before the first connection until after the last, of the server and,
    first and last, of all of ours.
    """

    server: list[meter.Reading]
    ours: list[meter.Reading]
    wrote: dict[str, Any] = field(default_factory=dict)
    connections: int = 0

    @property
    def before(self) -> meter.Reading:
        return self.server[0]

    @property
    def after(self) -> meter.Reading:
        return self.server[-1]

    def at(self, phase: str) -> meter.Reading:
        """The last reading before the phase began."""
        began_s = self.wrote["phases"][phase]
        return [self.server[0], *(reading for reading in self.server if reading.at_s <= began_s)][-1]

    def length_s(self, phase: str, until: str) -> float:
        return float(self.wrote["phases"][until] - self.wrote["phases"][phase])


def is_about(plan: Plan) -> bool:
    """Whether such requests can be held, or left."""
    name = plan.request.workload.name
    return name == "feed" if plan.leave_after_s is None else name in ("wait", "burn")


def measured(trial: Trial, plan: Plan) -> Trial:
    """One trial of connections. NotRun, ContractBroken and TrialInvalid as `trial.run_trial` expects them."""
    plan.stack.require_installed()
    preflight.require_room(plan.connections or 0, "connections")
    where = cpus.plan(plan.stack.budget.processes)
    with ExitStack() as running:
        folder = running.enter_context(work_folder("load"))
        port = free_port()
        driver = _driver(plan, f"http://{HOST}:{port}", folder, where)
        running.callback(driver.stop, within_s=0)
        server = running.enter_context(
            serving_stack(plan.stack, middleware=plan.middleware, cpus=where.server, port=port, grace_s=0)
        )
        for _ in range(WARM_UPS):
            probe(server.url, parse_request(QUICK[plan.request.workload.name]), plan.stack)
        seen = _watched(server, driver, folder)
    commands = {"server": server.command, "load": ["FOLDER" if it == str(folder) else it for it in driver.command]}
    return _judged(_with_numbers(replace(trial, commands=commands), plan, seen, where), seen)


def _driver(plan: Plan, url: str, folder: Path, where: CpuPlan) -> Process:
    """The driver, waiting for its go."""
    name, how = ("held", "--hold") if plan.leave_after_s is None else ("gone", "--leave-after")
    long = str(plan.duration_s if plan.leave_after_s is None else plan.leave_after_s)
    command = [
        *("python", "-m", f"bench.load.{name}", "--url", url, "--path", plan.request.path, how, long),
        *("--connections", str(plan.connections), "--folder", str(folder)),
    ]
    log = folder / "load.log"
    return Process(command, start(command, environment={}, cpus=where.load, log=log), log, where.load)


def _watched(server: Server, driver: Process, folder: Path) -> Seen:
    """Let the driver go, read the server until some seconds after its end, and gather what it wrote."""
    members, ours = server.family(), [*server.family(), *driver.family()]
    seen = Seen([meter.read(members)], [meter.read(ours)])
    (folder / "go").touch()
    deadline_s = time.monotonic() + DRIVEN_WITHIN_S
    while not (folder / "seen.json").exists():
        _require_alive(server, driver, deadline_s)
        if not seen.connections and "holding" in _phases(folder):
            seen.connections = meter.established(server.port)
        time.sleep(LOOK_EVERY_S)
        seen.server.append(meter.read(members))
    seen.ours.append(meter.read(ours))
    seen.wrote = json.loads((folder / "seen.json").read_text())
    time.sleep(LOOKED_AFTER_S)
    _require_alive(server, None, deadline_s + LOOKED_AFTER_S)
    seen.server.append(meter.read(members))
    return seen


def _phases(folder: Path) -> dict[str, float]:
    path = folder / "phases.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _require_alive(server: Server, driver: Process | None, deadline_s: float) -> None:
    if server.exit_status is not None:
        raise TrialInvalid(
            "server-died", f"The server ended with status {server.exit_status}. Its log:\n{server.log_tail()}"
        )
    if driver and driver.exit_status is not None:
        raise TrialInvalid(
            "load-lost", f"The driver ended with status {driver.exit_status}. Its log:\n{driver.log_tail()}"
        )
    if time.monotonic() > deadline_s:
        raise TrialInvalid("deadline", f"The driver was not done after {DRIVEN_WITHIN_S:.0f} s.")


def _with_numbers(trial: Trial, plan: Plan, seen: Seen, where: CpuPlan) -> Trial:
    first, last = seen.ours[0], seen.ours[-1]
    took_s = last.at_s - first.at_s
    others = (last.machine_s - first.machine_s - last.cpu_s + first.cpu_s) / took_s
    cpu_s = sum(seen.wrote["cpu_s"].values())
    return replace(
        trial,
        errors=seen.wrote.get("errors", {}),
        failed=sum(seen.wrote.get("errors", {}).values()),
        held=_held(seen) if plan.leave_after_s is None else None,
        gone=_gone(seen) if plan.leave_after_s is not None else None,
        server=ServerUse(
            threads_max=max(reading.threads for reading in seen.server),
            rss_bytes_max=max(reading.rss_bytes for reading in seen.server),
            connections_max=seen.connections,
            cpu_share=meter.cpu_share(seen.before, seen.server[-2]),
            cpu_s=seen.after.cpu_s - seen.before.cpu_s,
            processes=plan.stack.budget.processes,
            cpus=where.server,
        ),
        load=LoadUse(cpu_share=cpu_s / took_s, processes=1, cpus=where.load, busiest_share=cpu_s / took_s),
        machine=MachineUse(round(max(0.0, others), 3), round((last.stolen_s - first.stolen_s) / took_s, 3)),
        samples=meter.samples_of(seen.server, seen.before.at_s),
        duration_s=took_s,
    )


def _held(seen: Seen) -> Held:
    wrote, held = seen.wrote, seen.at("publishing")
    all_told_s = wrote["all_delivered_s"]
    added_bytes = held.rss_bytes - seen.before.rss_bytes
    return Held(
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


def _gone(seen: Seen) -> Gone:
    wrote = seen.wrote
    cpu_s = seen.at("quiet").cpu_s - seen.at("left").cpu_s
    return Gone(
        left=wrote["left"],
        answered=wrote["answered"],
        ended_in_vain=wrote["ended"] - wrote["answered"],
        cut_short=wrote["cut_short"],
        never_begun=wrote["left"] + wrote["answered"] - wrote["ended"] - wrote["cut_short"],
        newcomer_us=None if wrote["newcomer_s"] is None else round(1e6 * wrote["newcomer_s"]),
        quiet_s=wrote["quiet_s"],
        cpu_us_per_leaver=1e6 * cpu_s / max(1, wrote["left"]),
    )


def _judged(trial: Trial, seen: Seen) -> Trial:
    """`invalid` where the books do not balance, `degraded` where something else than the server made a number."""
    if trial.held and trial.held.served + trial.held.starved + trial.failed != trial.connections:
        missing = Reason("accounting", "Some feeds are missing from the driver's books.")
        return replace(trial, verdict="invalid", reasons=[missing], held=None)
    reasons = list(_reservations(trial, seen))
    return replace(trial, verdict="degraded" if reasons else "ok", reasons=reasons)


def _reservations(trial: Trial, seen: Seen) -> Iterator[Reason]:
    yield from _of_the_driver(seen, trial.held)
    if trial.server and trial.load and not set(trial.server.cpus).isdisjoint(trial.load.cpus):
        yield Reason("shared-cores", "Server and load had to share a core.")
    if trial.machine and trial.machine.other_cores + trial.machine.stolen_cores > MAX_OTHER_CORES:
        yield Reason("other-load", f"Other programs kept {trial.machine.other_cores:.1f} cores busy meanwhile.")


def _of_the_driver(seen: Seen, held: Held | None) -> Iterator[Reason]:
    """Where the driver's own CPU could have made the delays: METHOD, item 10."""
    if held is None:
        return
    cpu_s: dict[str, float] = seen.wrote["cpu_s"]
    told_s: Sequence[float] = seen.wrote["all_delivered_s"]
    shares = {
        "opening": cpu_s["opening"] / seen.length_s("opening", "holding"),
        "publishing": cpu_s["publishing"] / sum(told_s) if sum(told_s) > 0 else 0.0,
    }
    for phase, share in shares.items():
        if share > CLIENT_FULL:
            yield Reason(
                "client-limited", f"The driver used {share:.0%} of its core while {phase}: delays are its own."
            )
