"""Counts what the database is asked, and how much of it on a thread where an event loop runs, so that all others wait.

Counted and not forbidden: `DJANGO_ALLOW_ASYNC_UNSAFE` takes Django's own objection away.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse

from labs.common.http import answer

ASKED: Counter[str] = Counter()


def watch(connection: Any, **more: Any) -> None:
    if count not in connection.execute_wrappers:
        connection.execute_wrappers.append(count)


def count(execute: Callable[..., Any], *arguments: Any) -> Any:
    ASKED["queries"] += 1
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return execute(*arguments)
    ASKED["on_the_loop"] += 1
    return execute(*arguments)


connection_created.connect(watch)


def queries(request: HttpRequest) -> HttpResponse:
    """Asks no database itself. Counted since the process began."""
    return answer(queries=ASKED["queries"], on_the_loop=ASKED["on_the_loop"])
