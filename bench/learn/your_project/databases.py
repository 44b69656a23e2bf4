"""Copies of the project's databases: made once as masters, then anew from them before each door.

SQLite is copied as a file. PostgreSQL is copied by its own server, as a template; where that is not allowed, a
throw-away server of ours gets the tables by `migrate`. What is in memory, or not there yet, is migrated too.
"""

import ipaddress
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import sql

from bench.base.errors import NotRun, UsageError
from bench.learn.your_project.overlay import Overlay
from bench.measure.database import postgres_cluster
from bench.measure.database.postgres_binaries import Binaries, find_system, find_wheel
from bench.model.servers import HOST

Changed = dict[str, Any]
"""What is different in the settings of a database."""
CONNECTIONS = 200
MIGRATED_WITHIN_S = 240.0
BESIDE = ("-wal", "-journal")
"""Files that belong to a SQLite database which is open, or was not closed well."""


@dataclass(frozen=True)
class Wanted:
    """What the user said about databases."""

    is_owned: bool = False
    is_empty: bool = False
    fixtures: tuple[str, ...] = ()


class Master(Protocol):
    """A database of ours that no door is served from. `is_new`: it has no tables yet."""

    is_new: bool

    @property
    def changed(self) -> Changed:
        """Return what to change in the settings so that they lead to it."""

    @property
    def says(self) -> str:
        """Say what it is."""

    def copy(self) -> tuple[Changed, Callable[[], None]]:
        """Make a copy. Returns what to change in the settings, and what removes it."""


@dataclass
class Copies:
    """The masters by alias, and the cookie of the session in them if a user is logged in."""

    masters: dict[str, Master]
    cookie: tuple[str, str] | None = None
    says: list[str] = field(default_factory=list)

    def cookies_in(self, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the headers with the session's cookie among the others."""
        if self.cookie is None:
            return list(headers)
        others = [value for name, value in headers if name.lower() == "cookie"]
        rest = [(name, value) for name, value in headers if name.lower() != "cookie"]
        return [*rest, ("Cookie", "; ".join(["=".join(self.cookie), *others]))]

    @contextmanager
    def anew(self) -> Iterator[dict[str, Changed]]:
        """Yield copies of all masters, as a plan's `databases`; they are removed afterwards."""
        with ExitStack() as made:
            changed = {}
            for alias, master in self.masters.items():
                changed[alias], remove = master.copy()
                made.callback(remove)
            yield changed


@contextmanager
def copying(overlay: Overlay, facts: Mapping[str, Any], wanted: Wanted, login: str | None) -> Iterator[Copies]:
    """Make the masters, with tables, fixtures and a session where they are wanted.

    `facts`: of each alias, as `inside/overlay/describing.py` says them. Raises UsageError for a database that may not
    be copied, LabError where a copy cannot be made.
    """
    require_harmless(facts, wanted)
    with ExitStack() as lasting:
        masters, says = _masters(overlay, facts, wanted, lasting)
        cookie = None
        if masters:
            cookie, done = _prepare(overlay, masters, wanted, login)
            says += [f"{alias}: {master.says}, {done[alias]}".removesuffix(", ") for alias, master in masters.items()]
        yield Copies(masters, cookie, says)


def _prepare(
    overlay: Overlay, masters: Mapping[str, Master], wanted: Wanted, login: str | None
) -> tuple[tuple[str, str] | None, dict[str, str]]:
    """Make tables, fixtures and a session in the masters. Returns the session's cookie, and what was done to each."""
    planned = overlay.planned(databases={alias: master.changed for alias, master in masters.items()})
    ask = {
        "new": [alias for alias, master in masters.items() if master.is_new],
        "others": [alias for alias, master in masters.items() if not master.is_new],
        "fixtures": [str(Path(name).absolute()) if Path(name).is_file() else name for name in wanted.fixtures],
        "login": login,
        "within_s": MIGRATED_WITHIN_S,
    }
    found = planned.run("preparing", "main", ask)
    return tuple(found["cookie"]) if found["cookie"] else None, found["says"]


def require_harmless(facts: Mapping[str, Any], wanted: Wanted) -> None:
    """Raise UsageError for a database on another machine, or of a kind that is not copied, that nobody vouched for."""
    for alias, database in facts.items():
        is_replaced = database["kind"] == "postgresql" and wanted.is_empty
        if wanted.is_owned or is_replaced or database["kind"] in ("sqlite", "dummy"):
            continue
        if not is_local(database):
            where = database["host"] or "the server of a service file"
            raise UsageError(
                f"The database {alias} is at {where}, which is not this machine: begin with an empty one with "
                f"--empty-database, or confirm that it is yours to copy and to load with --i-own-this-database."
            )
        if database["kind"] != "postgresql":
            raise UsageError(
                f"The database {alias} is {database['engine']}, which lab try does not copy: its pages would be asked "
                f"on it itself. Confirm that it is yours to load with --i-own-this-database."
            )


def is_local(database: Mapping[str, Any]) -> bool:
    """Return whether a database is on this machine, as far as its settings say."""
    host = database["host"]
    if database["service"]:
        return False
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host in ("", "localhost") or host.startswith("/")


def _masters(
    overlay: Overlay, facts: Mapping[str, Any], wanted: Wanted, lasting: ExitStack
) -> tuple[dict[str, Master], list[str]]:
    """Make the master of each alias, and say what each is."""
    masters: dict[str, Master] = {
        alias: SQLiteMaster.make(overlay, alias, database, wanted)
        for alias, database in facts.items()
        if database["kind"] == "sqlite"
    }
    servers = {alias for alias, database in facts.items() if database["kind"] == "postgresql"}
    says = []
    failed = dict.fromkeys(servers, "an empty one was asked for")
    if servers and not wanted.is_empty:
        copied, failed = copy_on_servers(overlay, dict.fromkeys(servers, ""))
        for alias, name in copied.items():
            master = masters[alias] = ServerMaster(overlay, alias, name)
            lasting.callback(master.remove)
    for alias, why in failed.items():
        if wanted.is_owned and not wanted.is_empty:
            says.append(f"The database {alias} is not copied ({why}): pages were asked on it itself.")
            continue
        masters[alias] = lasting.enter_context(thrown_away(why))
    return masters, says


@dataclass
class SQLiteMaster:
    """A file of ours."""

    file: Path
    is_new: bool
    says: str

    @classmethod
    def make(cls, overlay: Overlay, alias: str, database: Mapping[str, Any], wanted: Wanted) -> "SQLiteMaster":
        """Copy the project's file with what lies beside it; without one, or if it is to be empty, name a new one."""
        file = Path(mkdtemp(dir=overlay.folder)) / f"{alias}.sqlite3"
        theirs = Path(database["file"])
        if database["in_memory"] or wanted.is_empty or not theirs.is_file() or not theirs.stat().st_size:
            return cls(file, True, "a new SQLite database")
        for end in ("", *BESIDE):
            if theirs.with_name(theirs.name + end).is_file():
                shutil.copy(theirs.with_name(theirs.name + end), file.with_name(file.name + end))
        return cls(file, False, f"a copy of {theirs.name}")

    @property
    def changed(self) -> Changed:
        """Return the name of the file."""
        return {"NAME": str(self.file)}

    def copy(self) -> tuple[Changed, Callable[[], None]]:
        """Copy the file with what lies beside it."""
        folder = Path(mkdtemp(dir=self.file.parent))
        for file in self.file.parent.glob(f"{self.file.name}*"):
            if file.is_file():
                shutil.copy(file, folder / file.name)
        return {"NAME": str(folder / self.file.name)}, lambda: shutil.rmtree(folder, ignore_errors=True)


def copy_on_servers(overlay: Overlay, templates: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Copy databases on their own servers, in one process of the project's.

    `templates`: by alias, the database to copy; empty for the project's own. Returns new names, and why others failed.
    """
    names = {alias: f"lab_try_{secrets.token_hex(6)}" for alias in templates}
    make = {alias: (names[alias], template) for alias, template in templates.items()}
    failed: dict[str, str] = overlay.run("preparing", "copy", {"make": make})["failed"]
    return {alias: name for alias, name in names.items() if alias not in failed}, failed


@dataclass
class ServerMaster:
    """A database of ours on the project's own server."""

    overlay: Overlay
    alias: str
    name: str
    is_new: bool = False

    @property
    def says(self) -> str:
        """Say what it is."""
        return "a copy by its own PostgreSQL"

    @property
    def changed(self) -> Changed:
        """Return its name."""
        return {"NAME": self.name}

    def copy(self) -> tuple[Changed, Callable[[], None]]:
        """Copy it on the server. Raises NotRun where the server no longer does so."""
        copied, failed = copy_on_servers(self.overlay, {self.alias: self.name})
        if failed:
            raise NotRun(f"The database {self.alias} cannot be copied again ({failed[self.alias]}).")
        return {"NAME": copied[self.alias]}, lambda: self._drop(copied[self.alias])

    def remove(self) -> None:
        """Drop the master."""
        self._drop(self.name)

    def _drop(self, name: str) -> None:
        self.overlay.run("preparing", "copy", {"drop": {self.alias: [name]}})


@dataclass
class ClusterMaster:
    """A database in a throw-away server of ours, and a role with the same name that may do everything there.

    Migrations of projects make extensions, which not every role may.
    """

    cluster: postgres_cluster.Cluster
    why: str
    name: str = field(default_factory=lambda: f"lab_try_{secrets.token_hex(6)}")
    is_new: bool = True
    watching: psycopg.Connection | None = None

    @property
    def says(self) -> str:
        """Say what it is, and why."""
        return f"a throw-away PostgreSQL ({self.why})"

    @property
    def changed(self) -> Changed:
        """Return how to connect to it."""
        return self._changed(self.name)

    def _changed(self, name: str) -> Changed:
        where = {"HOST": HOST, "PORT": str(self.cluster.port)}
        return {**where, "NAME": name, "USER": self.name, "PASSWORD": self.cluster.password}

    def make(self) -> None:
        """Make the role and the empty database."""
        self._execute("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", self.name, sql.Literal(self.cluster.password))
        self._execute("CREATE DATABASE {} OWNER {}", self.name, self.name)

    def remove(self) -> None:
        """Remove both: the server may be used again."""
        if self.watching:
            self.watching.close()
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
        self._execute("DROP ROLE IF EXISTS {}", self.name)

    def connections(self) -> int:
        """Count the connections that the project has open."""
        if self.watching is None:
            self.watching = self.cluster.connect("postgres")
        row = self.watching.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (self.name,)).fetchone()
        return row[0] if row else 0

    def copy(self) -> tuple[Changed, Callable[[], None]]:
        """Copy it on our server."""
        name = f"{self.name}_{secrets.token_hex(3)}"
        self._execute("CREATE DATABASE {} TEMPLATE {} OWNER {}", name, self.name, self.name)
        return self._changed(name), lambda: self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, *words: str | sql.Literal) -> None:
        """Execute a statement with names, and with values where they are literals."""
        quoted = (sql.Identifier(word) if isinstance(word, str) else word for word in words)
        with self.cluster.connect("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*quoted))


@contextmanager
def thrown_away(why: str) -> Iterator[ClusterMaster]:
    """Run a PostgreSQL of ours with an empty database. Raises NotRun where this machine has none."""
    with postgres_cluster.serving(find_binaries(), CONNECTIONS, ()) as cluster:
        master = ClusterMaster(cluster, why)
        master.make()
        try:
            yield master
        finally:
            master.remove()


def find_binaries() -> Binaries:
    """Find a PostgreSQL on this machine: the system's, else that of a package. Raises NotRun without one."""
    try:
        return find_system()
    except NotRun:
        return find_wheel()
