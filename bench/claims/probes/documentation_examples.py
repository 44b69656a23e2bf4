"""Serves the smallest applications as articles, slides and specifications print them, and WebSockets at bare callables.

Forms of WSGI's: the body a text, a list of texts, a generator of texts, bytes, or a list of bytes. Of ASGI's: the
introduction of its specification, one that answers whatever is asked, and one that first looks what it is asked.
"""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
from asgiref.wsgi import WsgiToAsgi

from bench.claims.probes.serving import OPENED, Command, serve_anything, status_of_handshake
from bench.model.servers import HOST

HELLO = "Hello, World!\n"
INTRODUCTION = """
async def application(scope, receive, send):
    event = await receive()
    ...
    await send({"type": "websocket.send", ...})
"""
GUNICORN = ["python", "-m", "gunicorn", "--no-control-socket", "--log-level", "critical"]
SERVERS = {
    "gunicorn sync": [*GUNICORN, "--worker-class", "sync"],
    "gunicorn gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "2"],
}


def _started(start_response: Any) -> None:
    start_response("200 OK", [("Content-Type", "text/plain")])


def a_text(environ: Any, start_response: Any) -> Any:
    """Return a str, which PEP 3333 does not allow."""
    _started(start_response)
    return HELLO


def a_list_of_texts(environ: Any, start_response: Any) -> Any:
    """Return a list of str, which PEP 3333 does not allow."""
    _started(start_response)
    return [HELLO]


def a_generator_of_texts(environ: Any, start_response: Any) -> Any:
    """Yield str, which PEP 3333 does not allow."""
    _started(start_response)
    yield HELLO


def bytes_alone(environ: Any, start_response: Any) -> Any:
    """Return bytes: an iterable of numbers, where PEP 3333 asks for an iterable of bytes."""
    _started(start_response)
    return HELLO.encode()


def a_list_of_bytes(environ: Any, start_response: Any) -> Any:
    """Return a list of bytes, as PEP 3333 asks for."""
    _started(start_response)
    return [HELLO.encode()]


FORMS: tuple[Callable[..., Any], ...] = (a_text, a_list_of_texts, a_generator_of_texts, bytes_alone, a_list_of_bytes)
BY_PATH = {f"/{form.__name__}": form for form in FORMS}


def any_form(environ: Any, start_response: Any) -> Any:
    """Answer with the form that the path names, so that one server serves all forms."""
    return BY_PATH[environ["PATH_INFO"]](environ, start_response)


async def one_for_any_scope(scope: Any, receive: Any, send: Any) -> None:
    """Answer with HTTP messages, whatever kind of scope it is."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": HELLO.encode()})


async def one_for_http_alone(scope: Any, receive: Any, send: Any) -> None:
    """Answer HTTP. Raises AssertionError for any other scope, such as lifespan."""
    assert scope["type"] == "http"
    await one_for_any_scope(scope, receive, send)


ASYNC_FORMS = (one_for_any_scope, one_for_http_alone)


def wsgi_as_printed() -> dict[str, Any]:
    """Find the WSGI forms with the right body on gunicorn's sync and gthread workers and on `wsgiref`."""
    right = {name: _right_at(url) for name, url in _served_by_gunicorn()}
    with _wsgiref() as url:
        right["wsgiref"] = _right_at(url)
    return _facts([form.__name__ for form in FORMS], right)


def _facts(forms: Sequence[str], right: dict[str, set[str]]) -> dict[str, Any]:
    everywhere = [form for form in forms if all(form in there for there in right.values())]
    return {
        "forms": len(forms),
        "servers": len(right),
        "right_forms": len(everywhere),
        "right": [form.replace("_", " ") for form in everywhere],
        "wrong": [form.replace("_", " ") for form in forms if form not in everywhere],
        "wrong_forms": len(forms) - len(everywhere),
    }


def _served_by_gunicorn() -> Iterator[tuple[str, str]]:
    for name, words in SERVERS.items():
        with serve_anything(partial(_gunicorn, words)) as url:
            yield name, url


def _gunicorn(words: list[str], port: int) -> list[str]:
    return [*words, "--bind", f"{HOST}:{port}", f"{__name__}:any_form"]


def _right_at(url: str) -> set[str]:
    return {form.__name__ for form in FORMS if _is_right(f"{url}/{form.__name__}")}


def _is_right(url: str) -> bool:
    try:
        answer = httpx.get(url, trust_env=False, timeout=5)
    except httpx.HTTPError:
        return False
    return (answer.status_code, answer.text) == (200, HELLO)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Log nothing."""

    def get_stderr(self) -> Any:
        return io.StringIO()  # traces of the forms that do not work


@contextmanager
def _wsgiref() -> Iterator[str]:
    with make_server(HOST, 0, any_form, handler_class=_Quiet) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()


def asgi_as_printed() -> dict[str, Any]:
    """Find the ASGI forms that give the right body on uvicorn and daphne, and whether the introduction is Python."""
    right: dict[str, set[str]] = {"uvicorn": set(), "daphne": set()}
    for form in ASYNC_FORMS:
        for server in right:
            with serve_anything(partial(_async_command, server, form.__name__)) as url:
                right[server] |= {form.__name__} if _is_right(url) else set()
    introduction = "the specification's introduction"
    return {**_facts([introduction, *(form.__name__ for form in ASYNC_FORMS)], right), "is_python": _compiles()}


def _async_command(server: str, form: str, port: int) -> list[str]:
    target = f"{__name__}:{form}"
    if server == "uvicorn":
        return ["python", "-m", "uvicorn", "--log-level", "critical", "--port", str(port), target]
    return ["python", "-m", "daphne", "--verbosity", "0", "--bind", HOST, "--port", str(port), target]


def _compiles() -> bool:
    try:
        compile(INTRODUCTION, "introduction", "exec")
    except SyntaxError:
        return False
    return True


WSGI_INSIDE = WsgiToAsgi(a_list_of_bytes)


async def both(scope: Any, receive: Any, send: Any) -> None:
    """Accept every WebSocket, and pass HTTP on to a WSGI application."""
    if scope["type"] == "http":
        await WSGI_INSIDE(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


def bare_interfaces() -> dict[str, Any]:
    """Ask a bare callable behind each interface: does it answer, and which status does a WebSocket get?"""
    uvicorn = ["uvicorn", "--lifespan", "off", "--ws", "websockets-sansio", "--log-level", "critical"]
    commands: dict[str, Command] = {
        "asgi": lambda port: ["python", "-m", *uvicorn, "--port", str(port), f"{__name__}:both"],
        "wsgi": lambda port: [*GUNICORN, "--threads", "2", "--bind", f"{HOST}:{port}", f"{__name__}:a_list_of_bytes"],
    }
    facts: dict[str, Any] = {}
    for door, command in commands.items():
        with serve_anything(command) as url:
            facts[f"{door}_answers"] = httpx.get(url, trust_env=False, timeout=10).text == HELLO
            facts[f"{door}_handshake"] = status = asyncio.run(status_of_handshake(url, "/"))
            facts[f"{door}_opens"] = status == OPENED
    return facts
