"""The database of the labs: the one that LAB_DATABASE_URL names, else a throw-away PostgreSQL, else SQLite."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import dj_database_url
import psutil
import psycopg

from bench.base.bounded_http import cut_after
from bench.base.errors import NotRun, UsageError
from bench.measure.database import postgres_cluster
from bench.measure.database.postgres_binaries import WHEEL, Binaries, find_system, find_wheel
from bench.measure.processes import Process, work_folder
from bench.model.redaction import HIDDEN, VARIABLE, hide_credentials, hide_own_credentials
from labs.common.addresses import is_quoted

Kind = Literal["given", "system", "wheel", "sqlite"]
PLENTY = 1000
ASKED_WITHIN_S = 20.0
OF_OURS_WITHIN_S = 2 * (
    postgres_cluster.MADE_WITHIN_S + postgres_cluster.READY_WITHIN_S + postgres_cluster.ANSWER_WITHIN_S
)
"""Seconds until one is there: made and filled, started and started again."""
COINS_EACH = 1000  # as labs/common/shop/models.py, which only Django can read
SQLITE = f"SQLite {sqlite3.sqlite_version}"
REMEDY = f"run `./scripts/system-packages` or `python -m pip install {WHEEL}`"
UNDERSTOOD = "postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:///FILE, with special characters quoted (%40 for @)"
COINS = "SELECT coalesce(sum(coins), 0) FROM shop_account"
PREPARE = ("python", "-m", "labs.common.shop.prepare")
PAYMENTS = "SELECT coalesce(sum(received), 0) FROM shop_account"
RESTORE = f"UPDATE shop_account SET coins = {COINS_EACH} WHERE coins <> {COINS_EACH}"
# Autovacuum is off, and dead rows of the trial before would slow the next.
CLEAN = "VACUUM (ANALYZE) shop_account, shop_note, shop_product"
CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    f" AND datname = current_database() AND application_name <> '{postgres_cluster.OUR_NAME}'"
)


@dataclass(frozen=True)
class Source:
    """Where a database would come from; nothing runs yet. `remedy` is the command that gets a PostgreSQL."""

    kind: Kind
    says: str
    remedy: str = ""
    binaries: Binaries | None = None


def source() -> Source:
    """Find the best database there is. Raises UsageError if LAB_DATABASE_URL is not understood."""
    if given_url():
        _parse(given_url())
        return Source("given", f"the one {VARIABLE} names")
    missing = []
    kinds: tuple[tuple[Kind, str, Callable[[], Binaries]], ...] = (
        ("system", "the system's initdb", find_system),
        ("wheel", f"the initdb of the package {WHEEL}", find_wheel),
    )
    for kind, whose, find in kinds:
        try:
            found = find()
        except NotRun as error:
            missing.append(str(error))
        else:
            says = f"PostgreSQL {found.version}, a throw-away one by {whose}, which does not wait for the disk"
            return Source(kind, says, binaries=found)
    why = " ".join(dict.fromkeys(missing))
    return Source("sqlite", f"{SQLITE}: one write at a time, and no connections to count. {why}", REMEDY)


def given_url() -> str:
    """Return LAB_DATABASE_URL, empty where it is not set."""
    return os.environ.get(VARIABLE, "")


def _parse(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES that the labs would make. Raises UsageError, without the URL, if it is wrong."""
    with suppress(ValueError):
        entry = dict(dj_database_url.parse(url))
        engine, name = str(entry["ENGINE"]), str(entry["NAME"])
        if engine == "django.db.backends.postgresql" and name and is_quoted(url):
            return entry
        if engine == "django.db.backends.sqlite3" and name != ":memory:":
            return entry
    raise UsageError(f"{VARIABLE} is not understood: it must read {UNDERSTOOD}.")


@dataclass
class Database:
    """A database that runs, with its tables made and filled. `vendor` is its name and version."""

    vendor: str
    kind: Kind
    _url: str = field(repr=False)
    _enter: Callable[[], psycopg.Connection] | None = field(default=None, repr=False)
    _cluster: postgres_cluster.Cluster | None = field(default=None, repr=False)
    _ours: psycopg.Connection | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variable by which a lab finds it."""
        return {VARIABLE: self._url}

    @property
    def is_postgres(self) -> bool:
        """Return whether it is a server, and no file of SQLite."""
        return self._enter is not None

    def connections(self) -> int | None:
        """Count the connections of others than us: 0 while the server is stopped, None for SQLite.

        On a server that is not ours an ordinary user sees those of its own name, which the labs have too.
        """
        if self._enter is None:
            return None
        is_stopped = self._cluster is not None and self._cluster.process is None
        return 0 if is_stopped else self._execute(CONNECTIONS)

    def coins(self) -> int:
        """Add up the coins of all accounts."""
        return self._execute(COINS)

    def payments(self) -> int:
        """Count all payments that have ever arrived."""
        return self._execute(PAYMENTS)

    def family(self) -> list[psutil.Process]:
        """Return the server's processes if it is ours."""
        return self._cluster.process.family() if self._cluster and self._cluster.process else []

    def stop(self) -> None:
        """Begin an outage: every client is cut off, and nothing listens until `start`."""
        cluster = self._require_ours()
        self.leave()
        cluster.stop()

    def start(self) -> None:
        """End an outage: the same address, the same data."""
        self._require_ours().start()

    def hide(self, text: str) -> str:
        """Return the text without the URL's user and password; the user of a throw-away one is no secret."""
        if self._cluster:
            return text.replace(self._cluster.password, HIDDEN)
        return hide_credentials(text, self._url)

    def leave(self) -> None:
        """Close our own connection; the next question opens another."""
        if self._ours:
            self._ours.close()
            self._ours = None

    def restore(self) -> None:
        """Give every account its coins again, whatever an experiment did to them."""
        self._execute(RESTORE)
        if self._cluster:
            self._execute(CLEAN)

    def _require_ours(self) -> postgres_cluster.Cluster:
        if self._cluster is None:
            raise NotRun(f"{self.vendor} is not a server of ours to stop: {_how_to_get_ours(self.kind)}.")
        return self._cluster

    def _execute(self, statement: str) -> int:
        """Execute one statement and return the number that it yields, 0 if it yields none. Raises NotRun if it fails.

        The connection to a server stays open, because to open one costs the server a process.
        """
        if self._enter is None:
            with closing(_sqlite(self._url)) as connection, connection:
                return _number_of(connection.execute(statement))
        try:
            if self._ours is None or self._ours.closed:
                self._ours = self._enter()
            with cut_after(self._ours.fileno(), ASKED_WITHIN_S):
                return _number_of(self._ours.execute(statement.encode()))
        except psycopg.Error as error:
            raise NotRun(f"The database did not answer: {self.hide(_first_line(error))}.") from None


def _number_of(cursor: psycopg.Cursor | sqlite3.Cursor) -> int:
    row = cursor.fetchone() if cursor.description else None
    return int(row[0]) if row else 0


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _how_to_get_ours(kind: Kind) -> str:
    return f"unset {VARIABLE}" if kind == "given" else REMEDY


@contextmanager
def serving_database(*, max_connections: int | None = None, cpus: Sequence[int] = ()) -> Iterator[Database]:
    """Run a database on its cores, its tables filled. All `max_connections` are for the labs; ours is not counted.

    Raises NotRun if it does not start or answer, or if a given database should limit its connections.
    """
    found = source()
    if max_connections is not None and not found.binaries:
        raise NotRun(
            f"A limit of {max_connections} connections needs a PostgreSQL of ours, and the database is {found.says}"
            f": {_how_to_get_ours(found.kind)}."
        )
    with ExitStack() as running:
        if found.binaries:
            serving = postgres_cluster.serving(found.binaries, max_connections or PLENTY, cpus)
            database = _in_cluster(running.enter_context(serving), found.kind)
        elif found.kind == "given":
            database = open_given()
            _fill_once(database.environment[VARIABLE])
        else:
            database = _in_a_file(running.enter_context(work_folder("database")))
        running.callback(database.leave)
        database.restore()
        yield database


def _in_cluster(cluster: postgres_cluster.Cluster, kind: Kind) -> Database:
    if not cluster.is_filled:
        _fill(cluster.url)
        cluster.is_filled = True
    return Database(f"PostgreSQL {cluster.binaries.version}", kind, cluster.url, cluster.connect, cluster)


def open_given() -> Database:
    """Connect to the one that LAB_DATABASE_URL names, as it is. Raises NotRun, without credentials, if it is silent."""
    entry = _parse(given_url())
    if "sqlite" in entry["ENGINE"]:
        return Database(SQLITE, "given", _url_of(Path(entry["NAME"]).absolute()))
    try:
        with closing(_enter_given(entry)) as connection:
            version = str(connection.info.parameter_status("server_version")).split()[0]
    except psycopg.Error as error:
        reason = hide_own_credentials(_first_line(error))
        raise NotRun(
            f"The database that {VARIABLE} names does not answer: {reason}. Start it, or unset the variable."
        ) from None
    return Database(f"PostgreSQL {version}", "given", given_url(), lambda: _enter_given(entry))


def _enter_given(entry: dict[str, Any]) -> psycopg.Connection:
    """Connect as Django would, with those of its options that are the driver's."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    options = {name: value for name, value in entry.get("OPTIONS", {}).items() if name in known}
    where = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    named: dict[str, Any] = {name: entry[key] for name, key in where.items() if entry[key]}
    limit = {"connect_timeout": postgres_cluster.ANSWER_WITHIN_S}
    ours = {"application_name": postgres_cluster.OUR_NAME}
    return psycopg.connect(**limit | named | options | ours, autocommit=True)


def _fill(url: str) -> None:
    """Make the labs' tables and rows, by a process of its own. Raises NotRun with the end of its log."""
    with work_folder("prepare") as folder:
        process = Process.start(PREPARE, environment={VARIABLE: url}, log=folder / "prepare.log")
        try:
            postgres_cluster.finish(process, "Making the tables")
        except NotRun as error:
            raise NotRun(hide_credentials(str(error), url)) from None


_fill_once = cache(_fill)  # per process and database that is not ours: what is there already stays


def _in_a_file(folder: Path) -> Database:
    """Copy one that was filled before, so that each starts alike."""
    return Database(SQLITE, "sqlite", _url_of(shutil.copy(_filled_file(), folder)))


@cache
def _filled_file() -> Path:
    file = postgres_cluster.at_exit.enter_context(work_folder("database")) / "db.sqlite3"
    _fill(_url_of(file))
    return file


def _url_of(file: Path | str) -> str:
    """Return the URL of an absolute path: a lab and we need not be in the same folder."""
    return f"sqlite:///{quote(str(file))}"


def _sqlite(url: str) -> sqlite3.Connection:
    return sqlite3.connect(str(dj_database_url.parse(url)["NAME"]), timeout=20)
