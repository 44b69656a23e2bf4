"""The process that `lab trace` starts: load an application, ask it once, and write down what was seen.

A process of its own, because an application may hang, print, change its process or end it. ANSWER.json holds `trace`,
or `error` with the exit code. It is written once: when the request has ended, or when nobody waits any more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from .app_loader import FAILED, INVALID, Application, Refused, error_text, load
from .request_spec import RequestSpec, read_request_spec

AFTER_LEAVING_S = 2.0
"""How long a request may go on when its client has left."""
NO_OBSERVER = "none"
"""Without asgiref, or with other adapters in its place, there is nothing to watch."""


class Asking:
    """One request of one application, and what is known of it so far."""

    def __init__(self, ask: RequestSpec, write: Callable[[dict[str, Any]], None]) -> None:
        self.ask, self.write = ask, write
        self.application: Application | None = None
        self.begun: list[Any] = []
        self.observer, self.has_lifespan = NO_OBSERVER, None
        self.noted: Any = None

    def run(self) -> None:
        """Load it, ask it, write down the trace. Raises Refused."""
        self.application = application = load(self.ask.app, self.ask.hides)
        give_up_after(self.ask.time_limit_s, self)  # not before: gevent replaces threads, and none may run then
        # Only now: what the project imports first, it finds as it would without us.
        from . import asgi_client, wsgi_client
        from .failures import noting_failures
        from .middleware_chain import mark_layers
        from .threads import counting_threads

        mark_layers()
        with ExitStack() as watching:
            self.observer = watching.enter_context(observing(self.ask.observer))
            watching.enter_context(counting_threads())
            self.noted = watching.enter_context(noting_failures())
            asks: Any = asgi_client if application.interface == "asgi" else wsgi_client
            self.has_lifespan = asks.ask_in_turn([self.traced()] * (1 + self.ask.is_warmed), self.ask, application.call)
        self.write({"trace": self.trace().to_json()})

    def traced(self) -> Any:
        """Return the application, wrapped so that its requests are collected. Needs `run` to have loaded it."""
        from .wrappers import TracedASGI, TracedWSGI

        assert self.application
        kind = TracedASGI if self.application.interface == "asgi" else TracedWSGI
        return kind(self.application.call, lambda collector: None, self.begins)

    def begins(self, collector: Any) -> None:
        """A request begins: from now on it is the one that is told."""
        self.begun.append(collector)
        for noted in (self.noted.raised, self.noted.csrf):
            noted.clear()
        if self.ask.leave_after_s is not None:
            give_up_after(self.ask.leave_after_s + AFTER_LEAVING_S, self)

    def trace(self) -> Any:
        """The trace of the request that began last, as far as it has come."""
        from .advice import advice_on
        from .failures import places_of, problem_of
        from .middleware import layers_of_django

        assert self.application
        collector, error = self.begun[-1], self.begun[-1].error
        if error is None and collector.status == HTTPStatus.INTERNAL_SERVER_ERROR and self.noted.raised:
            collector.error = error = self.noted.raised[-1]
        layers = layers_of_django(self.application.interface, collector.hops)
        seen = collector.trace(self.application.name, layers, self.observer)
        is_odd = error is None and (seen.status or 0) >= 300
        answer = seen.status, collector.headers, collector.body
        seen = replace(
            seen,
            error_at=places_of(error) if error else [],
            problem=problem_of(self.ask, *answer, self.noted) if is_odd else None,
            has_lifespan=self.has_lifespan,
            warm_up=len(self.begun) - 1,
            interpreter=sys.executable,
        )
        return replace(seen, advice=advice_on(seen))

    def give_up(self) -> None:
        """Nobody waits any more: write down what was seen so far."""
        if self.begun:
            self.write({"trace": self.trace().to_json()})
        else:
            sentence = f"The lifespan start-up of {self.ask.app} did not end within {self.ask.time_limit_s:g} s"
            self.write({"error": f"{sentence}: give it longer with --time-limit.", "exit_code": INVALID})


@contextmanager
def observing(name: str) -> Iterator[str]:
    """Watch asgiref in that way; yields what to call it."""
    try:
        from . import asgiref_hooks
    except ImportError:
        yield NO_OBSERVER
        return
    with asgiref_hooks.observing(asgiref_hooks.OBSERVERS[name]()) as observer:
        yield observer.name


def give_up_after(seconds: float, asking: Asking) -> None:
    """Start a timer that makes the asking give up after so many seconds."""
    timer = threading.Timer(seconds, asking.give_up)
    timer.daemon = True
    timer.start()


class Once:
    """Writes one answer, whole, and no second one."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock, self.is_written = path, threading.Lock(), False

    def __call__(self, answer: dict[str, Any]) -> None:
        """Write the answer as JSON, unless one was written before; any thread may call this."""
        with self.lock:
            if not self.is_written:
                part = self.path.with_suffix(".part")
                part.write_text(json.dumps(answer))
                os.replace(part, self.path)
                self.is_written = True


@contextmanager
def answering(app: str, path: Path) -> Iterator[Once]:
    """Write an answer there; where what is done raises, its sentence. Then wait to be ended."""
    write = Once(path)
    try:
        yield write
    except Refused as error:
        write({"error": str(error), "exit_code": error.exit_code, "word": error.word, "known": error.known})
    except BaseException as error:
        write({"error": f"{app} could not be asked: {error_text(error)}.", "exit_code": FAILED})
    wait_for_the_end()


def main() -> None:
    """ASK.json ANSWER.json"""
    question, answer = map(Path, sys.argv[1:3])
    ask = read_request_spec(question)
    with answering(ask.app, answer) as write:
        Asking(ask, write).run()


def wait_for_the_end() -> None:
    """Until `lab` has read the answer and ends this process, which then runs what the project wants run at its end."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    while True:
        signal.pause()
