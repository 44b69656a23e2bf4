"""The process that `lab trace` starts: load an application, send it a request, and write down what was seen.

A process of its own, because an application may hang, print, change its process or end it. ANSWER.json holds `trace`,
or `error` with the exit code. It is written once: when the request has ended, or when its time is over.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .app_loader import FAILED, INVALID, Interface, Refused, error_text, load_application
from .request_spec import RequestSpec

AFTER_LEAVING_S = 2.0
"""How long a request may go on when its client has left."""
NO_OBSERVER = "none"
"""Without asgiref, or with other adapters in its place, there is nothing to watch."""
SERVERS = ("uvicorn", "daphne", "hypercorn")
SOCKETS = ("websockets", "wsproto")
"""What uvicorn needs for WebSockets, one of them."""
Write = Callable[[dict[str, Any]], None]


def main() -> None:
    """Trace one request: ASK.json ANSWER.json."""
    question, answer = map(Path, sys.argv[1:3])
    spec = RequestSpec(**json.loads(question.read_text()))
    with answering(spec.app, answer) as write:
        Tracing(spec, *load_application(spec.app, spec.hides), write).run()


def describe() -> None:
    """Write which interface an application has, and which ASGI servers there are: APP HIDDEN_FOLDER ANSWER.json."""
    app, hides, answer = sys.argv[1:4]
    with answering(app, Path(answer)) as write:
        _, interface = load_application(app, hides)
        write({"interface": interface, "servers": asgi_servers()})


def asgi_servers() -> list[str]:
    """ASGI servers of this interpreter; uvicorn first where it can serve WebSockets, else last."""
    found = [name for name in SERVERS if find_spec(name)]
    serves_sockets = any(map(find_spec, SOCKETS))
    return sorted(found, key=lambda name: name == "uvicorn" and not serves_sockets)


@contextmanager
def answering(app: str, path: Path) -> Iterator[Write]:
    """Yield what writes an answer; where the block raises, write its sentence. Then wait until `lab` has read it.

    Only the first answer is written, and whole. Any thread may write it.
    """
    lock, part = threading.Lock(), path.with_suffix(".part")

    def write(answer: dict[str, Any]) -> None:
        with lock:
            if not path.exists():
                part.write_text(json.dumps(answer))
                os.replace(part, path)

    try:
        yield write
    except Refused as error:
        write({"error": str(error), "exit_code": error.exit_code, "word": error.word, "known": error.known})
    except BaseException as error:
        write({"error": f"{app} could not be asked: {error_text(error)}.", "exit_code": FAILED})
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # runs what the project wants run at its end
    while True:
        signal.pause()


class Tracing:
    """One request of one application, and what is known of it so far."""

    def __init__(self, spec: RequestSpec, application: Any, interface: Interface, write: Write) -> None:
        self.spec, self.application, self.interface, self.write = spec, application, interface, write
        self.begun: list[Any] = []
        self.observer, self.has_lifespan = NO_OBSERVER, None
        self.failure: Any = None

    def run(self) -> None:
        """Send the request, write down its trace. Raises Refused where the lifespan's start-up fails."""
        self._give_up_after(self.spec.time_limit_s)
        # Only now: what the project imports first, it finds as it would without us.
        from . import asgi_client, wsgi_client
        from .failures import noting_failures
        from .middleware_chain import mark_layers
        from .threads import counting_threads
        from .view_calls import noting_view_calls
        from .wrappers import TracedASGI, TracedWSGI

        mark_layers()
        client: Any = asgi_client if self.interface == "asgi" else wsgi_client
        traced = (TracedASGI if self.interface == "asgi" else TracedWSGI)(self.application, on_begin=self._begin)
        with (
            observing() as self.observer,
            counting_threads(),
            noting_view_calls(),
            noting_failures() as self.failure,
        ):
            self.has_lifespan = client.send_in_turn([traced] * self.spec.times, self.spec, self.application)
        self.write({"trace": self.trace().to_json()})

    def _begin(self, collector: Any) -> None:
        """A request begins: from now on its trace is the one that is written."""
        self.begun.append(collector)
        self.failure.error, self.failure.csrf = None, ""
        if self.spec.leave_after_s is not None:
            self._give_up_after(self.spec.leave_after_s + AFTER_LEAVING_S)

    def _give_up_after(self, seconds: float) -> None:
        """Write down what was seen so far when this time is over. Loading comes before: gevent replaces threads."""
        timer = threading.Timer(seconds, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        if self.begun:
            self.write({"trace": self.trace().to_json()})
        else:
            sentence = f"The lifespan start-up of {self.spec.app} did not end within {self.spec.time_limit_s:g} s"
            self.write({"error": f"{sentence}: give it longer with --time-limit.", "exit_code": INVALID})

    def trace(self) -> Any:
        """The trace of the request that began last, as far as it has come."""
        from .advice import advice_on
        from .failures import places_of, problem_of
        from .middleware import layers_of_django

        collector = self.begun[-1]
        if collector.error is None and collector.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            collector.error = self.failure.error
        error, answer = collector.error, (collector.status, collector.headers, collector.body)
        is_odd = error is None and (collector.status or 0) >= 300
        trace = collector.trace(
            self.spec.app,
            layers_of_django(self.interface, collector.hops),
            self.observer,
            error_at=places_of(error) if error else [],
            problem=problem_of(self.spec, *answer, self.failure) if is_odd else None,
            has_lifespan=self.has_lifespan,
            warm_up=len(self.begun) - 1,
            interpreter=sys.executable,
        )
        return replace(trace, advice=advice_on(trace))


def observing() -> AbstractContextManager[str]:
    """Watch asgiref, while this lasts, in the way that this Python allows. Yields what to call that way."""
    try:
        from .asgiref_hooks import observing
    except ImportError:
        return nullcontext(NO_OBSERVER)
    return observing()
