"""scripts/set-up: ended at any point, failing in each way, asked for another Python; pip and uv only pretend."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.base.polling import eventually
from bench.cli.tests.bare_machine import BareMachine, ended

IN_TIME_S = 20


@pytest.fixture
def machine(tmp_path: Path) -> BareMachine:
    """With Python and without uv."""
    made = BareMachine(tmp_path)
    made.add_installer("python3")
    return made


@pytest.fixture(params=["pip", "uv"])
def either(request: pytest.FixtureRequest, machine: BareMachine) -> BareMachine:
    """With Python, and with uv or without."""
    if request.param == "uv":
        machine.add_installer("uv")
    return machine


def assert_is_whole(machine: BareMachine) -> None:
    """All is there, nothing is half-made."""
    there = {str(path.relative_to(machine.venv)) for path in machine.venv.rglob("*")}
    assert {"bin/lab", "bin/python", "has-pip"} <= there
    assert not {"half-made", ".lab-unfinished"} & there


def assert_is_made(machine: BareMachine) -> None:
    """And the next set-up has nothing to do."""
    assert_is_whole(machine)
    machine.calls()
    assert machine.run() == (0, "")
    assert not [call for call in machine.calls() if "install" in call]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_point_the_next_set_up_makes_all_anew(either: BareMachine) -> None:
    either.run()
    calls = either.calls()
    begins = next(number for number, call in enumerate(calls, 1) if call.startswith("mkdir"))
    assert len(calls) - begins > 10
    for point in range(begins, len(calls) + 1):
        shutil.rmtree(either.venv)
        assert either.run(STOP_AT=point)[0] == -signal.SIGKILL, f"at {calls[point - 1]}"
        either.calls()
        status, said = either.run()
        assert (status, said.count("\n")) == (0, 1), said
        assert_is_whole(either)
    assert_is_made(either)
    assert not list(either.checkout.glob(".venv.*"))


def test_killed_while_it_is_brought_up_to_date_the_next_one_makes_all_anew(either: BareMachine) -> None:
    either.run()
    (either.checkout / "pyproject.toml").write_text("# another\n")
    either.while_installing("kill -KILL 0")
    assert either.run()[0] == -signal.SIGKILL
    (either.venv / "left").touch()
    either.while_installing("")
    assert either.run()[0] == 0
    assert not (either.venv / "left").exists()
    assert_is_made(either)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_set_up_and_what_it_started(machine: BareMachine, ending: signal.Signals) -> None:
    machine.while_installing('echo $$ >"$HOME/pid"; exec sleep 60')
    set_up = machine.start()
    pid_file = machine.home / "pid"
    assert eventually(lambda: pid_file.exists() and pid_file.read_text(), IN_TIME_S)
    set_up.send_signal(ending)
    status, said = ended(set_up)
    assert status == 130
    assert said.splitlines()[1:] == ["lab: set-up was stopped; the next one starts again."]
    assert not psutil.pid_exists(int(pid_file.read_text()))
    machine.while_installing("")
    assert machine.run()[0] == 0
    assert_is_made(machine)


@pytest.fixture
def held_set_up(machine: BareMachine) -> Iterator[subprocess.Popen[str]]:
    """A set-up whose pip waits for the file `go`."""
    machine.while_installing(': >"$HOME/held"; while [ ! -e "$HOME/go" ]; do sleep 0.05; done')
    set_up = machine.start()
    try:
        assert eventually((machine.home / "held").exists, IN_TIME_S)
        yield set_up
    finally:
        (machine.home / "go").touch()
        ended(set_up)


def start_waiting(machine: BareMachine) -> subprocess.Popen[str]:
    """A second set-up that has said that it waits."""
    second = machine.start()
    assert second.stderr
    assert second.stderr.readline() == "lab: another set-up is running in this folder: waiting for it to end\n"
    return second


def test_of_two_set_ups_at_once_one_waits_and_has_nothing_to_do(
    machine: BareMachine, held_set_up: subprocess.Popen[str]
) -> None:
    second = start_waiting(machine)
    (machine.home / "go").touch()
    assert ended(second) == (0, "")
    assert held_set_up.wait(IN_TIME_S) == 0
    assert sum("--require-hashes" in call for call in machine.calls()) == 1
    assert_is_made(machine)


def test_what_a_killed_set_up_has_left_at_work_is_waited_for(
    machine: BareMachine, held_set_up: subprocess.Popen[str]
) -> None:
    held_set_up.kill()
    second = start_waiting(machine)
    (machine.venv / "left").touch()
    (machine.home / "go").touch()
    assert ended(second)[0] == 0
    assert not (machine.venv / "left").exists()
    assert_is_made(machine)


FAILURES = {
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(': /simple/h11/": "the network",
    "  cause: dns error: failed to lookup address information: Name or service not known": "the network",
    "ReadTimeoutError: HTTPSConnectionPool: Read timed out.": "the network",
    "OSError: [Errno 28] No space left on device": "the disk is full",
    "error: failed to write to file `x`: Disk quota exceeded (os error 122)": "the disk is full",
    "OSError: [Errno 13] Permission denied: '/x/.cache/pip'": "cannot be written",
    "  cause: failed to create directory `h11`: Read-only file system (os error 30)": "cannot be written",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.": "not the one that requirements.lock",
    "  cause: Hash mismatch for `idna==3.20`": "not the one that requirements.lock",
    "ERROR: Hashes are required in --require-hashes mode, but they are missing": "run scripts/lock",
    "error: Hash-checking is required, but no trusted hash was provided for: `idna`": "run scripts/lock",
    "ERROR: No matching distribution found for idna==3.20": "has no such file for Python 3.12.0",
    "error: No solution found when resolving dependencies": "has no such file for Python 3.12.0",
    "ERROR: Failed building wheel for hdrhistogram": "could not be compiled",
    "something new": "the messages above say why",
}


@pytest.mark.parametrize(("message", "reason"), FAILURES.items())
def test_a_failure_is_named_for_what_it_is(machine: BareMachine, message: str, reason: str) -> None:
    machine.while_installing(f'echo "{message}" >&2; exit 1'.replace("`", "'"))
    status, said = machine.run()
    sentence = said.splitlines()[-1]
    assert (status, reason in sentence) == (3, True), said
    assert ("network" in sentence) == (reason == "the network")
    assert message.replace("`", "'") in said


def test_a_disk_that_takes_not_even_the_message_is_full(either: BareMachine) -> None:
    either.add("tail", "")  # of /dev/full it would never see the end
    either.while_installing("ln -sf /dev/full .venv/.lab-unfinished; exit 1")
    status, said = either.run()
    assert (status, "the disk is full" in said.splitlines()[-1]) == (3, True)
    either.while_installing("")
    (either.venv / ".lab-unfinished").unlink()
    (either.venv / ".lab-unfinished").touch()
    assert either.run()[0] == 0
    assert_is_made(either)


def test_without_a_network_an_older_set_up_stays_as_it_was(either: BareMachine) -> None:
    either.run()
    pyproject = either.checkout / "pyproject.toml"
    before = pyproject.read_text()
    pyproject.write_text("# another\n")
    either.while_installing("echo Connection refused; exit 1")
    assert either.run()[0] == 3
    pyproject.write_text(before)
    assert_is_made(either)


def test_a_tool_that_is_killed_is_said_to_be(machine: BareMachine) -> None:
    machine.while_installing("kill -KILL $$")
    status, said = machine.run()
    assert (status, "ended by signal 9" in said) == (3, True)


def test_a_folder_that_cannot_be_written_is_said_to_be(machine: BareMachine) -> None:
    machine.add("mkdir", "echo \"mkdir: cannot create directory '.venv': Read-only file system\" >&2; exit 1")
    status, said = machine.run()
    assert (status, said) == (3, f"lab: nothing can be written in {machine.checkout}: Read-only file system.\n")


def test_a_venv_that_cannot_be_emptied_is_said_to_be(machine: BareMachine) -> None:
    machine.venv.mkdir()
    (machine.venv / ".lab-unfinished").touch()
    machine.add("find", "echo \"rm: cannot remove '.venv/bin': Permission denied\"; exit 1")
    status, said = machine.run()
    assert status == 3
    assert said.splitlines()[-1].startswith(
        "lab: the .venv that is here could not be emptied: a folder cannot be written"
    )


def test_a_disk_that_is_full_from_the_start_is_said_to_be(machine: BareMachine) -> None:
    machine.venv.mkdir()
    (machine.venv / ".lab-unfinished").symlink_to("/dev/full")
    status, said = machine.run()
    assert (status, said) == (3, f"lab: nothing can be written in {machine.checkout}: No space left on device.\n")


def test_another_lab_python_makes_the_venv_anew(machine: BareMachine) -> None:
    machine.run()
    machine.add_installer("python3.13")
    (machine.venv / "left").touch()
    for _ in range(2):  # the second has nothing to do
        assert machine.run(LAB_PYTHON="python3.13")[0] == 0
    assert not (machine.venv / "left").exists()
    assert f"made by {machine.home}/bin/python3.13" in (machine.venv / ".lab-made").read_text()
    assert len([call for call in machine.calls() if "--require-hashes" in call]) == 2
    assert machine.run() == (0, "")  # who names none is content with any


def test_a_lab_python_that_is_not_there_is_one_sentence(machine: BareMachine) -> None:
    machine.run()
    status, said = machine.run(LAB_PYTHON="python3.99")
    assert (status, said.count("\n")) == (3, 1)
    assert "LAB_PYTHON is 'python3.99', and there is no such program" in said
    assert_is_made(machine)


def test_a_lab_python_that_is_too_old_is_one_sentence(machine: BareMachine) -> None:
    machine.add("old python", '[ "$1" = --version ] && echo "Python 3.8.10"')
    status, said = machine.run(LAB_PYTHON=machine.home / "bin" / "old python")
    assert (status, said.count("\n")) == (3, 1)
    assert "(Python 3.8.10), and the lab needs Python 3.11 or newer" in said
    assert not machine.venv.exists()


def test_a_venv_that_set_up_did_not_make_is_put_aside(machine: BareMachine) -> None:
    for name in ("first", "second"):
        shutil.rmtree(machine.venv, ignore_errors=True)
        (machine.venv / name).mkdir(parents=True)
        status, said = machine.run()
        assert (status, "was not made by this script" in said) == (0, True)
        assert_is_made(machine)
    assert (machine.checkout / ".venv.aside-1" / "first").exists()
    assert (machine.checkout / ".venv.aside-2" / "second").exists()


def test_a_venv_that_was_moved_is_made_anew(machine: BareMachine) -> None:
    machine.run()
    (machine.venv / "left").touch()
    machine.checkout.rename(machine.home / "another")
    machine.checkout = machine.home / "another"
    machine.venv = machine.checkout / ".venv"
    assert machine.run()[0] == 0
    assert not (machine.venv / "left").exists()
    assert_is_made(machine)


def test_a_python_that_is_no_longer_there_makes_the_venv_anew(machine: BareMachine) -> None:
    machine.run()
    (machine.venv / "bin" / "python").unlink()
    assert machine.run()[0] == 0
    assert_is_made(machine)


def test_an_extra_is_added_to_what_is_there(either: BareMachine) -> None:
    either.run()
    (either.venv / "left").touch()
    for _ in range(2):  # the second has nothing to do
        assert either.run("set-up", "postgresql")[0] == 0
    assert (either.venv / "left").exists()
    installed = (either.venv / ".lab-requirements").read_text()
    assert "\npixeltable-pgserver==" in installed
    assert "\npytest-xdist==" not in installed
    assert ("\npip==" in installed) == (either.home / "bin" / "uv").exists()
    assert len([call for call in either.calls() if "--require-hashes" in call]) == 2


def test_an_unknown_extra_is_a_mistake(machine: BareMachine) -> None:
    status, said = machine.run("set-up", "tset")
    assert (status, said) == (2, "lab: there is no extra 'tset': pyproject.toml has them all.\n")
    assert not machine.venv.exists()


def test_only_files_with_a_right_hash_are_installed(either: BareMachine) -> None:
    either.run()
    packages, lab = [call for call in either.calls() if "pip install" in call]
    assert "--require-hashes --requirement .venv/.lab-requirements" in packages
    assert "--no-deps --no-index --no-build-isolation --editable ." in lab


def test_the_source_of_django_is_there_as_a_whole_or_not_at_all(machine: BareMachine) -> None:
    machine.add(
        "tar", 'mkdir -p "$4/django-1.2/tests/asgi"; [ -e "$HOME/go" ] || kill -KILL 0; : >"$4/django-1.2/rest"'
    )
    assert machine.run("django-source")[0] == -signal.SIGKILL
    (machine.home / "go").touch()
    assert machine.run("django-source")[0] == 0
    assert (machine.checkout / ".django" / "django-1.2" / "rest").exists()
    downloads = [call for call in machine.calls() if "pip download" in call]
    assert len(downloads) == 2
    assert all("--require-hashes" in call for call in downloads)
