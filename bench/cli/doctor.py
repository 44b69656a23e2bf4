"""What this machine has, what it lacks for honest measuring, and the command that mends it."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.base.errors import LabError
from bench.claims.probes import programs
from bench.cli.checklist import CHECKLIST
from bench.measure import machine, variables
from bench.measure.database import database
from bench.model.redaction import VARIABLE
from bench.model.servers import SERVERS

WANTED_DESCRIPTORS = 4096
BUSY_LOAD_SHARE = 0.25
State = Literal["fine", "warning", "missing"]
PROGRAMS = {
    "wrk": "a test checks the load generator with it",
    "redis-server": "some claims and tests ask it",
    "nginx": "one claim puts it before a server",
}
"""What measuring does not need."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's: what was looked at, what was seen, and the remedy where one is needed."""

    name: str
    state: State
    seen: str
    remedy: str = ""


def examine() -> list[Check]:
    """All checks that need no trial."""
    machine = [_descriptors(), _ports(), other_load(), _governor(), _variables()]
    return [*machine, *_packages(), *_programs(), _database(), _python(), *_checklist()]


def _descriptors() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = f"{soft} (hard limit {hard})"
    if soft != resource.RLIM_INFINITY and soft < WANTED_DESCRIPTORS:
        return Check("file descriptors", "warning", seen, f"run `ulimit -n {WANTED_DESCRIPTORS}` before measuring")
    return Check("file descriptors", "fine", seen)


def _ports() -> Check:
    text = machine.read_text("/proc/sys/net/ipv4/ip_local_port_range")
    if text is None:
        return Check("ephemeral ports", "fine", "not readable on this system")
    low, high = map(int, text.split())
    if high - low < 10_000:
        remedy = "run `sysctl -w net.ipv4.ip_local_port_range='32768 60999'`"
        return Check("ephemeral ports", "warning", f"{high - low + 1}", remedy)
    return Check("ephemeral ports", "fine", f"{high - low + 1}")


def other_load() -> Check:
    """Whether other programs keep the machine busy."""
    load, cores = os.getloadavg()[0], psutil.cpu_count() or 1
    seen = f"{load:.2f} on {cores} cores over the last minute"
    if load > BUSY_LOAD_SHARE * cores:
        return Check("other load", "warning", seen, "close other programs, or wait; `top` shows who it is")
    return Check("other load", "fine", seen)


def _governor() -> Check:
    governor = machine.read_text(machine.GOVERNOR)
    if governor not in (None, "performance"):
        remedy = "run `cpupower frequency-set -g performance` for steadier numbers"
        return Check("CPU governor", "warning", str(governor), remedy)
    return Check("CPU governor", "fine", governor or "not readable on this system")


def _variables() -> Check:
    return Check("variables", "fine", variables.describe_foreign() or "none that changes what is measured")


def _packages() -> Iterator[Check]:
    found = machine.versions()
    for package, version in found.items():
        if version is None:
            yield Check(package, "missing", "not installed", f"run `python -m pip install {package}`")
        else:
            yield Check(package, "fine", version)
    for server in SERVERS.values():
        absent = [package for package in server.packages if found[package] is None]
        if absent:
            yield Check(f"server {server.name}", "missing", f"without {', '.join(absent)}", "see the lines above")


def _programs() -> Iterator[Check]:
    for name, use in PROGRAMS.items():
        if programs.found(name):
            yield Check(name, "fine", f"present; {use}")
        else:
            yield Check(name, "warning", f"absent; {use}", "run `./scripts/system-packages`")


def _database() -> Check:
    """Which one the labs would ask; one that LAB_DATABASE_URL names is asked whether it answers."""
    try:
        found = database.source()
        seen = f"{found.says}, {database.open_given().vendor}" if found.kind == "given" else found.says
    except LabError as error:
        return Check("database", "warning", str(error), f"mend or unset {VARIABLE}")
    return Check("database", "warning" if found.remedy else "fine", seen, found.remedy)


def _python() -> Check:
    return Check("python", "fine", machine.python_version())


def _checklist() -> Iterator[Check]:
    """Whatever of the checklist can be looked at without a trial."""
    for item in CHECKLIST:
        if item.check:
            holds, seen = item.check()
            remedy = "" if holds else f"see {item.name} in bench/README.md"
            yield Check(f"checklist: {item.name}", "fine" if holds else "warning", seen, remedy)


def is_fit(checks: list[Check]) -> bool:
    """False where something is missing without which measuring is not possible."""
    return all(check.state != "missing" for check in checks)


def show(checks: list[Check], console: Console) -> None:
    """One line a check, the remedy behind an arrow."""
    colours = {"fine": "green", "warning": "yellow", "missing": "red"}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        remedy = f" → {check.remedy}" if check.remedy else ""
        table.add_row(f"[{colours[check.state]}]{check.state}[/]", check.name, escape(check.seen + remedy))
    console.print(table)
