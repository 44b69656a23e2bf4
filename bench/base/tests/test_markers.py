"""What is not ours stays: a name, a process id or a copied file that looks like ours does not make it ours."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bench.base import files
from bench.base.errors import UsageError
from bench.base.markers import is_abandoned
from bench.base.polling import eventually
from bench.cli import run
from bench.measure import orphaned_runs, processes
from bench.measure.database import postgres_cluster
from bench.measure.processes import WORK_MARKER, Process, work_folder
from bench.measure.tests.processes import abandon, lab
from bench.model import run_store
from bench.model.tests import runs

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which needs root")
NO_PID = 2**22 + 1  # above what Linux gives


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made and looked for."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def killed_work(temporary: Path) -> Path:
    """A work folder whose process was killed, with something in it."""
    folder = temporary / f"lab-{NO_PID}-server-x1"
    folder.mkdir()
    (folder / "server.log").write_text("a log")
    abandon(folder, WORK_MARKER)
    return folder


def test_a_folder_of_the_user_s_stays_whatever_its_name(temporary: Path) -> None:
    for name in ("lab-2031-field-notes", f"lab-{NO_PID}-load-abc", f"lab-{NO_PID}-server-"):
        (temporary / name).mkdir()
        (temporary / name / "notes.txt").write_text("precious")
    before = sorted(os.listdir(temporary))
    processes.remove_abandoned_folders()
    assert sorted(os.listdir(temporary)) == before


def test_work_goes_on_also_where_its_pid_is_nobody_s_here(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: NO_PID)  # as of a process in another container that shares the folder
    with work_folder("load") as folder:
        processes.remove_abandoned_folders()
        assert folder.exists()
    assert os.listdir(temporary) == []


def a_copy(folder: Path) -> Path:
    return shutil.copytree(folder, folder.with_name(f"lab-{NO_PID}-kept-for-later"))


def another_name(folder: Path) -> Path:
    return folder.rename(folder.with_name(f"lab-{NO_PID}-kept-x1"))


def a_changed_marker(folder: Path) -> Path:
    (folder / WORK_MARKER).write_text("made by somebody else\n")
    return folder


def a_linked_marker(folder: Path) -> Path:
    text = (folder / WORK_MARKER).rename(folder.parent / "text")
    (folder / WORK_MARKER).symlink_to(text)
    return folder


def a_pipe_for_a_marker(folder: Path) -> Path:
    (folder / WORK_MARKER).unlink()
    os.mkfifo(folder / WORK_MARKER)
    return folder


def somebody_else_s(folder: Path) -> Path:
    os.chown(folder, 65534, 65534)
    return folder


@pytest.mark.parametrize(
    "made",
    [
        a_copy,
        another_name,
        a_changed_marker,
        a_linked_marker,
        a_pipe_for_a_marker,
        pytest.param(somebody_else_s, marks=needs_root),
    ],
)
def test_what_only_looks_like_our_work_stays(made: Callable[[Path], Path], temporary: Path) -> None:
    kept = made(killed_work(temporary))
    processes.remove_abandoned_folders()
    assert (kept / "server.log").read_text() == "a log"


def test_a_marker_is_one_only_with_its_text(tmp_path: Path) -> None:
    """Between its making and its locking it is nobody's."""
    (tmp_path / "new").touch()
    assert not is_abandoned(tmp_path, "new")
    abandon(tmp_path, "left")
    assert is_abandoned(tmp_path, "left")


@contextmanager
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A program that is not ours, first of a group of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def test_who_was_given_the_pid_of_a_server_that_has_ended_is_not_stopped(tmp_path: Path) -> None:
    with stranger() as other, (tmp_path / "log").open("wb") as log:
        popen = subprocess.Popen(["true"], stdout=log, start_new_session=True)
        process = Process(["true"], popen, tmp_path / "log", [])
        popen.wait()
        popen.pid = other.pid
        assert process.family() == []
        process.stop(within_s=0)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.2)


def test_what_a_server_that_has_ended_left_in_its_group_is_stopped(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 60 & echo $!"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = Process(command, subprocess.Popen(command, stdout=output, start_new_session=True), log, [])
    process.popen.wait()
    left = psutil.Process(int(log.read_text()))
    process.stop()
    assert eventually(lambda: processes.has_ended(left), within_s=10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/sysvipc")
def test_shared_memory_that_only_has_the_number_of_ours_stays(tmp_path: Path) -> None:
    system = ctypes.CDLL(None)
    segment = system.shmget(0, 4096, 0o600)  # IPC_PRIVATE
    assert segment >= 0
    try:
        (tmp_path / "postmaster.pid").write_text("\n" * 6 + f"  12345  {segment}\n")
        postgres_cluster._remove_segment(tmp_path / "postmaster.pid")
        rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        assert str(segment) in {row.split()[1] for row in rows}
    finally:
        system.shmctl(segment, 0, None)


def dead_run(folder: Path) -> bytes:
    """A run whose `lab` was killed after its first trial."""
    return run_store.save_run(runs.run_of([runs.trial_of("async_asgi@uvicorn")], status="running"), folder).read_bytes()


def test_a_neighbour_of_the_run_keeps_a_file_that_is_named_as_our_marker(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / orphaned_runs.MARKER).write_text('{"pid": 1}')
    assert orphaned_runs.abort_orphaned_runs([tmp_path]) == []
    assert (tmp_path / "app" / orphaned_runs.MARKER).read_text() == '{"pid": 1}'


def test_a_run_elsewhere_that_a_link_in_results_leads_to_stays_as_it_is(tmp_path: Path) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    kept = [dead_run(elsewhere / "whole"), dead_run(elsewhere / "file")]
    abandon(elsewhere / "whole", orphaned_runs.MARKER)
    (results / "file").mkdir(parents=True)
    (results / "whole").symlink_to(elsewhere / "whole")
    (results / "file" / "run.json").symlink_to(elsewhere / "file" / "run.json")
    assert orphaned_runs.abort_orphaned_runs([results]) == []
    assert [(elsewhere / name / "run.json").read_bytes() for name in ("whole", "file")] == kept
    assert (elsewhere / "whole" / orphaned_runs.MARKER).exists()
    assert (results / "file" / "run.json").is_symlink()


@needs_root
def test_a_dead_run_of_another_user_stays_as_it_is(tmp_path: Path) -> None:
    content = dead_run(tmp_path / "theirs")
    os.chown(tmp_path / "theirs" / "run.json", 65534, 65534)
    assert orphaned_runs.abort_orphaned_runs([tmp_path]) == []
    assert (tmp_path / "theirs" / "run.json").read_bytes() == content


@pytest.mark.parametrize("what", ["a folder", "a file", "a link elsewhere"])
def test_latest_that_is_the_user_s_stays_and_is_told(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = tmp_path / "latest"
    if what == "a folder":
        latest.mkdir()
    elif what == "a file":
        latest.write_text("precious")
    else:
        latest.symlink_to("../elsewhere")
    before = latest.lstat()
    (tmp_path / "run").mkdir()
    run.point_latest_at(tmp_path / "run")
    assert (latest.lstat().st_ino, latest.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert sorted(os.listdir(tmp_path)) == ["latest", "run"]
    said = capsys.readouterr().err
    assert said == (
        f"{latest} does not lead to this run (there is something else of that name): `lab report run` shows it.\n"
    )


def test_latest_leads_to_the_newest_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".latest").write_text("precious")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run.point_latest_at(tmp_path / name)
        assert (tmp_path / "latest").resolve() == (tmp_path / name).resolve()
    assert sorted(os.listdir(tmp_path)) == [".latest", "first", "latest", "second"]
    assert capsys.readouterr().err == ""


def test_a_picture_is_not_written_over_a_file_of_another_kind(tmp_path: Path) -> None:
    mine = tmp_path / "manage.py"
    mine.write_text("import django\n")
    done = lab("trace", "bare_asgi@uvicorn", "hello", "--svg", str(mine))
    assert (done.returncode, mine.read_text()) == (2, "import django\n")
    assert f"lab: {mine} exists and holds something else: name another file." in done.stderr.splitlines()


def test_a_named_file_is_replaced_where_it_holds_the_same_kind_of_thing(tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    files.require_replaceable(picture, b"<svg role='img'>")
    picture.touch()
    files.require_replaceable(picture, b"<svg role='img'>")
    picture.write_bytes(b"<svg role='img'>an older one")
    files.require_replaceable(picture, b"<svg role='img'>")
    picture.write_bytes(b"a letter")
    with pytest.raises(UsageError, match="holds something else"):
        files.require_replaceable(picture, b"<svg role='img'>")
