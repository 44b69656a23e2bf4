"""What this process has: connections opened so far and open now, threads that asked the database, callers inside.

Counted by Django's own signal, so that it is the same with every database.
"""

import threading
import weakref
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse

from labs.common.gauge import GAUGE
from labs.common.http import answer

SEEN: list[weakref.ref[Any]] = []
ASKED_ON: set[int] = set()


def note(connection: Any, **more: Any) -> None:
    """Note a new database connection, and watch which threads use it."""
    SEEN.append(weakref.ref(connection))
    if note_thread not in connection.execute_wrappers:
        connection.execute_wrappers.append(note_thread)


def note_thread(execute: Callable[..., Any], *arguments: Any) -> Any:
    """Run one query and note the thread that it runs in."""
    ASKED_ON.add(threading.get_ident())
    return execute(*arguments)


connection_created.connect(note)


def census(request: HttpRequest) -> HttpResponse:
    """Asks no database itself. `threads_asking` and `inside_most` count from the last census on."""
    there = {id(connection): connection for seen in SEEN if (connection := seen()) is not None}
    counted = {
        "opened": len(SEEN),
        "open": sum(connection.connection is not None for connection in there.values()),
        "threads_asking": len(ASKED_ON),
        "inside_now": GAUGE.now,
        "inside_most": GAUGE.most,
    }
    ASKED_ON.clear()
    GAUGE.most = GAUGE.now
    return answer(**counted)
