"""Applications of every kind: found as servers find them, asked as servers ask, ended whatever they leave behind."""

import asyncio
import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from bench.base.errors import LabError
from bench.base.polling import eventually
from bench.measure.ports import free_port
from bench.measure.tests.processes import assert_nothing_is_left
from bench.trace.inside.app_loader import Refused, interface_of
from bench.trace.inside.asgi_client import scope_of
from bench.trace.inside.collector import Collector
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.inside.wrappers import TracedWSGI
from bench.trace.inside.wsgi_client import environ_of
from bench.trace.tests.test_trace import LAB, answers, from_anywhere
from bench.trace.tests.traced_project import ask, notes, write_application, write_project


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """An application."""


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class InSlot:
    """Its `__call__` lies in a slot of the instance, as that of error trackers does."""

    __slots__ = ("__call__", "application")

    def __init__(self, application: Any) -> None:
        self.application = application
        self.__call__ = self.run

    async def run(self, scope: Any, receive: Any, send: Any) -> None:
        await self.application(scope, receive, send)


class Plain:
    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, *arguments: Any) -> Any:
        return self.application(*arguments)


class ASGIClass:
    """What a call makes is awaited."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        pass

    def __await__(self) -> Iterator[None]:
        yield None


class WSGIClass:
    """What a call makes is iterated over, as in PEP 3333."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        pass

    def __iter__(self) -> Iterator[bytes]:
        yield b""


@functools.wraps(asgi)
def decorated(*arguments: Any) -> Any:
    return asgi(*arguments)


def passes_on(scope: Any, receive: Any, send: Any) -> Any:
    return asgi(scope, receive, send)


KINDS = [
    *((asgi, "asgi"), (wsgi, "wsgi"), (InSlot(asgi), "asgi"), (Plain(asgi), "asgi"), (Plain(wsgi), "wsgi")),
    *((decorated, "asgi"), (passes_on, "asgi"), (functools.partial(asgi), "asgi"), (Plain(InSlot(asgi)), "asgi")),
    *((ASGIClass, "asgi"), (WSGIClass, "wsgi"), (lambda *arguments: asgi(*arguments), "asgi")),
]


@pytest.mark.parametrize(("application", "interface"), KINDS)
def test_the_interface_is_found_as_servers_find_it(application: Any, interface: str) -> None:
    assert interface_of("somebody:application", application) == interface


@pytest.mark.parametrize("application", [42, lambda: None, lambda one: None, lambda a, b, c, d: None, InSlot])
def test_what_is_no_application_is_refused(application: Any) -> None:
    with pytest.raises(Refused, match="not an application"):
        interface_of("somebody:thing", application)


@pytest.mark.parametrize("path", ["/café/", "/caf%C3%A9/", "/日本/x", "/a b", "/100%25", "/semi;colon=1/é"])
def test_a_path_is_the_same_behind_both_doors(path: str) -> None:
    scope, environ = (
        scope_of(RequestSpec("", f"{path}?q=é&r=%C3%A9")),
        environ_of(RequestSpec("", f"{path}?q=é&r=%C3%A9")),
    )
    assert environ["PATH_INFO"].encode("latin-1").decode() == scope["path"]
    assert scope["raw_path"].isascii()
    assert environ["QUERY_STRING"] == "q=%C3%A9&r=%C3%A9" == scope["query_string"].decode()


def test_of_headers_of_one_name_the_last_one_wins_whatever_its_case() -> None:
    ask_ = RequestSpec("", "/", headers=[("HOST", "first"), ("host", "second"), ("X-Word", "é")])
    headers = scope_of(ask_)["headers"]
    assert [value for name, value in headers if name == b"host"] == [b"second"]
    assert environ_of(ask_)["HTTP_HOST"] == "second"
    assert environ_of(ask_)["HTTP_X_WORD"].encode("latin-1") == dict(headers)[b"x-word"] == "é".encode()


@pytest.mark.parametrize("app", ["somebody:application", "somebody:wsgi"])
def test_a_path_that_is_not_ascii_finds_its_view(tmp_path: Path, app: str) -> None:
    write_project(tmp_path, "configure()\nurlpatterns = [path('café/', hello_sync)]\n")
    trace = ask(tmp_path, "/caf%C3%A9/", app)
    assert (trace.status, trace.path) == (200, "/café/")


def test_the_lifespan_is_started_and_its_state_is_there_and_it_is_ended(tmp_path: Path) -> None:
    write_application(
        tmp_path,
        """
        from pathlib import Path
        async def application(scope, receive, send):
            if scope["type"] == "lifespan":
                assert (await receive())["type"] == "lifespan.startup"
                scope["state"]["client"] = "opened"
                await send({"type": "lifespan.startup.complete"})
                assert (await receive())["type"] == "lifespan.shutdown"
                Path("notes").write_text("closed")
                await send({"type": "lifespan.shutdown.complete"})
                return
            assert scope["state"] == {"client": "opened"}
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"fine"})
        """,
    )
    trace = ask(tmp_path)
    assert (trace.status, trace.has_lifespan, notes(tmp_path)) == (200, True, ["closed"])


def test_a_lifespan_that_fails_or_never_answers_is_a_sentence_and_none_is_said(tmp_path: Path) -> None:
    write_application(
        tmp_path,
        """
        import asyncio
        async def fails(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no such host"})
        async def never(scope, receive, send):
            await asyncio.Event().wait()
        async def none(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        """,
    )
    with pytest.raises(LabError, match=r"lifespan start-up failed: no such host\."):
        ask(tmp_path, app="somebody:fails")
    with pytest.raises(LabError, match=r"The lifespan start-up of somebody:never did not end within 1 s"):
        ask(tmp_path, app="somebody:never", within_s=1.0)
    assert ask(tmp_path, app="somebody:none").has_lifespan is False


ANSWERS = """
async def application(scope, receive, send):
    {does}
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"fine"}})
"""
LEFT_BEHIND = {
    "a thread": "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()",
    "a task": "import asyncio, somebody_else; asyncio.create_task(somebody_else.forever())",
    "a process": "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "a daemon": "import os, time; os.fork() or (os.setsid(), os.fork() or time.sleep(600), os._exit(0))",
    "a process that passes its work on": (
        "import os, threading, time; os.fork() or (os.setsid(), time.sleep(0.5), os.fork() and os._exit(0), "
        "os.setsid(), time.sleep(20), os._exit(0)); threading.Thread(target=time.sleep, args=(600,)).start()"
    ),
}


@pytest.mark.parametrize("does", LEFT_BEHIND.values(), ids=list(LEFT_BEHIND))
def test_what_a_request_leaves_behind_does_not_hold_its_trace(tmp_path: Path, does: str, mark: str) -> None:
    write_application(tmp_path, ANSWERS.format(does=does))
    write_application(
        tmp_path,
        """
        import asyncio
        async def forever():
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass
        """,
        "somebody_else.py",
    )
    assert ask(tmp_path, warm_up=False).status == 200
    assert_nothing_is_left(mark)


IMPORTS = {
    "import sys; sys.exit('no config')": r"Importing somebody ends its process, which says 'no config'",
    "import os; os._exit(3)": r"somebody:application ended its process with status 3 before it answered",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": r"ended its process by SIGSEGV before it answered",
    "raise KeyboardInterrupt": r"somebody cannot be imported \(KeyboardInterrupt\)",
}


@pytest.mark.parametrize(("line", "sentence"), IMPORTS.items())
def test_an_import_that_ends_its_process_is_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    write_application(tmp_path, f"{line}\n{ANSWERS.format(does='pass')}")
    with pytest.raises(LabError, match=sentence):
        ask(tmp_path)


@pytest.mark.parametrize(
    "line",
    ["import os; os.close(1); os.close(2)", "import sys; sys.stdout = sys.stderr = None", "import os; os.chdir('/')"],
)
def test_an_import_that_closes_its_streams_or_goes_elsewhere_is_traced(tmp_path: Path, line: str) -> None:
    write_application(tmp_path, f"{line}\n{ANSWERS.format(does='pass')}")
    assert ask(tmp_path).status == 200


RAISES = {
    "SystemExit(7)": "SystemExit: 7",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "ValueError('a')": "ValueError: a",
}


@pytest.mark.parametrize(("raised", "text"), RAISES.items())
def test_whatever_an_application_raises_is_in_its_trace(tmp_path: Path, raised: str, text: str) -> None:
    write_application(
        tmp_path, ANSWERS.format(does=f"raise {raised}") + f"\ndef wsgi(environ, start): raise {raised}\n"
    )
    assert ask(tmp_path).error == ask(tmp_path, app="somebody:wsgi").error == text


class Answer:
    """A WSGI answer that counts how often it is closed."""

    def __init__(self, *parts: bytes) -> None:
        self.parts, self.closed = parts, 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("cannot be closed")


def test_of_an_answer_that_begins_twice_the_first_beginning_counts() -> None:
    request = Collector("asgi", "GET", "/")
    request.answering(200, [(b"X-Seen", b"yes")])
    request.answering(500)
    assert (request.status, request.headers) == (200, {"x-seen": "yes"})


def test_a_wsgi_answer_is_taken_and_closed_by_the_server_alone() -> None:
    answer, seen = Answer(b"one", b"two"), list[Collector]()
    application = TracedWSGI(lambda environ, start: (start("200 OK", []) and None) or answer, seen.append)
    parts = application(environ_of(RequestSpec("", "/")), lambda *said: None)
    assert (len(parts), list(parts)) == (2, [b"one", b"two"])
    assert (answer.closed, seen) == (0, [])
    with pytest.raises(RuntimeError, match="cannot be closed"):
        parts.close()
    assert answer.closed == 1
    assert str(seen[0].error) == "cannot be closed"


def test_an_answer_without_a_length_or_without_an_end_is_as_it_was() -> None:
    application = TracedWSGI(lambda environ, start: iter([b"a"]), lambda collector: None)
    parts = application(environ_of(RequestSpec("", "/")), None)
    with pytest.raises(TypeError):
        len(parts)
    assert list(parts) == [b"a"]
    with pytest.raises(TypeError, match="not iterable"):
        TracedWSGI(lambda environ, start: None, lambda collector: None)(environ_of(RequestSpec("", "/")), None)


@contextmanager
def served(folder: Path, app: str = "somebody:application", path: str = "/") -> Iterator[tuple[int, list[str]]]:
    """`lab trace --serve` in that folder: its port, and what it printed when it has ended."""
    port, printed = free_port(), list[str]()
    command = [sys.executable, "-P", "-m", "bench", "trace", "--serve", "--app", app, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=from_anywhere(), cwd=folder) as running:
        try:
            assert eventually(lambda: answers(port, path), within_s=30)
            yield port, printed
        finally:
            running.send_signal(signal.SIGINT)
            printed += running.communicate(timeout=20)[1].splitlines()


def test_sockets_are_served_and_each_is_told_with_the_thread_of_its_consumer(tmp_path: Path, mark: str) -> None:
    write_project(
        tmp_path,
        """
        configure(INSTALLED_APPS=["channels"])
        import django
        django.setup()
        from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
        class InThread(WebsocketConsumer):
            def receive(self, text_data=None, bytes_data=None):
                self.send(threading.current_thread().name)
        class OnLoop(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                await self.send("here")
        urlpatterns = [path("", hello)]
        """,
    )
    with (tmp_path / "somebody.py").open("a") as module:
        module.write(
            "from channels.routing import ProtocolTypeRouter, URLRouter\n"
            "sockets = [path('sync', InThread.as_asgi()), path('async', OnLoop.as_asgi())]\n"
            "application = ProtocolTypeRouter({'http': application, 'websocket': URLRouter(sockets)})\n"
        )

    async def says(port: int, path: str) -> str:
        async with connect(f"ws://127.0.0.1:{port}/{path}", proxy=None) as socket:
            await socket.send("who")
            return str(await asyncio.wait_for(socket.recv(), 20))

    with served(tmp_path) as (port, printed):
        thread, here = (asyncio.run(says(port, path)) for path in ("sync", "async"))
    assert here == "here"
    in_thread, on_loop = (
        [line for line in printed if line.startswith(f"WEBSOCKET /{way} ")] for way in ("sync", "async")
    )
    assert len(in_thread) == len(on_loop) == 1
    assert re.match(rf"WEBSOCKET /sync · 101 · consumer on thread {re.escape(thread)} · ", in_thread[0])
    assert on_loop[0].startswith("WEBSOCKET /async · 101 · consumer on the event loop · ")
    assert "The application has no lifespan." in printed
    assert_nothing_is_left(mark)


def test_a_served_application_has_its_lifespan_and_a_name_like_ours(tmp_path: Path, mark: str) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    write_application(
        tmp_path,
        """
        async def application(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                scope["state"]["word"] = b"kept"
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["state"]["word"]})
        """,
        "bench/asgi.py",
    )
    with served(tmp_path, "bench.asgi:application") as (port, printed):
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "kept"
    assert any(line.startswith("GET / · 200 · no hop · 1 thread") for line in printed)
    assert "The application has no lifespan." not in printed
    assert_nothing_is_left(mark)


def test_behind_wsgi_it_is_served_as_it_is_and_what_it_leaves_is_ended(tmp_path: Path, mark: str) -> None:
    write_project(
        tmp_path,
        """
        configure()
        import subprocess
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        os.close(1)
        def raises_at_its_end(request):
            response = HttpResponse("fine")
            response._resource_closers.append(lambda: note("closed"))
            return response
        urlpatterns = [path("", hello_sync), path("café/", raises_at_its_end)]
        """,
    )
    with served(tmp_path, "somebody:wsgi") as (port, printed):
        answer = httpx.get(f"http://127.0.0.1:{port}/caf%C3%A9/", trust_env=False)
    assert (answer.status_code, answer.text) == (200, "fine")
    assert notes(tmp_path) == ["closed"]
    assert any(line.startswith("GET /café/ · 200 · no hop · 1 thread") for line in printed)
    assert_nothing_is_left(mark)


@pytest.mark.parametrize(("line", "sentence"), list(IMPORTS.items())[:3])
def test_an_import_that_ends_its_process_is_a_sentence_also_when_it_is_served(
    tmp_path: Path, line: str, sentence: str
) -> None:
    write_application(tmp_path, f"{line}\n{ANSWERS.format(does='pass')}")
    command = [*LAB, "trace", "--serve", "--app", "somebody:application", "--port", str(free_port())]
    done = subprocess.run(
        command, capture_output=True, text=True, env=from_anywhere(), cwd=tmp_path, timeout=60, check=False
    )
    assert re.search(sentence, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2)


def test_a_trace_is_one_document_also_where_the_project_prints(tmp_path: Path) -> None:
    write_application(tmp_path, f"print('noise')\n{ANSWERS.format(does='print(1)')}")
    command = [*LAB, "trace", "--app", "somebody:application", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=from_anywhere(), cwd=tmp_path, timeout=60, check=False
    )
    assert json.loads(done.stdout)["status"] == 200
    assert os.path.basename(json.loads(done.stdout)["interpreter"]).startswith("python")
