"""The process that asks pages of the project behind one door, one after the other, and writes down whole answers.

With each answer stands what was seen on the way: the view, statements that changed the database, connections that were
refused, and why a status is 300 or more. Nothing is timed but the whole, and nothing is traced.
"""

import asyncio
import base64
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..app_loader import error_text
from ..asgi_client import request as send_asgi
from ..asgi_client import running_lifespan
from ..callable_names import innermost, name_of, short_path
from ..child import answering
from ..failures import Failure, noting_failures, places_of, problem_of
from ..request_spec import RequestSpec
from ..wsgi_client import environ_of
from . import network, statements
from .doors import load_door

MOST_BYTES = 5_000_000
"""Of a body: more is not kept, and the answer is said to be cut."""
INSISTS_AFTER_S = 1.0
"""How much longer than its time a page may take that does not let itself be cut."""
Received = dict[str, Any]


def main() -> None:
    """Ask every page in every round: ANSWER.json ASK.json.

    ASK.json: `door`, `pages` (`path` and `method`), `headers`, `rounds`, `pause_s` between them, `page_within_s` for
    one page. The answer is `answers`, and `hangs`: the number of the page that did not end, after which none is asked.
    """
    answer, asked = map(Path, sys.argv[1:3])
    ask = json.loads(asked.read_text())
    with answering("the project", answer) as write:
        application = load_door(ask["door"])
        visit = Visit(application, ask, lambda: write(visit.so_far(hangs=True)))
        with noting_failures() as visit.failure, noting_views() as visit.views:
            (visit.ask_asgi if ask["door"] == "asgi" else visit.ask_wsgi)()
        write(visit.so_far(hangs=False))


class Visit:
    """The pages to ask, and the answers so far."""

    def __init__(self, application: Any, ask: dict[str, Any], give_up: Callable[[], None]) -> None:
        self.application, self.pages, self.within_s = application, ask["pages"], ask["page_within_s"]
        self.give_up = give_up
        self.rounds, self.pause_s = ask["rounds"], ask["pause_s"]
        self.headers = [tuple(header) for header in ask["headers"]]
        self.answers: list[Received] = []
        self.failure, self.views = Failure(), list[Any]()
        self.asks: int | None = None

    def so_far(self, *, hangs: bool) -> dict[str, Any]:
        """What is written: the answers, and which page had not ended if one hangs."""
        return {"answers": list(self.answers), "hangs": self.asks if hangs else None}

    def ask_wsgi(self) -> None:
        """Ask in this thread, as a server's worker does."""
        for number, page in self._turns():
            with self._noting(number, page) as received:
                _send_wsgi(self.application, self._spec(page), received, self.within_s)

    def ask_asgi(self) -> None:
        """Ask on one event loop, within the application's lifespan."""
        asyncio.run(self._ask_asgi())

    async def _ask_asgi(self) -> None:
        async with running_lifespan(self.application) as state:
            for number, page in self._turns():
                with self._noting(number, page) as received:
                    sending = send_asgi(_receiving(self.application, received), self._spec(page), state)
                    await asyncio.wait_for(sending, self.within_s)

    def _turns(self) -> Iterator[tuple[int, Any]]:
        """Every page in every round. Between rounds so long that a clock that shows seconds shows another one."""
        for turn in range(self.rounds):
            time.sleep(self.pause_s if turn else 0)
            yield from enumerate(self.pages)

    def _spec(self, page: dict[str, str]) -> RequestSpec:
        return RequestSpec("the project", page["path"], page["method"], self.headers, page.get("body", ""))

    @contextmanager
    def _noting(self, number: int, page: dict[str, str]) -> Iterator[Received]:
        """Keep an answer with what was seen while it was made; what the application raises is part of it."""
        self.asks, self.failure.error, self.failure.csrf = number, None, ""
        self.views.clear()
        statements.WRITTEN.clear()
        network.REFUSED.clear()
        received: Received = {"page": number, "status": None, "headers": [], "parts": [], "cut": False, "error": ""}
        began_s = time.perf_counter()
        timer = threading.Timer(self.within_s + INSISTS_AFTER_S, self.give_up)
        timer.daemon = True
        timer.start()
        try:
            yield received
        except TimeoutError:
            received["cut"] = True
        except BaseException as error:
            received["error"] = f"{error_text(error)}, {' → '.join(places_of(error)) or 'of an unknown place'}"
        timer.cancel()
        self.answers.append(self._finished(received, self._spec(page), time.perf_counter() - began_s))
        self.asks = None

    def _finished(self, received: Received, spec: RequestSpec, took_s: float) -> Received:
        body, status = b"".join(received.pop("parts")), received["status"]
        headers = {name.lower(): value for name, value in received["headers"]}
        is_odd = status is not None and status >= 300
        return {
            **received,
            "body": base64.b64encode(body).decode(),
            "took_ms": took_s * 1000,
            "problem": problem_of(spec, status, headers, body, self.failure) if is_odd else "",
            "view": _described(self.views[-1]) if self.views else None,
            "writes": _counted(statements.WRITTEN),
            "refused": _counted(network.REFUSED),
        }


def _counted(counter: Counter[tuple[str, str]]) -> list[tuple[str, str, int]]:
    return [(*what, times) for what, times in counter.items()]


def _keep(received: Received, part: bytes) -> None:
    """Keep a part of the body, up to MOST_BYTES."""
    if sum(map(len, received["parts"])) < MOST_BYTES:
        received["parts"].append(bytes(part))
    else:
        received["cut"] = True


def _send_wsgi(application: Any, spec: RequestSpec, received: Received, within_s: float) -> None:
    """Send one request and take the whole answer; a body without an end is cut."""
    until_s = time.monotonic() + within_s

    def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], None]:
        received["status"], received["headers"] = int(status.split()[0]), [list(header) for header in headers]
        return lambda part: _keep(received, part)

    parts = application(environ_of(spec), start_response)
    try:
        for part in parts:
            _keep(received, part)
            if time.monotonic() > until_s:
                raise TimeoutError
    finally:
        if hasattr(parts, "close"):
            parts.close()


def _receiving(application: Any, received: Received) -> Any:
    """The same ASGI application, whose messages are kept."""

    async def kept(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                received["status"], received["headers"] = message["status"], _texts(message.get("headers", ()))
            elif message["type"] == "http.response.body":
                _keep(received, message.get("body", b""))
            await send(message)

        await application(scope, receive, noted)

    return kept


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


@contextmanager
def noting_views() -> Iterator[list[Any]]:
    """Note which view Django resolves each request to, while this lasts."""
    from django.core.handlers.base import BaseHandler

    resolves, views = BaseHandler.resolve_request, list[Any]()

    def resolve_request(self: Any, request: Any) -> Any:
        match = resolves(self, request)
        views.append(match.func)
        return match

    BaseHandler.resolve_request = resolve_request
    try:
        yield views
    finally:
        BaseHandler.resolve_request = resolves


def _described(view: Any) -> dict[str, Any]:
    """Name, place, and whether Django calls it on the event loop. Of a class-based view, the class."""
    from asgiref.sync import iscoroutinefunction

    made_of = getattr(view, "view_class", None) or getattr(view, "cls", None) or innermost(view)
    code = getattr(made_of, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code else _place_of(made_of)
    module = getattr(made_of, "__module__", "")
    return {
        "name": f"{module}.{name_of(made_of)}".lstrip("."),
        "file": short_path(file) if file else "",
        "line": line,
        "is_async": bool(iscoroutinefunction(view)),
    }


def _place_of(made_of: Any) -> tuple[str, int]:
    import inspect

    try:
        return str(inspect.getsourcefile(made_of) or ""), inspect.getsourcelines(made_of)[1]
    except (TypeError, OSError):
        return "", 0
