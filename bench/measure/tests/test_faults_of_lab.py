"""What befalls `lab run` as a whole: interruptions, a kill, a full disk, a stepped clock (bench/cli/faults.py).

What befalls a single trial is in `test_faults.py`.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from bench.base import files
from bench.base.errors import DamagedRun, SecondInterrupt, UsageError
from bench.base.polling import eventually
from bench.base.signals import interruptible
from bench.cli import run
from bench.measure import orphaned_runs
from bench.measure.tests.processes import abandon, assert_nothing_is_left, end, lab, running
from bench.measure.tests.windows import NEEDS_WRK, codes_of, events_of, longest_s, valid_run
from bench.model import run_store
from bench.model.tests import runs
from labs.tests.ask import run_python

CLOSED = ("--users", "10")
OPEN = ("--rate", "50")
THREE = "bare_asgi@uvicorn,async_asgi@uvicorn,sync_wsgi@gthread:8"
LOADS = pytest.mark.parametrize("load", [CLOSED, OPEN], ids=["closed", "open"])
INTERRUPTED_FOLDER = """
import tempfile
from bench.measure.processes import work_folder
make = tempfile.mkdtemp
def interrupted(*arguments, **options):
    {first}
    raise KeyboardInterrupt
tempfile.{name} = interrupted
with work_folder("load"):
    pass
"""
STEPPED_CLOCK = """
import os, subprocess, time
real, flag = time.time, os.environ["CLOCK_IS_STEPPED_WHEN"]
time.time = lambda: real() + 3600 * os.path.exists(flag)

class Popen(subprocess.Popen):  # `lab` clears the way to this file for what it measures
    def __init__(self, *words, env=None, **more):
        super().__init__(*words, env=env and {**env, "PYTHONPATH": os.path.dirname(__file__)}, **more)

subprocess.Popen = Popen
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of what is started go, so that one sees whether any stays; and no run of the user's."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("LAB_RESULTS_DIR", str(tmp_path / "local"))
    return folder


def first_look(folder: Path, *load: str, stacks: str = THREE, duration_s: float = 0.5) -> tuple[str, ...]:
    """The command of a run in random order with one workload."""
    wishes = ("--stack", stacks, "--workload", "wait?ms=20", "--duration", str(duration_s), "--seed", "1")
    return (sys.executable, "-m", "bench", "run", "first_look", *wishes, *(load or CLOSED), "--out", str(folder))


def trials_kept(folder: Path) -> int:
    try:
        return len(run_store.load_run(folder).trials)
    except (UsageError, DamagedRun):
        return 0


def wait_for_a_trial(folder: Path, process: "subprocess.Popen[str]") -> None:
    assert eventually(lambda: trials_kept(folder) or process.poll() is not None, within_s=40)
    assert process.poll() is None, process.communicate()


def wait_for_a_window(temporary: Path, into_s: float) -> None:
    """Until a trial is so far into its window; one that is further already is not waited for."""
    waits_s: list[float] = []

    def is_ahead() -> bool:
        for path in temporary.glob("lab-*-load-*/window.json"):
            with suppress(FileNotFoundError):  # its trial has ended
                start_s = float(re.findall(r"[\d.]+", path.read_text())[0])
                waits_s.append(start_s + into_s - time.monotonic())
        return any(wait_s > 0 for wait_s in waits_s)

    assert eventually(is_ahead, within_s=40)
    time.sleep(max(waits_s))


def sentence_of(stderr: str) -> str:
    """What `lab` says at its end: one sentence of its own, on one line, and no traceback."""
    assert "Traceback" not in stderr
    said = [line for line in stderr.splitlines() if line.startswith("lab: ")]
    assert len(said) == 1, stderr
    return said[0]


@pytest.mark.parametrize(
    ("how", "load"),
    [
        pytest.param(signal.SIGINT, CLOSED, id="Ctrl-C in a closed loop"),
        pytest.param(signal.SIGTERM, OPEN, id="SIGTERM in an open loop"),
        pytest.param(signal.SIGINT, (*CLOSED, "--engine", "wrk"), id="Ctrl-C with wrk", marks=NEEDS_WRK),
    ],
)
def test_an_interrupted_run_keeps_what_was_measured_and_counts_of_the_rest(
    how: signal.Signals, load: tuple[str, ...], mark: str, tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "run"
    with running(*first_look(folder, *load, duration_s=2.0)) as process:
        wait_for_a_trial(folder, process)
        wait_for_a_window(temporary, into_s=0.5)
        status, out, err = end(process, how)
    run = run_store.load_run(folder)
    *before, last = run.trials
    assert status == 130, err
    assert "Traceback" not in err
    assert (run.status, last.verdict, last.reasons[0].code) == ("aborted", "aborted", "interrupted")
    assert 1 <= len(before) < run.plan.trials
    assert all(trial.is_measured for trial in before), before
    assert 0 < last.completed <= last.carried_in + last.issued
    assert 0 < last.duration_s < 2.0
    assert last.throughput_per_s is last.latency_us is None
    assert (folder / "report.html").stat().st_size > 0
    assert run.trials[0].stack in out
    assert not (folder / orphaned_runs.MARKER).exists()
    assert_nothing_is_left(mark)
    assert os.listdir(temporary) == []


def test_a_run_that_is_interrupted_between_two_trials_is_aborted_too(
    mark: str, tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "run"
    with running(*first_look(folder)) as process:
        wait_for_a_trial(folder, process)
        status, _, err = end(process, signal.SIGINT)
    run = run_store.load_run(folder)
    assert (status, run.status, run.trials[-1].verdict) == (130, "aborted", "aborted"), err
    assert_nothing_is_left(mark)
    assert os.listdir(temporary) == []


@pytest.mark.parametrize(
    ("name", "first"),
    [("mkdtemp", "make(*arguments, **options)"), ("TemporaryDirectory._rmtree", "")],
    ids=["made", "removed"],
)
def test_a_folder_is_removed_also_where_a_signal_comes_while_it_is_made_or_removed(
    name: str, first: str, temporary: Path
) -> None:
    done = run_python("-c", INTERRUPTED_FOLDER.format(name=name, first=first))
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert os.listdir(temporary) == []


@pytest.mark.alone
@LOADS
def test_ctrl_c_twice_ends_at_once(load: tuple[str, ...], mark: str, tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "run"
    with running(*first_look(folder, *load, duration_s=20.0)) as process:
        wait_for_a_window(temporary, into_s=0.3)
        for child in psutil.Process(process.pid).children(recursive=True):
            child.suspend()  # so that `lab` waits for what the load is to hand in
        process.send_signal(signal.SIGINT)
        assert eventually(lambda: list(temporary.glob("lab-*-load-*/stop")), within_s=20)
        status, _, err = end(process, signal.SIGINT)
    assert (status, sentence_of(err)) == (130, "lab: interrupted.")
    run = run_store.load_run(folder)
    assert (run.status, [trial.verdict for trial in run.trials]) == ("aborted", ["aborted"])
    assert not (folder / "report.html").exists()
    assert_nothing_is_left(mark)
    assert os.listdir(temporary) == []


def test_a_third_signal_is_not_heard() -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SecondInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) >= {signal.SIGINT, signal.SIGTERM}


def test_a_lab_that_is_stopped_over_the_windows_end_says_so_and_does_not_call_a_busy_server_idle(
    mark: str, tmp_path: Path, temporary: Path
) -> None:
    burn_s = 0.005
    wishes = ("--stack", "sync_wsgi@gthread:1", "--workload", "burn?ms=5", "--users", "3", "--duration", "3")

    def made_in(folder: Path) -> int:
        command = (sys.executable, "-m", "bench", "run", "first_look", *wishes, "--repeats", "1", "--out", str(folder))
        with running(*command) as process:
            wait_for_a_window(temporary, into_s=2.0)  # so that a busy machine may hold it up too, before it is half
            process.send_signal(signal.SIGSTOP)
            time.sleep(3.0)
            status, _, _ = end(process, signal.SIGCONT)
        return status

    def is_as_made(folder: Path) -> bool:
        (trial,) = run_store.load_run(folder).trials
        return bool(events_of(trial, "lab-gap")) and longest_s(trial, "server-gap") <= 0.5

    (trial,) = run_store.load_run(valid_run(tmp_path, made_in, is_as_made)).trials
    gap = max(events_of(trial, "lab-gap"), key=lambda event: event.for_s)
    assert (trial.verdict, "lab-gap" in codes_of(trial)) == ("degraded", True)
    assert gap.at_s + gap.for_s == pytest.approx(3.0)
    assert longest_s(trial, "server-gap") <= 0.5
    assert trial.throughput_per_s
    assert trial.server
    assert trial.server.cpu_share > 0.7 * trial.throughput_per_s * burn_s  # each answer takes as much
    assert trial.cpu_us_per_request > 0.7e6 * burn_s  # type: ignore[operator]
    assert_nothing_is_left(mark)


@pytest.mark.parametrize(
    ("stack", "wishes"),
    [
        ("sync_wsgi@gthread:4x2", ("--workload", "fan_out?n=2&ms=20", *CLOSED, "--load-processes", "2")),
        ("async_asgi@uvicorn:x2", ("--workload", "wait?ms=20", *OPEN)),
    ],
    ids=["gunicorn, upstream and two closed loops", "uvicorn with workers and an open loop"],
)
def test_when_lab_is_killed_its_processes_end_and_the_next_start_says_so(
    stack: str, wishes: tuple[str, ...], mark: str, tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "killed"
    command = (sys.executable, "-m", "bench", "run", "first_look", "--stack", stack, *wishes)
    with running(*command, "--duration", "1", "--repeats", "9", "--out", str(folder)) as process:
        wait_for_a_trial(folder, process)
        wait_for_a_window(temporary, into_s=0.1)
        status, _, _ = end(process, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert_nothing_is_left(mark)
    kept = trials_kept(folder)
    assert run_store.load_run(folder).status == "running"
    assert os.listdir(temporary)
    done = not_run(tmp_path / "next")
    said = f"{folder} was not finished: {kept} of 9 trials are kept, `lab report {folder}` shows them."
    assert said in done.stderr.splitlines()
    assert (run_store.load_run(folder).status, trials_kept(folder)) == ("aborted", kept)
    assert sorted(os.listdir(folder)) == (["requests", "run.json"] if "--rate" in wishes else ["run.json"])
    assert os.listdir(temporary) == []


def not_run(folder: Path) -> "subprocess.CompletedProcess[str]":
    """A run with fewer file descriptors than its users need."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    command = first_look(folder, "--users", "400", stacks="bare_asgi@uvicorn")
    return subprocess.run(
        [*command, "--repeats", "1"], cwd=files.ROOT, preexec_fn=few_files, capture_output=True, text=True, timeout=60
    )


def test_too_few_file_descriptors_are_found_before_the_start(mark: str, tmp_path: Path, temporary: Path) -> None:
    done = not_run(tmp_path / "run")
    (trial,) = run_store.load_run(tmp_path / "run").trials
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert (trial.verdict, trial.commands) == ("not-run", {})
    assert trial.reasons[0].message == (
        "400 users need 500 file descriptors in a process, 256 are allowed: "
        "run `ulimit -n 500` before, or ask for fewer users."
    )
    assert trial.reasons[0].message in " ".join(done.stderr.split())
    assert_nothing_is_left(mark)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 1 MB at the folder, where mounting is permitted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        refused = subprocess.run(mount, capture_output=True, text=True).stderr.strip()
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no file system can be mounted here: {refused}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room in the folder's file system."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


def test_a_full_disk_ends_the_run_in_one_sentence_and_keeps_what_is_there(
    mark: str, tmp_path: Path, temporary: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk):
        earlier = run_store.save_run(runs.run_of([runs.trial_of("async_asgi@uvicorn")]), disk / "earlier").read_bytes()
        with running(*first_look(disk / "run", *OPEN)) as process:
            wait_for_a_trial(disk / "run", process)
            filler = fill(disk)
            _, err = process.communicate(timeout=60)
        kept = trials_kept(disk / "run")
        assert process.returncode == 1
        assert f"Trial {kept + 1} of 9 and those after it could not be kept (No space left on device: {disk}/run" in (
            sentence := sentence_of(err)
        )
        assert f"`lab report {disk}/run` shows the {kept} before it, make room there and run again." in sentence
        assert_nothing_is_left(mark)
        assert os.listdir(temporary) == []
        assert (disk / "earlier" / "run.json").read_bytes() == earlier
        full = lab("report", str(disk / "run"))
        assert (full.returncode, sentence_of(full.stderr).count("could not be written")) == (1, 1)
        assert run_store.load_run(disk / "run").trials[0].stack in full.stdout
        filler.unlink()
        assert lab("report", str(disk / "run")).returncode == 0
    assert kept >= 1


def test_a_file_that_may_not_grow_ends_the_run_in_one_sentence(mark: str, tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "run"
    with running(*first_look(folder)) as process:
        wait_for_a_trial(folder, process)
        size = (folder / "run.json").stat().st_size
        psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, (size, size))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"Trial [2-9] of 9 and those after it could not be kept \(File too large: .*run", sentence_of(err))
    assert trials_kept(folder) >= 1
    assert_nothing_is_left(mark)
    assert os.listdir(temporary) == []


def test_a_wall_clock_that_steps_by_an_hour_changes_no_number(
    mark: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, flag = tmp_path / "site", tmp_path / "stepped"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STEPPED_CLOCK)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("CLOCK_IS_STEPPED_WHEN", str(flag))

    def made_in(folder: Path) -> int:
        flag.unlink(missing_ok=True)
        command = first_look(folder, stacks="async_asgi@uvicorn", duration_s=1.5)
        with running(*command, "--repeats", "1", "--load-processes", "2") as process:
            wait_for_a_window(temporary, into_s=0.6)
            flag.touch()
            process.communicate(timeout=60)
        return process.returncode

    def is_as_made(folder: Path) -> bool:
        (trial,) = run_store.load_run(folder).trials
        return bool(events_of(trial, "clock-stepped")) and longest_s(trial, "server-gap") <= 0.5

    run = run_store.load_run(valid_run(tmp_path, made_in, is_as_made))
    (trial,) = run.trials
    (step,) = events_of(trial, "clock-stepped")
    assert step.message.startswith("The wall clock moved by 3,600 s; no number uses it.")
    assert trial.is_measured
    assert not {"clock-stepped", "accounting"} & set(codes_of(trial))
    assert longest_s(trial, "server-gap") <= 0.5  # from the step to the end of the window it is 0.9 s
    assert trial.duration_s == pytest.approx(1.5)
    assert trial.throughput_per_s == pytest.approx(sum(trial.answered) / 1.5)
    assert trial.latency_us
    assert 20_000 <= trial.latency_us.p50 <= trial.latency_us.max < 2_000_000
    assert run.took_s < 60
    assert_nothing_is_left(mark)


def test_a_run_that_somebody_is_at_is_left_alone(tmp_path: Path) -> None:
    running_run = runs.run_of([runs.trial_of("async_asgi@uvicorn")], status="running")
    with orphaned_runs.claim(tmp_path / "run"):
        run_store.save_run(running_run, tmp_path / "run")
        assert orphaned_runs.abort_orphaned_runs([tmp_path]) == []
        assert run_store.load_run(tmp_path / "run").status == "running"
    (sentence,) = orphaned_runs.abort_orphaned_runs([tmp_path])
    assert sentence.startswith(f"{tmp_path}/run was not finished: 1 of 1 trials are kept")
    assert orphaned_runs.abort_orphaned_runs([tmp_path]) == []


def test_what_cannot_be_read_is_named_and_what_holds_no_trial_is_not_told_of(tmp_path: Path) -> None:
    for name in ("damaged", "empty", "whole"):
        (tmp_path / name).mkdir()
    (tmp_path / "damaged" / "run.json").write_text('{"schema":2,"status":"running", broken')
    abandon(tmp_path / "empty", orphaned_runs.MARKER)
    whole = run_store.save_run(runs.run_of([runs.trial_of("async_asgi@uvicorn")]), tmp_path / "whole").read_bytes()
    (sentence,) = orphaned_runs.abort_orphaned_runs([tmp_path, tmp_path / "nowhere"])
    assert sentence.startswith(f"Skipped: {tmp_path}/damaged/run.json is damaged")
    assert not (tmp_path / "empty").exists()
    assert (tmp_path / "whole" / "run.json").read_bytes() == whole
    assert "broken" in (tmp_path / "damaged" / "run.json").read_text()


@pytest.mark.parametrize(("load", "lines"), [(0.0, 0), (100.0, 1)])
def test_a_busy_machine_is_told_before_the_start(
    load: float, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_store, "LOCAL", tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    run.announce_what_to_know(tmp_path / "run")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert all(line.startswith("The machine is busy, 100.00 on ") and line.endswith(".") for line in said)
