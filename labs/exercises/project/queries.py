"""Counts what the database is asked: how much on a thread where an event loop runs, so that all others wait; how many
slow queries at once; and which connections are left open.

Counted and not forbidden: `DJANGO_ALLOW_ASYNC_UNSAFE` takes Django's own objection away.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse

from labs.common.gauge import Gauge
from labs.common.http import answer
from labs.exercises.project.slow import SLEEP

ASKED: Counter[str] = Counter()
SLOW = Gauge()
SLOW_TOOK_S: list[float] = []
# Kept here, so that one that nobody closes is counted until the end, whenever the garbage collector would have come.
CONNECTIONS: list[Any] = []


def watch(connection: Any, **more: Any) -> None:
    """Count the queries of a new connection, and keep the connection to see whether it is closed."""
    if count not in connection.execute_wrappers:
        connection.execute_wrappers.append(count)
        CONNECTIONS.append(connection)


def count(execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
    """Run one query and count it."""
    ASKED["queries"] += 1
    ASKED["on_the_loop"] += runs_a_loop()
    return count_slow(execute, sql, *arguments) if SLEEP in str(sql) else execute(sql, *arguments)


def runs_a_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def count_slow(execute: Callable[..., Any], *arguments: Any) -> Any:
    """Run one slow query, with its time and how many run at once."""
    began_s = time.monotonic()
    with SLOW.inside():
        result = execute(*arguments)
    SLOW_TOOK_S.append(time.monotonic() - began_s)
    return result


connection_created.connect(watch)


def queries(request: HttpRequest) -> HttpResponse:
    """Asks no database itself. Counted since the process began, but for those that are open or asked now."""
    return answer(
        queries=ASKED["queries"],
        on_the_loop=ASKED["on_the_loop"],
        slow=len(SLOW_TOOK_S),
        slow_ms=int(1000 * sum(SLOW_TOOK_S)),
        slow_now=SLOW.now,
        slow_most=SLOW.most,
        open=sum(connection.connection is not None for connection in CONNECTIONS),
    )
