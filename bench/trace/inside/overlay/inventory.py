"""What a loaded project has that bears on the answer: its middlewares, applications, settings, and calls in its source.

Each notice is `kind`, `says`, `file` and `line`. What a request would show (views, hops, threads) is not looked for.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..callable_names import short_path
from ..whose_file import is_project
from .changes import PAGE_CACHES, throttles_of
from .source import calls_in

Found = dict[str, Any]


def notices_of(applications: Mapping[str, Any], broken: Mapping[str, str]) -> list[Found]:
    """All notices, in the order in which a reader looks for them. `broken`: applications with why they do not load."""
    return [
        *(
            _notice("application", f"{why} Until then Django's own stands in for {name}")
            for name, why in broken.items()
        ),
        *(*_middlewares(), *_applications(applications), *_cached_and_throttled(), *_databases(), *_calls()),
    ]


def _notice(kind: str, says: str, file: str = "", line: int = 0) -> Found:
    return {"kind": kind, "says": says, "file": short_path(file) if file else "", "line": line}


def _middlewares() -> Iterator[Found]:
    from django.conf import settings
    from django.utils.module_loading import import_string

    for name in settings.MIDDLEWARE:
        made = import_string(name) if isinstance(name, str) else name
        is_sync, is_async = getattr(made, "sync_capable", True), getattr(made, "async_capable", False)
        kind = "sync and async" if is_sync and is_async else "async only" if is_async else "sync only"
        costs = ": behind ASGI a hop in and one out for all that is inside of it" if kind == "sync only" else ""
        yield _notice("middleware", f"{name} is {kind}{costs}", *_place_of(made))


def _place_of(thing: Any) -> tuple[str, int]:
    """Where a function or a class is defined; nothing for what was not written in Python."""
    try:
        found = inspect.unwrap(thing)
        return str(inspect.getsourcefile(found) or ""), inspect.getsourcelines(found)[1]
    except (TypeError, OSError):
        return "", 0


def _applications(applications: Mapping[str, Any]) -> Iterator[Found]:
    from django.conf import settings
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    for door, handler in (("wsgi", WSGIHandler), ("asgi", ASGIHandler)):
        application = applications[door]
        if not isinstance(application, handler):
            kind = type(application)
            name = f"{kind.__module__}.{kind.__qualname__}"
            yield _notice(
                f"{door} wrapper", f"The {door.upper()} application is {name} around Django's", *_place_of(kind)
            )
    packages = (*map(str, settings.INSTALLED_APPS), type(applications["asgi"]).__module__)
    if any(name.partition(".")[0] == "channels" for name in packages):
        yield _notice("channels", "Channels is used: WebSockets need ASGI, whatever the answer for pages is")
    for name in settings.MIDDLEWARE:
        if str(name).startswith("whitenoise."):
            yield _notice("static files", "WhiteNoise serves static files: behind ASGI each is read in a thread")


def _cached_and_throttled() -> Iterator[Found]:
    from django.conf import settings

    for name in settings.MIDDLEWARE:
        if str(name).startswith(PAGE_CACHES):
            says = "whole pages are kept: most answers come from the cache (--without caches measures the pages)"
            yield _notice("page cache", f"{name}: {says}")
    for name in throttles_of(settings):
        yield _notice("throttle", f"{name}: load is what it refuses (--without throttles leaves it out)")


def _databases() -> Iterator[Found]:
    from django.conf import settings

    for alias, database in settings.DATABASES.items():
        if not database:
            continue
        engine, age = str(database.get("ENGINE", "")).rpartition(".")[2], database.get("CONN_MAX_AGE", 0)
        pool = bool((database.get("OPTIONS") or {}).get("pool"))
        how = "a pool" if pool else f"CONN_MAX_AGE {age}"
        yield _notice("database", f"{alias}: {database.get('ENGINE')}, {how}")
        if age != 0 and not pool and engine != "dummy":
            yield _notice(
                "connections",
                f"{alias}: CONN_MAX_AGE {age} keeps a connection for each thread, and behind ASGI each request has a "
                f"new thread: none is used again, and they pile up until the garbage collector comes",
            )
        if database.get("ATOMIC_REQUESTS"):
            yield _notice("atomic", f"{alias}: ATOMIC_REQUESTS, with which Django refuses to call async views")


def _calls() -> Iterator[Found]:
    """Calls in the modules of the project that are loaded, with those that its URLs lead to."""
    from django.urls import get_resolver

    with suppress(Exception):  # what is wrong with them, an answer says
        _ = get_resolver().url_patterns
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file and file.endswith(".py") and is_project(file)):
        for call in calls_in(Path(file)):
            yield _notice(call.kind, call.says, file, call.line)
