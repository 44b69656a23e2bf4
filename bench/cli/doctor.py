"""`lab doctor`: what this machine has, what it lacks for honest measurements, and the command that helps."""

import argparse
import os
import resource
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import psutil
from rich.markup import escape
from rich.table import Table

from bench.base import programs
from bench.base.console import console, print_json
from bench.base.errors import ExitCode, LabError
from bench.cli.checklist import CHECKLIST
from bench.measure import machine, variables
from bench.measure.database import database
from bench.model.redaction import VARIABLE
from bench.model.servers import SERVERS

WANTED_DESCRIPTORS, WANTED_PORTS = 4096, 10_000
BUSY_LOAD_SHARE = 0.25
State = Literal["fine", "warning", "missing"]
COLOURS = {"fine": "green", "warning": "yellow", "missing": "red"}
OPTIONAL_PROGRAMS = {
    "wrk": "`lab run --engine wrk` and ./scripts/calibrate need it",
    "redis-server": "some claims and tests use it",
    "nginx": "stacks such as nginx/sync_wsgi@gthread:8 have it in front",
}
"""Each with its use; measurements need none of them."""


@dataclass(frozen=True)
class Check:
    """One line of the output: what was checked, what was seen, and the remedy if one is needed."""

    name: str
    state: State
    seen: str
    remedy: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Check this machine and print each check; return NOT_RUN if something is missing that measuring needs."""
    checks = run_checks()
    is_fit = all(check.state != "missing" for check in checks)
    if arguments.json:
        print_json({"fit": is_fit, "checks": [asdict(check) for check in checks]})
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for check in checks:
            remedy = f" → {check.remedy}" if check.remedy else ""
            table.add_row(f"[{COLOURS[check.state]}]{check.state}[/]", check.name, escape(check.seen + remedy))
        console().print(table)
    return ExitCode.FINE if is_fit else ExitCode.NOT_RUN


def run_checks() -> list[Check]:
    """All checks that need no trial."""
    influences = variables.describe_foreign() or "none that changes what is measured"
    return [
        _descriptors(),
        _ports(),
        check_other_load(),
        _governor(),
        Check("variables", "fine", influences),
        *_packages(),
        *_programs(),
        _database(),
        Check("python", "fine", machine.python_version()),
        *_checklist(),
    ]


def _fine_unless(problem: bool, name: str, seen: str, remedy: str) -> Check:
    return Check(name, "warning", seen, remedy) if problem else Check(name, "fine", seen)


def _descriptors() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < WANTED_DESCRIPTORS
    remedy = f"run `ulimit -n {WANTED_DESCRIPTORS}` before measuring"
    return _fine_unless(few, "file descriptors", f"{soft} (hard limit {hard})", remedy)


def _ports() -> Check:
    text = machine.read_text("/proc/sys/net/ipv4/ip_local_port_range")
    if text is None:
        return Check("ephemeral ports", "fine", "not readable on this system")
    low, high = map(int, text.split())
    remedy = "run `sysctl -w net.ipv4.ip_local_port_range='32768 60999'`"
    return _fine_unless(high - low < WANTED_PORTS, "ephemeral ports", f"{high - low + 1}", remedy)


def check_other_load() -> Check:
    """Compare the load average of the last minute with the number of cores."""
    load, cores = os.getloadavg()[0], psutil.cpu_count() or 1
    seen = f"{load:.2f} on {cores} cores over the last minute"
    remedy = "close other programs, or wait; `top` shows which one it is"
    return _fine_unless(load > BUSY_LOAD_SHARE * cores, "other load", seen, remedy)


def _governor() -> Check:
    governor = machine.read_text(machine.GOVERNOR)
    slow = governor not in (None, "performance")
    remedy = "run `cpupower frequency-set -g performance` for steadier numbers"
    return _fine_unless(slow, "CPU governor", governor or "not readable on this system", remedy)


def _packages() -> Iterator[Check]:
    """All packages that matter to a measurement. What only a server of an extra needs may be absent."""
    found = machine.versions()
    optional = {server.packages[0]: server for server in SERVERS.values() if server.extra}
    for package, version in found.items():
        if version:
            yield Check(package, "fine", version)
        elif package in optional:
            remedy = f"run `{optional[package].install_command(package)}` for this server"
            yield Check(package, "warning", "not installed", remedy)
        else:
            yield Check(package, "missing", "not installed", f"run `python -m pip install {package}`")
    for server in SERVERS.values():
        absent = [package for package in server.packages if found[package] is None]
        if absent:
            state: State = "warning" if server.extra else "missing"
            yield Check(f"server {server.name}", state, f"without {', '.join(absent)}", "see the lines above")


def _programs() -> Iterator[Check]:
    for name, use in OPTIONAL_PROGRAMS.items():
        absent = not programs.find_program(name)
        seen = f"{'absent' if absent else 'present'}; {use}"
        yield _fine_unless(absent, name, seen, "run `./scripts/system-packages`")


def _database() -> Check:
    """The database that the labs would use; one that LAB_DATABASE_URL names has to answer."""
    try:
        found = database.source()
        seen = f"{found.says}, {database.open_given().vendor}" if found.kind == "given" else found.says
    except LabError as error:
        return Check("database", "warning", str(error), f"correct or unset {VARIABLE}")
    return _fine_unless(bool(found.remedy), "database", seen, found.remedy)


def _checklist() -> Iterator[Check]:
    """The items of the checklist that can be checked without a trial."""
    for item in CHECKLIST:
        if item.check:
            holds, seen = item.check()
            yield _fine_unless(not holds, f"checklist: {item.name}", seen, f"see {item.name} in bench/README.md")
