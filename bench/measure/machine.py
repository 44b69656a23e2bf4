"""The machine and the versions a run was made with (checklist: environment kept).

No host name and no path is among them, because runs are published.
"""

import hashlib
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.base.files import IS_CLONE, KEPT, ROOT
from bench.base.programs import find_program
from bench.measure import cpu_placement, variables
from bench.model.fronts import Front
from bench.model.servers import SERVERS

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
PACKAGES = (
    "django",
    "asgiref",
    "channels",
    "websockets",
    "httpx",
    "locust",
    "gevent",
    "geventhttpclient",
    "hdrhistogram",
    "psycopg",
    "psycopg-pool",
)


def describe_machine(server_cores: int | None = None) -> dict[str, Any]:
    """Read everything about this machine that could explain a number, as JSON data.

    `server_cores`: as in `cpu_placement.plan`.
    """
    where = cpu_placement.plan(1, server_cores=server_cores)
    return {
        "cpu": cpu_model(),
        "cores": psutil.cpu_count(),
        "cores_usable": cpu_placement.available(),
        "server_cores": where.server,
        "load_cores": where.load,
        "cores_shared": where.shared,
        "governor": read_text(GOVERNOR),
        "hyperthreads": read_text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "python": python_version(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "packages": versions(),
        "file_descriptors": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "lock_sha256": hashlib.sha256((KEPT / "requirements.lock").read_bytes()).hexdigest(),
        "git": git_state(),
        "variables": variables.find_foreign(),
    }


def versions() -> dict[str, str | None]:
    """Read the installed versions of the packages that matter to a measurement; None if one is absent."""
    found: dict[str, str | None] = {}
    for package in (*PACKAGES, *(package for server in SERVERS.values() for package in server.packages)):
        found[package] = None
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def front_versions(fronts: Iterable[Front]) -> dict[str, str]:
    """Ask those of the fronts that are installed for their versions, such as `nginx/1.22.1`."""
    installed = {front.name: [path, front.version] for front in fronts if (path := find_program(front.program))}
    said = {name: _said(command) for name, command in installed.items()}
    return {name: text.rpartition(" ")[2] for name, text in said.items() if text}


def _said(command: list[str]) -> str:
    """Return the first line that a program prints; '' if it fails."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return (done.stdout + done.stderr).partition("\n")[0]
    return ""


def python_version() -> str:
    """Return implementation and version, such as `CPython 3.11.7`."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def cpu_model() -> str:
    """Read the processor's name, as far as the system tells."""
    named = re.search(r"^model name\s*:\s*(.+?)\s*$", read_text("/proc/cpuinfo") or "", re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def git_state() -> dict[str, Any] | None:
    """Ask git for the commit, and whether tracked files but results differ from it; None outside a checkout."""
    if not IS_CLONE:
        return None
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
        return {"commit": commit, "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10)
    return answer.stdout.strip()


def read_text(path: str) -> str | None:
    """Read a small file of the system, stripped; None if it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
