"""What keeps an event loop from turning is found with its line, and nothing else is: neither pauses nor neighbours."""

import asyncio
import gc
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.base.errors import UsageError
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.base.tests.attempts import MADE_AGAIN, until
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left
from bench.trace.blocking_report import merge_reports, while_loading, while_running
from bench.trace.inside.blocking import Detector
from bench.trace.inside.mending import TWINS, twin_of
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.tests.test_trace import LAB, answers, from_anywhere
from bench.trace.tests.traced_project import ask, notes, write_project
from bench.trace.tracer import find_blocking

LEAST_MS = 20.0
LONG_S, COMPUTED_S = 0.3, 0.12  # of waiting: on a busy machine the detector comes late to look; of CPU
WAYS = ["sync_to_async", "sync view"]


def watch(*steps: Callable[[], Awaitable[None]]) -> list[dict[str, Any]]:
    """What blocks when these are run in turn, each as a task, on a loop that is watched."""

    async def run() -> None:
        for step in steps:
            await asyncio.ensure_future(step())

    detector = Detector(LEAST_MS)
    with detector.watching():
        asyncio.run(run())
    if not detector.sees_waits:
        pytest.skip("this machine does not say in which call a thread waits")
    return [finding for finding in detector.found() if finding["in_project"]]


def times_of(found: list[dict[str, Any]]) -> int:
    return sum(one["times"] for one in found)


def line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


async def sleeps() -> None:
    time.sleep(LONG_S)


async def runs_a_program() -> None:
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({LONG_S})"], check=True)  # noqa: ASYNC221


async def waits_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(LONG_S, lock.release).start()
    lock.acquire(timeout=30)


async def dumps_much() -> None:
    until_s = time.thread_time() + COMPUTED_S
    while time.thread_time() < until_s:
        json.dumps(list(range(500_000)))


def helper(until_s: float) -> int:
    total = 0
    while time.thread_time() < until_s:
        total += 1
        total %= 1_000
    return total


async def computes() -> None:
    helper(time.thread_time() + COMPUTED_S)


@pytest.mark.parametrize(
    ("step", "place", "call", "twin"),
    [
        (sleeps, "time.sleep(", "time.sleep(LONG_S)", "await asyncio.sleep(…)"),
        (
            waits_for_a_lock,
            "lock.acquire(timeout",
            "lock.acquire(timeout=30)",
            "a lock of asyncio, such as asyncio.Lock",
        ),
        (dumps_much, "json.dumps(", "json.dumps(list(range(500_000)))", None),
    ],
)
def test_a_call_that_blocks_is_found_with_its_line_and_ways_to_mend_it(
    step: Any, place: str, call: str, twin: str | None
) -> None:
    (found,) = until(bool, lambda: watch(step))
    assert (found["file"], found["line"]) == (__file__, line_of(step, place))
    assert found["where"].endswith(f"test_blocking.py:{found['line']}")
    assert (found["function"], found["times"], found["import"]) == (step.__name__, 1, False)
    assert found["ms"] >= LEAST_MS
    assert found["call"] == call
    ways = {mend["way"]: mend for mend in found["mend"]}
    assert list(ways) == (["async twin", *WAYS] if twin else WAYS)
    assert not twin or ways["async twin"]["do"] == twin
    assert all(mend["source"].startswith("https://") for mend in found["mend"])


@pytest.mark.live
def test_a_program_that_is_waited_for_has_its_twin() -> None:
    (found,) = until(bool, lambda: watch(runs_a_program))
    assert found["line"] == line_of(runs_a_program, "subprocess.run")
    assert "create_subprocess_exec" in found["mend"][0]["do"]


def test_what_a_project_computes_itself_is_found_in_its_function() -> None:
    (found,) = until(bool, lambda: watch(computes))
    assert found["function"] == "helper"
    assert found["computes"]
    assert found["mend"][-1]["do"].startswith("def computes(…)")


def test_two_calls_of_one_function_are_two_findings_and_one_place_is_counted() -> None:
    async def both() -> None:
        time.sleep(LONG_S)
        await asyncio.to_thread(time.sleep, LONG_S)
        time.sleep(2 * LONG_S)

    found = until(lambda found: times_of(found) >= 4, lambda: watch(both, both))
    assert [(one["line"], one["times"]) for one in found] == [
        (line_of(both, "2 * LONG_S"), 2),
        (line_of(both, "time.sleep(LONG_S)"), 2),
    ]


def test_what_waits_as_it_should_is_no_finding() -> None:
    async def waits() -> None:
        await asyncio.sleep(LONG_S)
        await asyncio.to_thread(time.sleep, LONG_S)

    assert watch(waits) == []


def test_a_garbage_collection_is_no_finding() -> None:
    took_s: list[float] = []

    async def collects() -> None:
        kept = []
        while not took_s or took_s[-1] < 2 * LEAST_MS / 1000:
            await asyncio.sleep(0)
            began_s = time.thread_time()
            gc.collect()
            took_s.append(time.thread_time() - began_s)
            for _ in range(50):
                await asyncio.sleep(0)
                kept.append([[number] for number in range(1_000)])

    assert watch(collects) == []
    assert took_s[-1] >= LEAST_MS / 1000


def test_waiting_for_the_gil_is_no_finding() -> None:
    done = threading.Event()

    def neighbour() -> None:
        while not done.is_set():
            pass

    took_s = [0.0]

    async def lets_go() -> None:
        """Ends as well where it has computed for long itself: nobody else ran."""
        began_s, computes_until_s = time.perf_counter(), time.thread_time() + LEAST_MS / 2000
        while max(took_s) < 5 * LEAST_MS / 1000 and time.thread_time() < computes_until_s:
            os.stat(__file__)
            time.sleep(0)
            took_s.append(time.perf_counter() - began_s)

    threads = [threading.Thread(target=neighbour, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        found = watch(*MADE_AGAIN * [lets_go])
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert found == []
    assert max(took_s) >= 5 * LEAST_MS / 1000


STOPPED = """
import asyncio, os, signal, sys
from bench.trace.inside.blocking import Detector

async def stops():
    os.kill(os.getpid(), signal.SIGSTOP)

detector = Detector(20)
with detector.watching():
    asyncio.run(stops())
print([finding for finding in detector.found() if finding["in_project"]])
"""


def test_a_process_that_was_stopped_has_not_blocked() -> None:
    command = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        state = Path(f"/proc/{running.pid}/stat")
        assert eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", within_s=30)
        time.sleep(0.3)
        running.send_signal(signal.SIGCONT)
        said, _ = running.communicate(timeout=30)
    assert said == "[]\n"


def test_nothing_is_changed_before_and_after() -> None:
    before = asyncio.Handle._run, list(gc.callbacks), threading.active_count()
    with Detector(LEAST_MS).watching():
        assert asyncio.Handle._run is not before[0]
    assert (asyncio.Handle._run, gc.callbacks, threading.active_count()) == before


@pytest.mark.live
def test_without_the_option_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        """
        configure()
        async def looks(request):
            note(asyncio.Handle._run.__module__)
            note(str(any("blocking" in name or "mending" in name for name in sys.modules)))
            return HttpResponse("fine")
        urlpatterns = [path("", looks)]
        """,
    )
    ask(tmp_path, warm_up=False)
    assert notes(tmp_path) == ["asyncio.events", "False"]


def test_each_twin_is_reached_and_has_a_source() -> None:
    for name, twin in {
        "django.db.models.query.QuerySet.get": "await queryset.aget(…)",
        "django.db.models.query.count": "await queryset.acount(…)",
        "django.db.models.base.Model.save": "await instance.asave(…)",
        "django.shortcuts.get_object_or_404": "await aget_object_or_404(…)",
        "requests.api.get": "await client.get(…) of an httpx.AsyncClient that is kept",
        "django.core.cache.backends.locmem.LocMemCache.get": "await cache.aget(…)",
    }.items():
        assert twin_of(["somebody.helper", name]) == (twin, twin_of([name])[1])  # type: ignore[index]
    assert twin_of(["hashlib.sha256"]) is None
    assert all(twin.source.startswith("https://") for twin in TWINS)


PROJECT = """
configure()
LOADED = []

async def blocks(request):
    time.sleep(0.12)
    return HttpResponse("late")

async def loads(request):
    if not LOADED:
        LOADED.append(time.sleep(0.12))
    return HttpResponse("loaded")

async def imports(request):
    import heavy
    return HttpResponse("imported")

async def never(request):
    time.sleep(1000)

urlpatterns = [path("", hello), path("blocks", blocks), path("loads", loads), path("imports", imports),
               path("never", never)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path, PROJECT)
    (tmp_path / "heavy.py").write_text("import time\ntime.sleep(0.12)\n")
    return tmp_path


def line_in(project: Path, text: str) -> int:
    return 1 + (project / "somebody.py").read_text().splitlines().index(text)


def look(project: Path, path: str, within_s: float = 60.0, app: str = "somebody:application", **more: Any) -> Any:
    spec = RequestSpec(app, path, blocking_ms=LEAST_MS, **more)
    return find_blocking(spec, os.environ, project, within_s)


def of_file(name: str, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in findings if each["file"].endswith(name)]


def look_at(name: str, project: Path, path: str, **more: Any) -> Any:
    """A look in which something of that file blocks."""
    return until(lambda report: of_file(name, report["blocking"]), lambda: look(project, path, **more))


@pytest.mark.live
def test_loading_is_told_from_blocking(project: Path) -> None:
    report = look_at("somebody.py", project, "/loads")
    assert while_running(report) == []
    (finding,) = of_file("somebody.py", while_loading(report))
    assert (finding["first_time"], finding["import"], finding["times"]) == (True, False, 1)
    report = look_at("heavy.py", project, "/imports")
    assert while_running(report) == []
    (finding,) = of_file("heavy.py", while_loading(report))
    assert (finding["line"], finding["import"], finding["mend"][0]["way"]) == (2, True, "at start-up")
    once = look_at("somebody.py", project, "/loads", method="POST")  # sent once: it may be more than loading
    assert [each["first_time"] for each in of_file("somebody.py", once["blocking"])] == [False]


@pytest.mark.live
def test_a_request_that_blocks_for_good_is_told_and_a_wsgi_application_refused(project: Path) -> None:
    done = run("/never", "--time-limit", "3", folder=project)
    assert done.returncode == 4
    assert f"at somebody.py:{line_in(project, '    time.sleep(1000)')}:" in " ".join(done.stdout.split())
    assert "did not end within 3 s" in done.stderr
    with pytest.raises(UsageError, match="no event loop"):
        look(project, "/", app="somebody:wsgi")


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*LAB, "trace", "--app", "somebody:application", "--blocking", *words]
    return subprocess.run(
        command, cwd=folder, env=from_anywhere(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.live
def test_the_command_says_it_in_a_sentence_and_as_json_and_exits_with_1(project: Path, mark: str) -> None:
    line = line_in(project, "    time.sleep(0.12)")
    done = run("/blocks", folder=project)
    assert done.returncode == 1, done.stderr
    said = " ".join(done.stdout.split())
    assert said.startswith("1 call keeps the event loop from turning for 20 ms or more, the longest for ")
    assert f"at somebody.py:{line}: every other request waits meanwhile." in said
    done = run("/blocks", "--json", "--blocking-over", "30", folder=project)
    report = json.loads(done.stdout)
    (finding,) = while_running(report)
    assert (done.returncode, report["threshold_ms"], report["statuses"]) == (1, 30.0, [200])
    assert (finding["where"], finding["call"], finding["requests"]) == (
        f"somebody.py:{line}",
        "time.sleep(0.12)",
        ["/blocks"],
    )
    done = run("/", folder=project)
    assert (done.returncode, done.stdout.split()[0]) == (0, "Nothing")
    assert_nothing_is_left(mark)


def serve_what_blocks(project: Path) -> tuple[int, str, dict[str, Any]]:
    """A server whose view that blocks is asked twice: its exit status, what it told meanwhile, its report."""
    port = free_port()
    command = [*LAB, "trace", "--serve", "--app", "somebody:application", "--blocking", "--json", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=from_anywhere(), cwd=project
    ) as running:
        try:
            assert eventually(lambda: answers(port, "/"), within_s=30)
            assert all(answers(port, "/blocks") for _ in range(2))
        finally:
            running.send_signal(signal.SIGINT)
            printed, told = running.communicate(timeout=20)
    return running.returncode, told, json.loads(printed)


@pytest.mark.live
def test_a_server_tells_each_finding_as_it_comes_and_all_at_its_end(project: Path, mark: str) -> None:
    status, told, report = until(
        lambda seen: times_of(of_file("somebody.py", seen[-1]["blocking"])) >= 2, lambda: serve_what_blocks(project)
    )
    line = line_in(project, "    time.sleep(0.12)")
    assert status == 130
    assert f"/blocks · somebody.py:{line} · time.sleep(0.12) · await asyncio.sleep(…)" in told
    (finding,) = while_running(report)
    assert (finding["line"], finding["times"]) == (line, 2)
    assert_nothing_is_left(mark)


def test_reports_of_several_processes_are_one(tmp_path: Path) -> None:
    mores: list[dict[str, Any]] = [{"first_time": True}, {"first_time": False, "ms": 40.0}]
    finding: dict[str, Any] = {"file": "a.py", "line": 1, "function": "f", "ms": 30.0, "times": 2, "total_ms": 50.0}
    for number, more in enumerate(mores):
        report = {"blocking": [{**finding, **more}], "requests": 3, "statuses": [200 + number], "threshold_ms": 20.0}
        (tmp_path / f"{number}.json").write_text(json.dumps(report))
    merged = merge_reports(tmp_path)
    assert (merged["requests"], merged["statuses"]) == (6, [200, 201])
    assert merged["blocking"] == [{**finding, "first_time": False, "ms": 40.0, "times": 4, "total_ms": 100.0}]
    assert merge_reports(tmp_path / "nothing")["blocking"] == []


MADE = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_superuser("ada", "", "a password")
"""
USERS, ROUNDS = 12, 4
PAGES = ("/admin/", "/admin/auth/user/", "/admin/auth/user/1/change/", "/admin/auth/group/add/", "/nothing/")


async def use_admin(port: int) -> list[int]:
    """Several people sign in and look at pages with sessions and templates, all at once; the statuses."""

    async def user() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            await client.get("/admin/login/")
            token = client.cookies["csrftoken"]
            signed_in = {"username": "ada", "password": "a password", "csrfmiddlewaretoken": token}
            asked = [await client.post("/admin/login/?next=/admin/", data=signed_in)]
            asked += [await client.get(page) for _ in range(ROUNDS) for page in PAGES]
            return [answer.status_code for answer in asked]

    found = await asyncio.gather(*(user() for _ in range(USERS)))
    return [status for statuses in found for status in statuses]


@pytest.mark.live
@pytest.mark.slow
def test_a_new_project_under_load_gives_no_alarm(tmp_path: Path, mark: str) -> None:
    for words in (("-m", "django", "startproject", "mysite", "."), ("-c", MADE)):
        subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, timeout=60)
    port = free_port()
    command = [*LAB, "trace", "--serve", "--app", "mysite.asgi:application", "--blocking", "--json"]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True, env=from_anywhere(), cwd=tmp_path
    ) as running:
        try:
            assert eventually(lambda: answers(port, "/admin/login/"), within_s=30)
            statuses = asyncio.run(use_admin(port))
        finally:
            running.send_signal(signal.SIGINT)
            printed, _ = running.communicate(timeout=20)
    assert sorted(set(statuses)) == [200, 302, 404]
    report = json.loads(printed)
    assert report["requests"] >= USERS * ROUNDS * len(PAGES)
    assert while_running(report) == []
    assert_nothing_is_left(mark)


@pytest.mark.live
def test_an_answer_that_is_not_the_page_is_told(project: Path) -> None:
    done = run("/nothing", folder=project)
    assert done.returncode == 0
    assert "answered 404" in done.stdout
    assert "Not every answer is the page itself" in done.stdout
