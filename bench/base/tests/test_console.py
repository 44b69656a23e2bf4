"""What is measured does not hang on its output: unread, unwritable or not to be encoded, the report is kept."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.base import files
from bench.base.console import run_program
from bench.base.errors import ExitCode
from bench.base.polling import eventually
from bench.base.signals import interruptible
from bench.measure.tests.processes import FEW_FILES, assert_nothing_is_left
from bench.model import run_store

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")
LAB = (sys.executable, "-m", "bench")
RUN = ("run", "first_look", "--stack", "bare_asgi@uvicorn", "--workload", "wait?ms=20")
UNWRITABLE = "lab: The output could not be written (No space left on device): make room there, or send it elsewhere."


def nobody_reads() -> int:
    """The end of a pipe whose reader has gone, as `head -1` has after its line."""
    read, write = os.pipe()
    os.close(read)
    return write


def full_disk() -> int:
    return os.open(FULL, os.O_WRONLY)


def printed_to(where: int, *words: str) -> tuple[int, list[str]]:
    """The exit code of `lab WORDS` with such a stdout, and the lines on its stderr."""
    popen = subprocess.Popen([*LAB, *words], cwd=files.ROOT, stdout=where, stderr=subprocess.PIPE, text=True)
    os.close(where)
    _, err = popen.communicate(timeout=60)
    return popen.returncode, err.splitlines()


def printed_in(encoding: str, does: str) -> bytes:
    """What a program of the bench prints with that encoding of its streams."""
    code = f"from bench.base.console import console, print_json, run_program\nrun_program(lambda: {does} or 0)"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=files.ROOT, env=environment, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.fixture
def out_of_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is started leaves temporary files and runs here."""
    monkeypatch.setenv("LAB_RESULTS_DIR", str(tmp_path / "local"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.mark.parametrize(
    ("stream", "variables"),
    [
        (nobody_reads, {}),
        pytest.param(full_disk, {}, marks=needs_full),
        (nobody_reads, {"PYTHONIOENCODING": "ascii"}),
    ],
    ids=["nobody reads", "the disk is full", "nobody reads ASCII"],
)
@pytest.mark.usefixtures("out_of_the_way")
def test_a_run_goes_on_to_its_end_and_keeps_its_report(
    stream: Callable[[], int], variables: dict[str, str], tmp_path: Path
) -> None:
    where, folder = stream(), tmp_path / "run"
    command = (*FEW_FILES, *LAB, *RUN, "--users", "9999", "--repeats", "3", "--out", str(folder))
    popen = subprocess.Popen(command, cwd=files.ROOT, env=os.environ | variables, stdout=where, stderr=where)
    os.close(where)
    assert popen.wait(60) == ExitCode.NOT_RUN
    run = run_store.load_run(folder)
    assert (run.status, len(run.trials)) == ("complete", 3)
    assert sorted(os.listdir(folder)) == ["report.html", "run.json"]


def test_a_table_that_is_not_read_to_its_end_ends_quietly() -> None:
    assert printed_to(nobody_reads(), "list") == (0, [])


@needs_full
@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_a_table_that_cannot_be_written_is_one_sentence(words: tuple[str, ...]) -> None:
    assert printed_to(full_disk(), *words) == (1, [UNWRITABLE])


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", "3 x 2 - > 5 - ?"), ("iso-8859-1", "3 × 2 · > 5 - ?")])
def test_signs_that_cannot_be_encoded_become_plainer(encoding: str, expected: str) -> None:
    printed = printed_in(encoding, "console().print('3 × 2 · ≥ 5 – 中', highlight=False)")
    assert printed.decode(encoding) == f"{expected}\n"


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_json_says_the_same_in_every_encoding(encoding: str) -> None:
    says: dict[str, Any] = {"says": "3 × 2 ≥ 5, 中 and \U0001f600", "number": 1e16}
    assert json.loads(printed_in(encoding, f"print_json({says!r})")) == says


def test_what_the_system_refuses_is_one_sentence_and_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program(lambda: len((tmp_path / "none").read_bytes())) == ExitCode.FAILED
    assert capsys.readouterr() == ("", f"lab: No such file or directory ({tmp_path / 'none'}).\n")


def test_what_ctrl_c_ends_is_one_sentence_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        signal.raise_signal(signal.SIGINT)
        return ExitCode.FINE

    assert run_program(interrupted) == 130
    assert capsys.readouterr() == ("", "lab: interrupted.\n")


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with interruptible():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_shell_and_kernel_may_both_say_that_the_terminal_is_closed() -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)


def in_a_terminal(terminal: int) -> None:
    """What a shell does before it becomes a program: the terminal is its own, and is heard when it closes."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_terminal_that_is_closed_in_a_window_aborts_the_run_and_its_report_is_kept(
    mark: str, tmp_path: Path, out_of_the_way: Path
) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    command = (*RUN, "--users", "5", "--duration", "30", "--repeats", "2", "--out", str(tmp_path / "run"))
    popen = subprocess.Popen(
        [*LAB, *command],
        cwd=files.ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: in_a_terminal(theirs),
    )
    os.close(theirs)

    def in_the_window() -> bool:
        with suppress(BlockingIOError):
            os.read(ours, 65536)
        return any(out_of_the_way.glob("lab-*-load-*/window.json"))

    try:
        assert eventually(in_the_window, within_s=40)
        os.close(ours)
        assert popen.wait(30) == ExitCode.INTERRUPTED
    finally:
        popen.kill()
        popen.wait()
    run = run_store.load_run(tmp_path / "run")
    assert (run.status, [trial.verdict for trial in run.trials]) == ("aborted", ["aborted"])
    assert sorted(os.listdir(tmp_path / "run")) == ["report.html", "run.json"]
    assert_nothing_is_left(mark)
    assert os.listdir(out_of_the_way) == []
