"""The database that the labs ask: the one LAB_DATABASE_URL names, else a throw-away PostgreSQL, else SQLite."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
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
from bench.measure.database.postgres_binaries import WHEEL, Binaries, of_system, of_wheel
from bench.measure.processes import Process, start, work_folder
from bench.model.redaction import HIDDEN, VARIABLE, hidden, hidden_here
from labs.common.addresses import is_quoted

Kind = Literal["given", "system", "wheel", "sqlite"]
PLENTY = 1000
ASKED_WITHIN_S = 20.0
OF_OURS_WITHIN_S = 2 * (
    postgres_cluster.MADE_WITHIN_S + postgres_cluster.READY_WITHIN_S + postgres_cluster.ANSWER_WITHIN_S
)
"""Until one is there: made and filled, started and started again."""
COINS_EACH = 1000  # as labs/common/shop/models.py, which only Django can read
SQLITE = f"SQLite {sqlite3.sqlite_version}"
REMEDY = f"run `./scripts/system-packages` or `python -m pip install {WHEEL}`"
UNDERSTOOD = "postgresql://USER:PASSWORD@HOST:PORT/NAME or sqlite:///FILE, with special characters quoted (%40 for @)"
COINS = "SELECT coalesce(sum(coins), 0) FROM shop_account"
PAYMENTS = "SELECT coalesce(sum(received), 0) FROM shop_account"
RESTORE = f"UPDATE shop_account SET coins = {COINS_EACH} WHERE coins <> {COINS_EACH}"
# Autovacuum is off, and dead rows of the trial before would slow the next.
CLEAN = "VACUUM (ANALYZE) shop_account, shop_note, shop_product"
CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True)
class Source:
    """Where a database would come from; nothing is started. `remedy` is the command that gets a PostgreSQL."""

    kind: Kind
    says: str
    remedy: str = ""
    binaries: Binaries | None = None


def source() -> Source:
    """The best there is; UsageError where LAB_DATABASE_URL is not understood."""
    if given_url():
        _understood(given_url())
        return Source("given", f"the one {VARIABLE} names")
    missing = []
    kinds: tuple[tuple[Kind, str, Callable[[], Binaries]], ...] = (
        ("system", "the system's initdb", of_system),
        ("wheel", f"the initdb of the package {WHEEL}", of_wheel),
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


def _understood(url: str) -> dict[str, Any]:
    """The entry of DATABASES that the labs would make of it; UsageError, without the URL, where that fails."""
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
    """One that runs, with its tables made and filled. `vendor` is its name and version."""

    vendor: str
    kind: Kind
    _url: str = field(repr=False)
    _enter: Callable[[], psycopg.Connection] | None = field(default=None, repr=False)
    _cluster: postgres_cluster.Cluster | None = field(default=None, repr=False)
    _ours: psycopg.Connection | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a lab is told."""
        return {VARIABLE: self._url}

    def connections(self) -> int | None:
        """How many are open at the server by others than us: 0 while it is stopped, None for SQLite.

        On a server that is not ours an ordinary user sees those of its own name, as which the labs come too.
        """
        if self._enter is None:
            return None
        return self._ask(CONNECTIONS) if self.is_running else 0

    def coins(self) -> int:
        """On all accounts together."""
        return self._sum(COINS)

    def payments(self) -> int:
        """How many have arrived, ever."""
        return self._sum(PAYMENTS)

    def _sum(self, question: str) -> int:
        if self._enter:
            return self._ask(question)
        with closing(_sqlite(self._url)) as connection:
            return int(connection.execute(question).fetchone()[0])

    @property
    def is_running(self) -> bool:
        """False between `stop` and `start`; of a server that is not ours we know nothing."""
        return self._cluster is None or self._cluster.process is not None

    def family(self) -> list[psutil.Process]:
        """The server and its processes, where it is ours."""
        return self._cluster.process.family() if self._cluster and self._cluster.process else []

    def stop(self) -> None:
        """An outage: every client is cut off, and nobody listens until `start`."""
        cluster = self._require_ours()
        self.leave()
        cluster.stop()

    def start(self) -> None:
        """The end of an outage: the same address, the same data."""
        cluster = self._require_ours()
        if not self.is_running:
            cluster.start()

    def hide(self, text: str) -> str:
        """The text without the user and the password of the URL; the user of a throw-away one is no secret."""
        if self._cluster:
            return text.replace(self._cluster.password, HIDDEN)
        return hidden(text, self._url)

    def leave(self) -> None:
        """Close our own connection; the next question opens another."""
        if self._ours:
            self._ours.close()
            self._ours = None

    def restore(self) -> None:
        """Every account has its coins again, whatever an experiment did to them."""
        if self._enter is None:
            with closing(_sqlite(self._url)) as connection, connection:
                connection.execute(RESTORE)
            return
        self._say(RESTORE)
        if self._cluster:
            self._say(CLEAN)

    def _require_ours(self) -> postgres_cluster.Cluster:
        if self._cluster is None:
            raise NotRun(f"{self.vendor} is not a server of ours to stop: {_how_to_get_ours(self.kind)}.")
        return self._cluster

    def _ask(self, question: str) -> int:
        row = self._say(question).fetchone()
        return int(row[0]) if row else 0

    def _say(self, words: str) -> psycopg.Cursor:
        """On a connection that stays open, because to open one costs the server a process; NotRun where it fails."""
        assert self._enter
        try:
            if self._ours is None or self._ours.closed:
                self._ours = self._enter()
            with cut_after(self._ours.fileno(), ASKED_WITHIN_S):
                return self._ours.execute(words.encode())
        except psycopg.Error as error:
            raise NotRun(f"The database did not answer: {self.hide(_first_line(error))}.") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _how_to_get_ours(kind: Kind) -> str:
    return f"unset {VARIABLE}" if kind == "given" else REMEDY


@contextmanager
def serving_database(*, max_connections: int | None = None, cpus: Sequence[int] = ()) -> Iterator[Database]:
    """A database on its cores, its tables filled. Of `max_connections` all are for the labs; ours is not counted.

    Raises NotRun where it does not start or answer, or where a number of connections is asked of one not ours.
    """
    found = source()
    if found.binaries:
        with _serving_ours(found, max_connections or PLENTY, cpus) as database:
            yield database
    elif max_connections is not None:
        raise NotRun(
            f"A limit of {max_connections} connections needs a PostgreSQL of ours, and the database is {found.says}"
            f": {_how_to_get_ours(found.kind)}."
        )
    elif found.kind == "given":
        with _serving_given() as database:
            yield database
    else:
        with work_folder("database") as folder:
            yield _in_a_file(folder)


@contextmanager
def _serving_ours(found: Source, connections: int, cpus: Sequence[int]) -> Iterator[Database]:
    assert found.binaries
    with postgres_cluster.serving(found.binaries, connections, cpus) as cluster:
        if not cluster.is_filled:
            _fill(cluster.url)
            cluster.is_filled = True
        database = Database(f"PostgreSQL {found.binaries.version}", found.kind, cluster.url, cluster.connect, cluster)
        try:
            database.restore()
            yield database
        finally:
            database.leave()


@contextmanager
def _serving_given() -> Iterator[Database]:
    database = given()
    try:
        _fill_once(database.environment[VARIABLE])
        database.restore()
        yield database
    finally:
        database.leave()


def given() -> Database:
    """The one that LAB_DATABASE_URL names, as it is; NotRun, without credentials, where it does not answer."""
    entry = _understood(given_url())
    if "sqlite" in entry["ENGINE"]:
        return Database(SQLITE, "given", _address_of(Path(entry["NAME"]).absolute()))
    try:
        with closing(_enter_given(entry)) as connection:
            version = str(connection.info.parameter_status("server_version")).split()[0]
    except psycopg.Error as error:
        reason = hidden_here(_first_line(error))
        raise NotRun(
            f"The database that {VARIABLE} names does not answer: {reason}. Start it, or unset the variable."
        ) from None
    return Database(f"PostgreSQL {version}", "given", given_url(), lambda: _enter_given(entry))


def _enter_given(entry: dict[str, Any]) -> psycopg.Connection:
    """As Django would, with those of its options that are the driver's."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    options = {name: value for name, value in entry.get("OPTIONS", {}).items() if name in known}
    where = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    named = {name: entry[key] for name, key in where.items() if entry[key]}
    limit: dict[str, Any] = {"connect_timeout": postgres_cluster.ANSWER_WITHIN_S}
    return psycopg.connect(**{**limit, **named, **options}, autocommit=True)


@cache
def _fill_once(url: str) -> None:
    """Per process and database that is not ours: what is there already stays."""
    _fill(url)


def _fill(url: str) -> None:
    """What the labs have for it, in a process of its own; NotRun with the end of its log."""
    command = ["python", "-m", "labs.common.shop.prepare"]
    with work_folder("prepare") as folder:
        log = folder / "prepare.log"
        popen = start(command, environment={VARIABLE: url}, cpus=(), log=log)
        try:
            postgres_cluster.finish(Process(command, popen, log, []), "Making the tables")
        except NotRun as error:
            raise NotRun(hidden(str(error), url)) from None


def _in_a_file(folder: Path) -> Database:
    """A copy of one that was filled before, so that each starts alike."""
    file = folder / "db.sqlite3"
    shutil.copyfile(_filled_file(), file)
    return Database(SQLITE, "sqlite", _address_of(file))


@cache
def _filled_file() -> Path:
    folder = postgres_cluster.at_exit.enter_context(work_folder("database"))
    _fill(_address_of(folder / "db.sqlite3"))
    return folder / "db.sqlite3"


def _address_of(file: Path) -> str:
    """Absolute, because a lab and we need not be in the same folder."""
    return f"sqlite:///{quote(str(file))}"


def _sqlite(url: str) -> sqlite3.Connection:
    return sqlite3.connect(str(dj_database_url.parse(url)["NAME"]), timeout=20)
