"""Load from more than one process and machine: what comes together is exact, what is missing is said, nothing stays."""

import itertools
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import pytest

from bench.base.polling import eventually
from bench.cli import main
from bench.measure import cpu_placement, monitor, trial_metrics
from bench.measure.cpu_placement import CpuPlan
from bench.measure.load.launcher import LoadSpec, running_load
from bench.measure.load.recording import Recording, merge
from bench.measure.monitor import WindowRunner
from bench.measure.ports import free_port
from bench.measure.readiness import serving_stack
from bench.measure.tests.processes import assert_nothing_is_left, end, running
from bench.measure.tests.windows import longest_s, run_until, valid_run
from bench.measure.trial import run_trial
from bench.model import histograms, run_store, trial_record
from bench.model.load import Closed
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.trial_plan import Engine, Freeze, TrialPlan
from bench.model.trial_record import Trial
from bench.model.workloads import parse_request

STACK, DJANGO = "bare_asgi@uvicorn", "async_asgi@uvicorn"
RUN = ("run", "first_look", "--stack", STACK, "--workload", "wait?ms=20", "--users", "6", "--duration", "1.2")
ELSEWHERE = "192.0.2.7"  # RFC 5737: nobody's
ADDRESSES = ("10.77.0.1", "10.77.0.2", "10.77.0.3")
LAB = (sys.executable, "-m", "bench")


def planned(**changes: Any) -> TrialPlan:
    plan = TrialPlan(parse_stack(STACK), parse_request("wait?ms=20"), Closed(6), 0, (), warmup_s=0.4, duration_s=1.2)
    return replace(plan, **changes)


def load_worker(port: int, *options: str) -> Any:
    """`lab load-worker` for a master on loopback, in the background."""
    return running(*LAB, "load-worker", "--master", f"{HOST}:{port}", *options)


def noting(log: Path, *command: str) -> tuple[str, ...]:
    """The command with its stderr in a file, which can be read while it runs."""
    return "sh", "-c", 'exec "$@" 2>"$0"', str(log), *command


def trials_done(logs: list[Path]) -> list[int]:
    """How many trials each worker has said to be done."""
    return [log.read_text().count(": done") for log in logs]


def assert_books_balance(trial: Trial, processes: int) -> None:
    assert trial.is_measured, trial.reasons
    assert trial.load
    assert trial.load.processes == processes
    assert trial.carried_in + trial.issued == trial.completed + trial.failed + trial.in_flight
    assert (trial.failed, trial.completed > 0) == (0, True)
    assert histograms.decode_histogram(trial.histogram or "").get_total_count() == trial.completed


def test_load_from_elsewhere_leaves_the_server_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_placement, "available", lambda: [0, 1, 2, 3])
    assert cpu_placement.plan(3, load_processes=0) == CpuPlan(server=[0, 1, 2], load=[3])
    assert cpu_placement.plan(3, load_processes=2) == CpuPlan(server=[0, 1], load=[2, 3])


def test_a_server_gets_the_cores_that_are_asked_for_also_those_of_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_placement, "available", lambda: [0, 1, 2, 3])
    assert cpu_placement.plan(1, server_cores=2) == CpuPlan(server=[0, 1], load=[3])
    assert cpu_placement.plan(1, server_cores=4) == CpuPlan(server=[0, 1, 2, 3], load=[3])
    assert [cpu_placement.plan(1, server_cores=cores).shared for cores in (2, 4)] == [False, True]
    assert [cpu_placement.cores_of([0, 1], 1, has_gil=has_gil) for has_gil in (True, False)] == [1, 2]


@pytest.mark.parametrize(
    ("engine", "busiest_share", "on"), [(Engine(2), 0.9, [1]), (Engine(0, 2), 0.5, []), (Engine(1, 1), 0.5, [1])]
)
def test_load_processes_on_one_core_are_as_busy_as_the_core(
    engine: Engine, busiest_share: float, on: list[int]
) -> None:
    seen = Recording(2.0, 0, 9, 9, [5, 4], [9], {}, 0, 0, None, cpu_s=[1.0, 0.8])
    use = trial_metrics._load_use(seen, CpuPlan([0], [1]), engine)
    assert (use.cpu_share, use.busiest_share, use.cpus) == (0.9, busiest_share, on)


def test_recordings_of_three_processes_are_merged_exactly(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def noted(parts: list[dict[str, Any]]) -> Recording:
        seen[:] = parts
        return merge(parts)

    monkeypatch.setattr(monitor, "merge", noted)
    plan = planned(load=Closed(2), engine=Engine(processes=3))  # one of them has no user
    trial = run_until(plan, lambda trial: longest_s(trial, "server-gap") <= plan.duration_s / 2)
    assert_books_balance(trial, processes=3)
    assert len(seen) == 3
    for name in ("completed", "issued", "carried_in", "in_flight"):
        assert getattr(trial, name) == sum(part[name] for part in seen), name
    counts = [histograms.decode_histogram(part["histogram"]).get_total_count() for part in seen]
    assert counts == [part["completed"] for part in seen]
    assert sorted(count > 0 for count in counts) == [False, True, True]
    assert trial.answered == [sum(column) for column in zip(*(part["answered"] for part in seen), strict=True)]
    assert trial.load
    assert trial.load.busiest_share >= max(part["cpu_s"] for part in seen) / trial.duration_s
    assert longest_s(trial, "server-gap") <= trial.duration_s / 2  # the process without a user is silent for all of it
    assert_nothing_is_left(mark)


@pytest.mark.timeout(180)
def test_two_of_three_load_workers_serve_one_trial_after_the_other(mark: str, tmp_path: Path) -> None:
    port, logs = free_port(), [tmp_path / name for name in ("first", "second", "third")]
    ended: list[int] = []

    def made_in(folder: Path) -> int:
        with ExitStack() as stack:
            command = (*LAB, "load-worker", "--master", f"{HOST}:{port}")
            workers = [stack.enter_context(running(*noting(log, *command))) for log in logs]
            expected = ("--expect-workers", "2", "--bind", f"{HOST}:{port}", "--repeats", "2", "--out", str(folder))
            with running(*LAB, *RUN, *expected) as popen:
                popen.communicate(timeout=120)
            assert popen.returncode or eventually(lambda: sum(trials_done(logs)) == 4, 10), trials_done(logs)
            ends = zip(workers, (signal.SIGINT, signal.SIGTERM, signal.SIGINT), strict=True)
            ended[:] = [end(worker, how)[0] for worker, how in ends]
        return popen.returncode

    run = run_store.load_run(valid_run(tmp_path, made_in))
    assert ended == [130, 130, 130]
    assert all(log.read_text().endswith("lab: interrupted.\n") for log in logs)
    assert (run.plan.load_processes, run.plan.expect_workers, len(run.trials)) == (0, 2, 2)
    for trial in run.trials:
        assert_books_balance(trial, processes=2)
        assert trial.load
        assert trial.load.cpus == []  # of the workers' machines, nothing is known
        assert trial.server
        assert trial.server.cpus
        assert "shared-cores" not in [reason.code for reason in trial.reasons]
    assert_nothing_is_left(mark, port)


def in_the_window(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], after_s: float) -> None:
    original = WindowRunner._wait_for_window

    def wait_for_window(watching: WindowRunner) -> tuple[float, float]:
        window = original(watching)
        threading.Timer(window[0] + after_s - time.monotonic(), act).start()
        return window

    monkeypatch.setattr(WindowRunner, "_wait_for_window", wait_for_window)


@pytest.mark.timeout(60)
def test_a_worker_lost_in_the_window_makes_the_trial_invalid_soon(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    killed_at_s: list[float] = []

    def kill() -> None:
        killed_at_s.append(time.monotonic())
        for child in psutil.Process(lost.pid).children():
            child.kill()

    in_the_window(monkeypatch, kill, after_s=0.2)
    with load_worker(port) as lost, load_worker(port):
        trial = run_trial(planned(duration_s=25.0, engine=Engine(0, 2, HOST, port)))
        seen_after_s = time.monotonic() - killed_at_s[0]
    assert (trial.verdict, [reason.code for reason in trial.reasons]) == ("invalid", ["load-lost"])
    assert "1 of 2 load processes" in trial.reasons[0].message
    assert trial.throughput_per_s is trial.histogram is None
    assert seen_after_s < 20  # the window is longer
    assert_nothing_is_left(mark, port)


@pytest.mark.timeout(30)
def test_a_worker_that_never_arrives_is_a_trial_that_was_not_run(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(monitor, "LOAD_WITHIN_S", 2.0)
    trial = run_trial(planned(engine=Engine(0, 1, HOST, port)))
    assert trial.verdict == "not-run"
    message = trial.reasons[0].message
    assert message.startswith("After 2 s only 0 of 1 load processes had arrived: ")
    assert f"`lab load-worker --master {HOST}:{port}`" in message
    assert_nothing_is_left(mark, port)


@pytest.mark.timeout(40)
def test_a_worker_refuses_a_target_that_is_not_said_to_be_its_users(mark: str, tmp_path: Path) -> None:
    port = free_port()
    ask = LoadSpec(f"http://{ELSEWHERE}:9", "/hello", None, load=Closed(1), warmup_s=0, duration_s=1)
    engine = Engine(0, 1, HOST, port)
    with load_worker(port) as worker, running_load(ask, tmp_path, engine=engine, cpus=(), allowed=True) as load:
        load.go()
        _, err = worker.communicate(timeout=30)
        assert eventually(lambda: ELSEWHERE in (load.refusal() or ""), 10)
    assert worker.returncode == 2
    assert err.splitlines()[-1] == (
        f"lab: The master asks to load http://{ELSEWHERE}:9, which is not loopback: "
        f"say --i-own-this-host if it is yours to load."
    )
    assert_nothing_is_left(mark, port)


@pytest.fixture
def _signals() -> Iterator[None]:
    """`main.main` takes SIGTERM for itself."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


OWN = "--i-own-this-host"
NO_URL = "is no address: write http://HOST:PORT"
REFUSALS = {
    "run beyond loopback": ((*RUN, "--expect-workers", "1", "--bind", ELSEWHERE), OWN),
    "target beyond loopback": ((*RUN, "--target", f"http://{ELSEWHERE}"), OWN),
    "serve beyond loopback": (("serve", STACK, "--bind", ELSEWHERE), OWN),
    "not ours": ((*RUN, "--expect-workers", "1", "--bind", ELSEWHERE, OWN), "no IPv4 address of this machine"),
    "all addresses": ((*RUN, "--expect-workers", "1", "--bind", "0.0.0.0", OWN), "every address"),
    "serve elsewhere": (("serve", STACK, "--bind", ELSEWHERE, OWN), "no IPv4 address of this machine"),
    "nobody expected": ((*RUN, "--bind", HOST), "--expect-workers"),
    "an open loop": ((*RUN[:-4], "--rate", "10", "--expect-workers", "1"), "An open loop uses one process"),
    "no master": (("load-worker",), "--master"),
    "no address": (("load-worker", "--master", "http://a/b"), "HOST or HOST:PORT"),
    "no port": ((*RUN, "--target", "http://127.0.0.1:99999"), NO_URL),
    "port 0": ((*RUN, "--target", "http://127.0.0.1:0"), NO_URL),
    "an open bracket": ((*RUN, "--target", "http://[::1"), NO_URL),
    "an impossible name": ((*RUN, "--target", "http://a..b:80", OWN), NO_URL),
    "a name too long": ((*RUN, "--target", f"http://{'a' * 64}.example", OWN), NO_URL),
    "a password, which a run would publish": ((*RUN, "--target", "http://me:secret@127.0.0.1"), NO_URL),
    "a fragment": ((*RUN, "--target", "http://127.0.0.1:8000#a"), NO_URL),
    "a master of an impossible name": (("load-worker", "--master", "a..b"), "HOST or HOST:PORT"),
    "serve at an impossible name": (("serve", STACK, "--bind", "a..b", OWN), "write HOST"),
    "serve at an open bracket": (("serve", STACK, "--bind", "[::1"), "write HOST"),
    "serve at a host with a port": (("serve", STACK, "--bind", "127.0.0.1:8000"), "write HOST"),
    "unknown master": (("load-worker", "--master", "nowhere.invalid"), "'nowhere.invalid' is not found"),
}


@pytest.mark.live
@pytest.mark.timeout(20)
@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.usefixtures("_signals")
def test_what_is_not_allowed_is_one_sentence_and_exit_code_2(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, sentence = REFUSALS[case]
    assert main.main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert sentence in err


@pytest.mark.usefixtures("_signals")
def test_a_server_that_is_there_already_is_measured_without_looking_into_it(
    mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def made_in(folder: Path) -> int:
        return main.main((*RUN, "--target", server.url, "--repeats", "1", "--out", str(folder)))

    with serving_stack(parse_stack(STACK)) as server:
        run = valid_run(tmp_path, made_in)
    (trial,) = run_store.load_run(run).trials
    assert_books_balance(trial, processes=1)
    assert "not-restarted" in [reason.code for reason in trial.reasons]
    assert trial.server is trial.limit_per_s is trial.cpu_us_per_request is None
    assert (trial.samples, "server" in trial.commands) == (trial_record.Samples(), False)
    (run / "report.html").unlink()
    capsys.readouterr()
    assert main.main(("report", str(run))) == 0
    assert STACK in capsys.readouterr().out
    assert (run / "report.html").exists()
    assert_nothing_is_left(mark)


def test_a_target_where_nobody_listens_is_not_run() -> None:
    url = f"http://{HOST}:{free_port()}"
    trial = run_trial(planned(target=url))
    assert trial.verdict == "not-run"
    assert trial.reasons[0].message.startswith(f"Nothing listens at {url} (Connection refused): ")


def test_a_server_elsewhere_cannot_be_frozen() -> None:
    trial = run_trial(planned(target="http://127.0.0.1:9", freeze=Freeze(0.1, 0.1)))
    assert (trial.verdict, "not ours to freeze" in trial.reasons[0].message) == ("not-run", True)


def of_django(command: tuple[str, ...]) -> list[str]:
    """The command for a stack that looks at the name by which it is called (ALLOWED_HOSTS)."""
    return [DJANGO if word == STACK else word for word in command]


@dataclass(frozen=True)
class Host:
    """A host made of a network namespace."""

    namespace: str
    address: str

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.namespace, *LAB, *arguments)

    @contextmanager
    def lab(self, *arguments: str) -> Iterator[Popen[str]]:
        with running(*self.command(*arguments)) as popen:
            yield popen


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10)


def connect(hosts: list[Host]) -> None:
    """All on one bridge, which is in the first host: outside of the namespaces nothing is made."""
    middle = hosts[0].namespace
    ip("-n", middle, "link", "add", "bridge", "type", "bridge")
    ip("-n", middle, "address", "add", f"{hosts[0].address}/24", "dev", "bridge")
    for number, host in enumerate(hosts[1:], 1):
        wire = ("link", "add", f"port{number}", "type", "veth", "peer", "name", "wire", "netns", host.namespace)
        ip("-n", middle, *wire)
        ip("-n", middle, "link", "set", f"port{number}", "master", "bridge", "up")
        ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "wire")
        ip("-n", host.namespace, "link", "set", "wire", "up")
    for host, device in itertools.product(hosts, ("lo", "bridge")):
        if device == "lo" or host is hosts[0]:
            ip("-n", host.namespace, "link", "set", device, "up")


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Host]]:
    """Three hosts on one network, removed afterwards whatever happened."""
    if shutil.which("ip") is None:
        pytest.skip("three hosts need the command ip: install iproute2 with ./scripts/system-packages")
    made = [Host(f"lab-{uuid.uuid4().hex[:8]}-{number}", address) for number, address in enumerate(ADDRESSES, 1)]
    with ExitStack() as cleaning:
        try:
            for host in made:
                ip("netns", "add", host.namespace)
                cleaning.callback(ip, "netns", "delete", host.namespace)
            connect(made)
            ip("netns", "exec", made[0].namespace, "true")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"three hosts need network namespaces, which are not permitted here: {error.stderr.strip()}")
        yield made
    there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, timeout=10, check=True).stdout
    assert not [host for host in made if host.namespace in there]


@pytest.mark.timeout(180)
def test_three_hosts_measure_one_server(mark: str, hosts: list[Host], tmp_path: Path) -> None:
    server, *others = hosts
    logs, ended = [tmp_path / host.namespace for host in others], list[int]()

    def made_in(folder: Path) -> int:
        arguments = ("--expect-workers", "2", "--bind", server.address, OWN, "--repeats", "1", "--out", str(folder))
        with ExitStack() as stack:
            options = ("--master", server.address, OWN)
            commands = [host.command("load-worker", *options) for host in others]
            workers = [
                stack.enter_context(running(*noting(log, *command)))
                for log, command in zip(logs, commands, strict=True)
            ]
            with server.lab(*of_django(RUN), *arguments) as popen:
                popen.communicate(timeout=50)
            assert popen.returncode or eventually(lambda: trials_done(logs) == [1, 1], 10), trials_done(logs)
            ended[:] = [end(worker, signal.SIGINT)[0] for worker in workers]
        return popen.returncode

    run = valid_run(tmp_path, made_in)
    assert ended == [130, 130]
    (trial,) = run_store.load_run(run).trials
    assert_books_balance(trial, processes=2)
    assert trial.load
    assert trial.load.busiest_share < trial.load.cpu_share  # both have worked
    assert server.address in " ".join(trial.commands["server"])
    assert trial.server
    assert trial.server.connections_max == 6
    assert_nothing_is_left(mark)


def test_a_server_on_another_host_is_measured(mark: str, hosts: list[Host], tmp_path: Path) -> None:
    here, there, _ = hosts
    target = ("--target", f"http://{there.address}:8000", "--repeats", "1")

    def made_in(folder: Path) -> int:
        with here.lab(*of_django((*RUN, *target)), "--out", str(folder), OWN) as popen:
            popen.communicate(timeout=30)
        return popen.returncode

    with there.lab("serve", DJANGO, "--bind", there.address, OWN) as serving:
        assert serving.stdout
        assert f"LAB_ALLOWED_HOST={there.address} " in serving.stdout.readline()
        assert serving.stderr
        assert any("ready" in line for line in serving.stderr)
        run = valid_run(tmp_path, made_in)
        assert end(serving, signal.SIGINT)[0] == 130
    (trial,) = run_store.load_run(run).trials
    assert_books_balance(trial, processes=1)
    assert_nothing_is_left(mark)
