"""Slow clients beside visitors, with real servers and the real driver: who has a thread, and who waits for one."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.base import programs
from bench.measure.load import slow_clients
from bench.measure.load.slow_clients import Driver, Options
from bench.measure.machine import read_text
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.windows import run_until
from bench.model import run_json
from bench.model.load import Slow
from bench.model.servers import HOST
from bench.model.stacks import parse_stack
from bench.model.tests import runs
from bench.model.trial_plan import TrialPlan
from bench.model.trial_record import SlowResult, Trial
from bench.model.workloads import parse_request
from bench.show.figures import catalogue
from bench.show.tables.json_rows import to_json_rows

THREADS, CLIENTS, OVER_S = 2, 4, 1.5
DOWNLOAD_BYTES = len(parse_request("download?n=100").body or b"")
needs_nginx = pytest.mark.skipif(
    not programs.find_program("nginx"), reason="needs nginx: ./scripts/system-packages gets it"
)


def most_on_the_way() -> int:
    """The most bytes that the system keeps for a slow reader (tcp_wmem of tcp(7)); 0 if it does not say."""
    return int((read_text("/proc/sys/net/ipv4/tcp_wmem") or "0").split()[-1])


def planned(stack: str, request: str) -> TrialPlan:
    load = Slow(CLIENTS, visitors=2, slow_over_s=OVER_S)
    return TrialPlan(parse_stack(stack), parse_request(request), load, 0, (), warmup_s=0.1, duration_s=0.5)


def measured(
    stack: str, request: str, holds: Callable[[SlowResult], bool] = lambda slow: True
) -> tuple[Trial, SlowResult]:
    """A trial, made again where a stall kept it from being judged or from what `holds` asks."""
    trial = run_until(planned(stack, request), lambda trial: trial.slow is not None and holds(trial.slow))
    assert trial.slow, trial.reasons
    assert (trial.slow.served, trial.slow.starved, trial.slow.failed, trial.failed) == (CLIENTS, 0, 0, 0)
    assert trial.slow.beside.lasted_s >= OVER_S
    assert (trial.slow.beside.unanswered, trial.slow.beside.failed) == (0, 0)
    assert trial.slow.alone.latency_us
    assert trial.slow.beside.latency_us
    return trial, trial.slow


@needs_nginx
def test_slow_uploads_take_every_thread_and_a_front_gives_them_back() -> None:
    def kept_waiting(slow: SlowResult) -> bool:
        return slow.beside.latency_us is not None and slow.beside.latency_us.max >= 1e6 * OVER_S / 2

    trial, plain = measured(f"sync_wsgi@gthread:{THREADS}", "upload?n=100", kept_waiting)
    assert plain.inside_most == THREADS
    assert kept_waiting(plain), plain  # a visitor waited for a thread
    behind, fronted = measured(f"nginx/sync_wsgi@gthread:{THREADS}", "upload?n=100")
    assert plain.kept_share is not None
    assert fronted.kept_share is not None
    assert fronted.kept_share > 2 * plain.kept_share
    assert behind.front
    assert behind.front.connections_max >= CLIENTS
    assert (behind.connections, behind.visitors, behind.slow_over_s) == (CLIENTS, 2, OVER_S)
    run = runs.run_of([trial, behind])
    assert run_json.from_json(run_json.to_json(run), "here").trials == run.trials
    assert [row["slow_inside_most"] for row in to_json_rows(run)] == [plain.inside_most, fronted.inside_most]
    (drawn,) = (drawn for drawn in catalogue.figures_for(run) if drawn.slug == "slow-upload-n-100")
    assert drawn.figure.finding.startswith(f"While {CLIENTS} clients are slow, {behind.stack} answers ")


def test_an_asgi_server_hands_an_upload_over_when_it_is_whole() -> None:
    _, slow = measured("async_asgi@uvicorn", "upload?n=100")
    assert slow.inside_most == 1  # nobody waits in a view


@pytest.mark.skipif(most_on_the_way() > 0.6 * DOWNLOAD_BYTES, reason="this system takes in most of an answer at once")
def test_an_answer_that_is_read_slowly_takes_a_thread_until_it_is_on_its_way() -> None:
    _, slow = measured(f"sync_wsgi@gthread:{THREADS}", "download?n=100")
    assert slow.beside.lasted_s >= 1.2 * OVER_S  # the second half of the clients waited for the threads of the first
    _, on_a_loop = measured("async_asgi@uvicorn", "download?n=100")
    assert on_a_loop.beside.answered_per_s > 0


def driven(folder: Path, url: str, path: str, sends: int = 0) -> dict[str, object]:
    """What the driver sees of a server."""
    options = Options(url=url, path=path, folder=folder, connections=3, over=0.2, sends=sends, visitors=1, alone=0.2)
    return asyncio.run(Driver(options).run())


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving_stack(parse_stack("async_asgi@uvicorn"), grace_s=0) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "sends", "error"),
    [("/nothing", 0, "status 404"), ("/nothing", 10, "status 404"), ("/wait?ms=0", 10, "wrong body")],
)
def test_a_wrong_answer_is_counted_by_its_class(
    server: RunningServer, tmp_path: Path, path: str, sends: int, error: str
) -> None:
    seen = driven(tmp_path, server.url, path, sends)
    assert (seen["served"], seen["starved"], seen["failed"], seen["errors"]) == (0, 0, 3, {error: 3})


def test_who_gets_no_answer_in_time_is_starved_and_visitors_are_counted_with_their_wait(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "DONE_WITHIN_S", 0.5)
    seen = driven(tmp_path, server.url, "/wait?ms=5000")
    assert (seen["served"], seen["starved"], seen["failed"]) == (0, 3, 0)
    monkeypatch.setattr(slow_clients, "VISITED_WITHIN_S", 0.3)
    with socket.create_server((HOST, 0)) as silent, pytest.raises(TimeoutError):  # there is no gauge to be read
        driven(tmp_path, f"http://{HOST}:{silent.getsockname()[1]}", "/hello")
