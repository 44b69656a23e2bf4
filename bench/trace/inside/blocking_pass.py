"""The processes of `lab trace --blocking`: send a request several times, or serve, and report what blocks the loop.

Nothing is timed in them, and no hop is traced. The first request of a path loads what it needs; what blocks in such a
request alone is told apart.
"""

import asyncio
import atexit
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from .app_loader import Interface, Refused, load_application
from .blocking import Detector
from .blocking_places import Finding
from .child import answering
from .request_spec import RequestSpec
from .wrappers import TracedASGI

AGAIN = 5
"""How often a safe request is sent once the first one has ended."""
WRITES_EVERY_S = 0.5
_SERVING = ExitStack()


def main() -> None:
    """Send a request several times and report what blocks the loop: ASK.json ANSWER.json."""
    question, answer = map(Path, sys.argv[1:3])
    spec = RequestSpec(**json.loads(question.read_text()))
    with answering(spec.app, answer) as write:
        use_asyncio_loop()
        application = require_asgi(spec.app, *load_application(spec.app, spec.hides))
        from . import asgi_client

        watch = Watch(spec.blocking_ms or 0.0)
        timer = threading.Timer(spec.time_limit_s, lambda: write({"report": watch.report(has_ended=False)}))
        timer.daemon = True
        timer.start()
        traced = TracedASGI(application, on_end=watch.request_ended)
        with watch.detector.watching():
            asgi_client.send_in_turn([traced] * (AGAIN + 1 if spec.times > 1 else 1), spec, application)
        write({"report": watch.report(has_ended=True)})


class Watch:
    """A detector, and the requests that ended while it watched."""

    def __init__(self, threshold_ms: float, on_finding: Callable[[Finding], None] | None = None) -> None:
        self.threshold_ms, self.detector = threshold_ms, Detector(threshold_ms, on_finding)
        self.requests, self.statuses = 0, set[int]()

    def request_ended(self, collector: Any) -> None:
        """Count a request, and its status: 0 where it has none."""
        self.requests += 1
        self.statuses.add(collector.status or 0)
        self.detector.request_ended(collector.path)

    def report(self, *, has_ended: bool) -> dict[str, Any]:
        """What blocked the loop, of how many requests, and what has to be known to read it."""
        return {
            "blocking": self.detector.found(),
            "threshold_ms": self.threshold_ms,
            "requests": self.requests,
            "statuses": sorted(self.statuses),
            "ended": has_ended,
            "sees_waits": self.detector.sees_waits,
            "interpreter": sys.executable,
        }


def watched_application(application: Any, folder: Path, threshold_ms: float, say: Callable[[str], None]) -> Any:
    """The application for a server whose loop is watched from now on, until its process ends.

    What is found is said at once, and reported in a file of the folder, one for each process.
    """
    written_s = 0.0

    def on_finding(finding: Finding) -> None:
        say(finding.sentence)
        write()

    def write() -> None:
        part = folder / f"{os.getpid()}.part"
        part.write_text(json.dumps(watch.report(has_ended=True)))
        os.replace(part, part.with_suffix(".json"))

    def on_end(collector: Any) -> None:
        nonlocal written_s
        watch.request_ended(collector)
        if time.monotonic() - written_s > WRITES_EVERY_S:  # some workers end without atexit
            written_s = time.monotonic()
            write()

    watch = Watch(threshold_ms, on_finding)
    _SERVING.enter_context(watch.detector.watching())
    atexit.register(write)
    return TracedASGI(application, on_end=on_end)


def require_asgi(name: str, application: Any, interface: Interface) -> Any:
    """Return the application. Raises Refused for one of WSGI."""
    if interface == "wsgi":
        raise Refused(f"{name} is a WSGI application: it has no event loop that a call could block. Name the ASGI one.")
    return application


def use_asyncio_loop() -> None:
    """Let uvloop make loops of asyncio in this process: only their steps can be watched."""
    with suppress(ImportError):
        setattr(import_module("uvloop"), "new_event_loop", asyncio.SelectorEventLoop)  # noqa: B010 (it has no types)
