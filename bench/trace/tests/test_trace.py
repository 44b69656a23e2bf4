"""`lab trace` at the door: the lab's stacks and anybody's project, all forms of answer, a sentence for each mistake."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.cli.main import main
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.trace.inside.model import Trace
from bench.trace.tracer import trace_stack

LAB = (sys.executable, "-m", "bench")
SITE = """
    import asyncio, os, sys, time
    from django.conf import settings
    settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
        LOGGING={"version": 1, "disable_existing_loggers": True})
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    async def fine(request):
        print("printed by the view")
        return HttpResponse("fine")

    async def raises(request):
        raise KeyError("the view's own")

    async def never(request):
        await asyncio.Event().wait()

    def leaves(request):
        os._exit(7)

    urlpatterns = [path("", fine), path("raises", raises), path("never", never), path("leaves", leaves)]
    application = get_asgi_application()
    wsgi = get_wsgi_application()
    a_number = 42

    def takes_one(scope):
        pass
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's project, as the current folder."""
    (tmp_path / "site_of_mine.py").write_text(textwrap.dedent(SITE))
    (tmp_path / "broken.py").write_text("import no_such_thing\n")
    (tmp_path / "unset.py").write_text("from django.conf import settings\nsettings.DEBUG\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lab(*words: str, within_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [*LAB, "trace", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=within_s, env=from_anywhere(), check=False)


def from_anywhere() -> dict[str, str]:
    """The environment in which `python -m bench` is found from every folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_stack_is_traced_as_json_with_the_totals_first(mark: str) -> None:
    done = lab("async_asgi@uvicorn", "hello", "--middleware", "startproject", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert list(data)[:4] == ["summary", "hops", "threads", "status"]
    assert (data["hops"], data["threads"]) == ({"sync_to_async": 15, "async_to_sync": 0}, 2)
    assert len(data["crossings"]) == 15
    assert data["status"] == 200
    assert 0 < data["first_byte_us"] <= data["took_us"]
    assert 0 < data["handed_off_us"] < data["took_us"]
    assert_nothing_is_left(mark)


def test_each_middleware_is_told_with_what_it_can_be_and_the_hops_it_caused() -> None:
    layers = {layer.path.rpartition(".")[2]: layer for layer in traced("async_asgi@uvicorn", "startproject").middleware}
    assert {name: layer.hops for name, layer in layers.items()} == {
        "SecurityMiddleware": 2,
        "SessionMiddleware": 2,
        "CommonMiddleware": 2,
        "CsrfViewMiddleware": 3,
        "AuthenticationMiddleware": 1,
        "MessageMiddleware": 2,
        "XFrameOptionsMiddleware": 1,
    }
    assert {(layer.capable, layer.runs) for layer in layers.values()} == {("both", "async")}


def traced(stack: str, *middleware: str, request: str = "hello") -> Trace:
    return trace_stack(parse_stack(stack), parse_request(request), middleware)


def test_the_advice_is_what_happens_when_it_is_taken() -> None:
    stock, folded = traced("async_asgi@uvicorn", "startproject"), traced("folded@uvicorn")
    (sentence,) = stock.advice
    count, there, back = map(int, re.findall(r"\d+", sentence))
    assert sentence.startswith(f"{count} hops come from MiddlewareMixin")
    assert stock.hop_counts["sync_to_async"] - folded.hop_counts["sync_to_async"] == count - there
    assert folded.hop_counts["async_to_sync"] == back
    assert folded.advice == []
    sync_only = folded.middleware[-1]
    assert (sync_only.capable, sync_only.hops) == ("sync", 2)


def test_a_sync_only_middleware_around_async_ones_is_named_in_the_advice() -> None:
    trace = traced("async_asgi@uvicorn", "sync_only", "async_only")
    assert any("labs.common.middleware.sync_only is sync-only" in sentence for sentence in trace.advice)
    assert {layer.path: layer.hops for layer in trace.middleware} == {
        "labs.common.middleware.sync_only": 2,
        "labs.common.middleware.async_only": 0,
    }


def test_async_code_under_wsgi_is_advised_against() -> None:
    trace = traced("async_wsgi@gthread:8")
    assert trace.hop_counts == {"sync_to_async": 0, "async_to_sync": 1}
    assert any("under WSGI" in sentence for sentence in trace.advice)


def test_a_workload_that_calls_out_has_its_upstream_service(mark: str) -> None:
    trace = traced("sync_asgi@uvicorn", request="fan_out?n=2&ms=1")
    assert (trace.status, trace.hop_counts["sync_to_async"]) == (200, 3)
    assert_nothing_is_left(mark)


def test_somebodys_project_is_traced_without_a_change_to_it(site: Path, mark: str) -> None:
    done = lab("--app", "site_of_mine:application", "/")
    assert done.returncode == 0, done.stderr
    assert "event loop" in done.stdout
    assert "thread 1" in done.stdout
    assert "6 hops to a thread · 2 threads · 200" in done.stdout
    assert "CommonMiddleware.process_response" in done.stdout
    assert "printed by the view" not in done.stdout
    wsgi = lab("--app", "site_of_mine:wsgi", "/", "--json")
    assert json.loads(wsgi.stdout)["hops"] == {"sync_to_async": 0, "async_to_sync": 1}
    assert_nothing_is_left(mark)


def test_a_trace_opens_in_perfetto_and_as_a_picture(site: Path) -> None:
    done = lab("--app", "site_of_mine:application", "/", "--perfetto", "trace.json", "--svg", "trace.svg")
    assert done.returncode == 0, done.stderr
    events = json.loads((site / "trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    assert sorted(event["id"] for event in events if event["ph"] == "s") == list(range(2, 14))
    assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")
    assert ElementTree.parse(site / "trace.svg").getroot().tag.endswith("svg")


MISTAKES = [
    (
        "--app no_such_site:application /",
        2,
        r"There is no module 'no_such_site'.*go to the folder where manage\.py is\.",
    ),
    (
        "--app broken:application /",
        2,
        r"broken cannot be imported by .* \(ModuleNotFoundError.*\): name the project's own interpreter",
    ),
    ("--app unset:application /", 2, r"unset cannot be imported \(ImproperlyConfigured.*set DJANGO_SETTINGS_MODULE"),
    ("--app site_of_mine:aplication /", 2, r"site_of_mine has no 'aplication': did you mean application\?"),
    ("--app site_of_mine:a_number /", 2, r"site_of_mine:a_number is a int, not an application"),
    (
        "--app site_of_mine:takes_one /",
        2,
        r"site_of_mine:takes_one is not an application: it takes neither an ASGI callable's 3 arguments nor a WSGI",
    ),
    ("--app site_of_mine /", 2, r"'site_of_mine' does not name an application: write module:attribute"),
    ("--app site_of_mine:application / /", 2, r"With --app there is one more word, the path"),
    ("--app site_of_mine:application /raises", 1, r"GET /raises raised KeyError: .*the view's own.*: the trace shows"),
    (
        "--app site_of_mine:application /never --time-limit 2",
        4,
        r"GET /never did not end within 2 s: the trace shows how far it came",
    ),
    ("--app site_of_mine:application /leaves", 1, r"site_of_mine:application ended its process with status 7"),
    ("--app site_of_mine:application / --svg no/such/folder.svg", 2, r"no/such/folder\.svg cannot be written"),
    ("async_asgi@uvicorn", 2, r"Say what to trace: `lab trace STACK WORKLOAD`"),
    ("/blog/", 2, r"for a project of yours, in its folder, `lab trace --app mysite\.asgi:application /blog/`"),
    ("async_asgi@uvicorn helo", 2, r"Unknown workload 'helo': did you mean hello"),
    ("bare_asgi@uvicorn burn", 2, r"bare_asgi does not answer burn"),
    ("async_asgi@uvicorn hello --middleware nonsense", 2, r"Unknown middleware 'nonsense'"),
    ("async_asgi@uvicorn hello --header nonsense", 2, r"'nonsense' is no header: write NAME: VALUE"),
]


@pytest.mark.live
@pytest.mark.parametrize(("words", "code", "sentence"), MISTAKES, ids=[words for words, _, _ in MISTAKES])
def test_a_mistake_is_one_sentence_and_an_exit_code(
    words: str, code: int, sentence: str, site: Path, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", *words.split()]) == code
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("lab: ")]
    assert re.search(sentence, line), line
    assert "Traceback" not in err
    assert_nothing_is_left(mark)


def test_a_client_that_leaves_ends_the_request(site: Path) -> None:
    done = lab("--app", "site_of_mine:application", "/never", "--leave-after", "0.2", "--json")
    assert done.returncode == 0, done.stderr
    trace = json.loads(done.stdout)
    assert trace["status"] is None
    assert all(hop["outcome"] != "not ended" for hop in trace["crossings"])


@pytest.mark.parametrize(
    "words", [("async_asgi@uvicorn",), ("sync_wsgi@gthread:8",), ("--app", "site_of_mine:application")]
)
def test_a_served_application_tells_each_request_and_the_browser(words: tuple[str, ...], site: Path, mark: str) -> None:
    port = free_port()
    path = "/" if "--app" in words else "/hello"
    command = [*LAB, "trace", "--serve", *words, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=from_anywhere()) as running:
        try:
            assert running.stderr
            assert eventually(lambda: answers(port, path), within_s=30)
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert re.match(
                r'hops;desc="[^"]+", handoff;dur=\d+\.\d{3}, queued;dur=0\.000, thread-work;dur=\d',
                answer.headers["server-timing"],
            )
        finally:
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=20)
    assert running.returncode == 130
    assert re.search(rf"GET {path} · 200 · .+ · \d threads? · .+ ms handed off", told), told
    assert_nothing_is_left(mark)


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_measured_server_knows_nothing_of_the_tracer() -> None:
    """What is measured is the stack's own command, and nothing it imports comes from here."""
    assert "bench" not in " ".join(parse_stack("async_asgi@uvicorn").command(8000))
    look = "import sys, labs.async_asgi.asgi; sys.exit(any(name.partition('.')[0] == 'bench' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, timeout=60, check=False).returncode == 0
