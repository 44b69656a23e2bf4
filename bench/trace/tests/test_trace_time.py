"""Where the time of a request goes: handed off, queued, worked; every thread that worked; answers that never end."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.show.trace_terminal import totals
from bench.trace.inside.collector import Collector
from bench.trace.inside.model import Hop, Trace, from_json, with_queues
from bench.trace.inside.sink import REQUEST
from bench.trace.inside.wrappers import server_timing
from bench.trace.perfetto import to_chrome
from bench.trace.tests.test_trace import lab
from bench.trace.tests.traced_project import ask, notes, write_project

VIEWS = """
configure()

def work():
    time.sleep(0.1)

def work_together(threads):
    threads.wait(30)  # a thread that is done early would take the next one's work
    work()

def work_when(all_are_asked):
    all_are_asked.wait(30)
    work()

async def gathers(request):
    all_are_asked = threading.Event()
    calls = [asyncio.ensure_future(sync_to_async(work_when)(all_are_asked)) for _ in range(3)]
    asyncio.get_running_loop().call_soon(all_are_asked.set)
    await asyncio.gather(*calls)
    return HttpResponse("gathered")

async def in_row(request):
    for _ in range(3):
        await sync_to_async(work)()
    return HttpResponse("one after the other")

async def side_by_side(request):
    threads = threading.Barrier(3)
    calls = (sync_to_async(work_together, thread_sensitive=False)(threads) for _ in range(3))
    await asyncio.gather(*calls)
    return HttpResponse("side by side")

async def nests(request):
    def in_thread():
        async_to_sync(sync_to_async(work))()
    await sync_to_async(in_thread)()
    return HttpResponse("nested")

async def to_threads(request):
    threads = threading.Barrier(3)
    await asyncio.gather(*(asyncio.to_thread(work_together, threads) for _ in range(3)))
    return HttpResponse("threads")

async def one_by_one(request):
    for _ in range(3):
        thread = threading.Thread(target=work, name="own")
        thread.start()
        thread.join()
    return HttpResponse("threads")

def pool(request):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        list(pool.map(work_together, 2 * [threading.Barrier(2)]))
    return HttpResponse("pool")

def endless():
    try:
        while True:
            yield b"part"
            time.sleep(0.05)
    finally:
        note("closed")

def streams(request):
    return StreamingHttpResponse(endless())

async def never(request):
    await asyncio.Event().wait()

urlpatterns = [path(view.__name__, view) for view in (
    gathers, in_row, side_by_side, nests, to_threads, one_by_one, pool, streams, never)]
"""


QUICK_US = 20_000
"""A fifth of what is worked in each of the hops: within it their worker and the loop were woken."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_project(folder, VIEWS)
    return folder


def ask_for_gathered_calls(site: Path) -> Trace:
    """Their trace, made again where a busy machine woke a thread late; five times."""
    for _ in range(5):
        trace = ask(site, "/gathers")
        if all(each.handed_off_us <= QUICK_US for each in trace.hops):
            break
    return trace


def hop(number: int, asked: float, started: float | None, done: float | None, lane: int = 1, **more: Any) -> Hop:
    return Hop(number, more.pop("kind", "sync_to_async"), "work", "", 0, lane, asked, started, done, done, **more)


def left_us(call: Hop, at_us: float) -> float:
    """How long a call still worked at a moment."""
    assert call.started_us is not None
    assert call.done_us is not None
    return call.done_us - max(call.started_us, at_us)


def test_a_call_queues_while_the_thread_does_other_work_of_the_request() -> None:
    first, second, third = with_queues([hop(1, 0, 1, 10), hop(2, 0, 12, 20), hop(3, 5, 21, 30)])
    assert [each.queued_us for each in (first, second, third)] == [0, 9, 5 + 8]
    assert [each.sent_us for each in (first, second, third)] == [1, 3, 3]


def test_work_on_another_thread_is_no_queue() -> None:
    assert [each.queued_us for each in with_queues([hop(1, 0, 1, 10), hop(2, 0, 11, 20, lane=2)])] == [0, 0]


def test_a_call_from_inside_of_another_does_not_queue_behind_that_one() -> None:
    outer, to_loop = hop(1, 0, 1, 30), hop(2, 2, 3, 29, lane=0, kind="async_to_sync", parent=1)
    inner, beside = hop(3, 4, 5, 10, parent=2), hop(4, 4, 11, 20, parent=2)
    assert [each.queued_us for each in with_queues([outer, to_loop, inner, beside])] == [0, 0, 0, 5]


def test_a_call_that_never_began_or_never_ended_is_no_error() -> None:
    assert [each.queued_us for each in with_queues([hop(1, 0, 1, None), hop(2, 0, None, None)])] == [0, 0]


def test_gathered_calls_queue_and_a_line_says_so(site: Path) -> None:
    trace = ask_for_gathered_calls(site)
    first, second, third = [each for each in trace.hops if each.what == "work_when"]
    assert second.queued_us == pytest.approx(left_us(first, second.asked_us))
    assert third.queued_us == pytest.approx(left_us(first, third.asked_us) + second.worked_us)
    assert trace.queued_us > 2 * trace.handed_off_us
    (advice,) = [sentence for sentence in trace.advice if "queue" in sentence]
    assert advice.startswith("2 calls waited")


@pytest.mark.parametrize("view", ["in_row", "side_by_side", "nests"])
def test_what_does_not_queue_is_not_said_to(site: Path, view: str) -> None:
    trace = ask(site, f"/{view}")
    assert trace.queued_us == 0
    assert not any("queue" in sentence for sentence in trace.advice)


def test_the_three_parts_are_told_apart_in_every_form(site: Path) -> None:
    trace = ask_for_gathered_calls(site)
    data = trace.to_json()
    works = [each for each in data["crossings"] if each["what"] == "work_when"]
    assert works[2]["queued_us"] > works[1]["queued_us"] > works[1]["handed_off_us"]
    assert data["queued_us"] == trace.queued_us
    assert from_json(json.loads(json.dumps(data))) == trace
    told = [event["args"] for event in to_chrome(trace)["traceEvents"] if "queued_us" in event.get("args", {})]
    assert max(args["queued_us"] for args in told) == works[2]["queued_us"]
    assert any("queued behind this request's own thread" in line for line in totals(trace))


def test_the_browser_is_told_the_three_parts() -> None:
    collector = Collector("asgi", "GET", "/")
    assert server_timing(collector) == (
        'hops;desc="no hop", handoff;dur=0.000, queued;dur=0.000, thread-work;dur=0.000'
    )
    assert REQUEST.get() is None


@pytest.mark.parametrize(
    ("view", "app", "threads", "names"),
    [
        ("to_threads", "application", 5, {"asyncio"}),
        ("one_by_one", "application", 5, {"own"}),
        ("pool", "application", 4, {"pool"}),
        ("pool", "wsgi", 3, {"pool"}),
        ("to_threads", "wsgi", 5, {"asyncio"}),
        ("gathers", "application", 2, set()),
        ("gathers", "wsgi", 2, set()),
    ],
)
def test_every_thread_that_worked_is_counted_and_those_of_the_project_are_named(
    site: Path, view: str, app: str, threads: int, names: set[str]
) -> None:
    trace = ask(site, f"/{view}", f"somebody:{app}")
    assert trace.threads == threads
    assert {name.split("_")[0] for name in trace.other_threads} == names


def test_the_thread_that_ends_a_requests_own_is_said_and_not_counted(site: Path) -> None:
    trace = ask(site, "/in_row")
    assert trace.threads == 2
    assert (trace.threads_to_end == 1) == any(line.startswith("Not counted:") for line in totals(trace))


def test_an_endless_answer_behind_wsgi_is_taken_until_the_client_leaves_and_closed(site: Path) -> None:
    before = len(notes(site))
    trace = ask(site, "/streams", "somebody:wsgi", leave_after_s=0.3)
    assert (trace.status, trace.ended) == (200, True)
    assert notes(site)[before:] == ["closed"]


def test_an_endless_answer_of_a_sync_view_is_shown_with_what_has_not_ended(site: Path) -> None:
    trace = ask(site, "/streams", leave_after_s=0.3)
    assert not trace.ended
    assert {each.what: each.outcome for each in trace.hops}["list"] == "not ended"


def test_a_request_that_does_not_end_is_shown_as_far_as_it_came(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    done = lab("--app", "somebody:application", "/never", "--time-limit", "1")
    assert done.returncode == 4
    assert "1 hop to a thread" in done.stdout
    assert "GET /never did not end within 1 s" in done.stderr
    assert "--leave-after" in done.stderr


def test_an_option_that_was_given_is_not_advised(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    done = lab("--app", "somebody:application", "/streams", "--leave-after", "0.3")
    assert done.returncode == 0, done.stderr
    assert "list (not ended)" in done.stdout
    assert "--leave-after" not in done.stdout + done.stderr
