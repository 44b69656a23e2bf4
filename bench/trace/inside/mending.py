"""How to mend a call that blocks an event loop: its async twin, a thread, or a sync view.

`TWINS` is the one list of calls that have an async twin, each with the place that documents it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

PYTHON = "https://docs.python.org/3/library"
DJANGO = "https://docs.djangoproject.com/en/stable"
HTTPX = "https://www.python-httpx.org/async/"
ADAPTERS = f"{DJANGO}/topics/async/#async-adapter-functions"
VIEWS = f"{DJANGO}/topics/async/#async-views"


class Twin(NamedTuple):
    """Calls, as a pattern of their `module.name`; what to write instead (`\\\\1` is a group); where that is said."""

    calls: str
    instead: str
    source: str


TWINS = (
    Twin(r"time\.sleep", "await asyncio.sleep(…)", f"{PYTHON}/asyncio-task.html#asyncio.sleep"),
    Twin(
        r"subprocess\.|os\.(system|popen|wait)",
        "await asyncio.create_subprocess_exec(…)",
        f"{PYTHON}/asyncio-subprocess.html",
    ),
    Twin(r"socket\.getaddrinfo", "await loop.getaddrinfo(…)", f"{PYTHON}/asyncio-eventloop.html#dns"),
    Twin(
        r"(requests|urllib3|urllib\.request|http\.client)\.",
        "await client.get(…) of an httpx.AsyncClient that is kept",
        HTTPX,
    ),
    Twin(r"(httpx|httpcore)\.", "await client.get(…) of an httpx.AsyncClient that is kept", HTTPX),
    Twin(r"django\.core\.mail\.|smtplib\.", "await aiosmtplib.send(…)", "https://aiosmtplib.readthedocs.io"),
    Twin(
        r"django\.contrib\.auth\.hashers\.a?check_password",
        "await acheck_password(…), from Django 6.0 on: before, it hashes on the loop",
        f"{DJANGO}/topics/auth/passwords/#django.contrib.auth.hashers.acheck_password",
    ),
    Twin(
        r"django\.contrib\.auth\.(authenticate|login|logout|get_user|update_session_auth_hash)$",
        r"await a\1(…)",
        f"{DJANGO}/topics/auth/default/#auth-web-requests",
    ),
    Twin(
        r"django\.shortcuts\.(get_object_or_404|get_list_or_404)",
        r"await a\1(…)",
        f"{DJANGO}/topics/http/shortcuts/#aget-object-or-404",
    ),
    Twin(
        r"django\.db\.models\.query\.(?:QuerySet\.)?(?:__iter__|__len__|__bool__|_fetch_all|_iterator)",
        "async for … in queryset",
        f"{DJANGO}/topics/db/queries/#asynchronous-queries",
    ),
    Twin(
        r"django\.db\.models\.query\.(?:QuerySet\.)?(get|count|exists|first|last|earliest|latest|create|get_or_create|"
        r"update_or_create|bulk_create|bulk_update|update|delete|aggregate|in_bulk|contains|explain|iterator)$",
        r"await queryset.a\1(…)",
        f"{DJANGO}/topics/db/queries/#asynchronous-queries",
    ),
    Twin(
        r"django\.db\.models\.base\.(?:Model\.)?(save|delete|refresh_from_db)$",
        r"await instance.a\1(…)",
        f"{DJANGO}/ref/models/instances/",
    ),
    Twin(
        r"django\.contrib\.sessions\.backends\.\w+\.(?:\w+\.)?(get|set|pop|save|load|create|exists|delete|flush)$",
        r"await request.session.a\1(…)",
        f"{DJANGO}/topics/http/sessions/",
    ),
    Twin(
        r"django\.core\.cache\.backends\.\w+\.(?:\w+\.)?(get|set|add|delete|incr|decr|touch|get_many|set_many|has_key)$",
        r"await cache.a\1(…)",
        f"{DJANGO}/topics/cache/#asynchronous-support",
    ),
    Twin(r"redis\.", "redis.asyncio", "https://redis.readthedocs.io/en/stable/examples/asyncio_examples.html"),
    Twin(
        r"psycopg2?\.",
        "psycopg.AsyncConnection (psycopg 3)",
        "https://www.psycopg.org/psycopg3/docs/advanced/async.html",
    ),
    Twin(
        r"pymongo\.",
        "pymongo.AsyncMongoClient",
        "https://pymongo.readthedocs.io/en/stable/async-tutorial.html",
    ),
    Twin(r"(boto3|botocore)\.", "aioboto3", "https://aioboto3.readthedocs.io"),
    Twin(
        r"threading\.Thread\.join|threading\.join",
        "await asyncio.to_thread(…)",
        f"{PYTHON}/asyncio-task.html#running-in-threads",
    ),
    Twin(
        r"concurrent\.futures\.",
        "await asyncio.wrap_future(…)",
        f"{PYTHON}/asyncio-future.html#asyncio.wrap_future",
    ),
    Twin(r"queue\.", "asyncio.Queue", f"{PYTHON}/asyncio-queue.html"),
    Twin(r"threading\.(\w+)\.|\.(acquire)$", "a lock of asyncio, such as asyncio.Lock", f"{PYTHON}/asyncio-sync.html"),
)


def twin_of(names: Sequence[str]) -> tuple[str, str] | None:
    """Return what to write instead, and its source, for the outermost of the calls that has a twin; None without one.

    `names`: what was called, as `module.name`, the project's own call first.
    """
    for name in names:
        for twin in TWINS:
            if match := re.match(twin.calls, name):
                return match.expand(twin.instead), twin.source
    return None


def mends_of(names: Sequence[str], call: str, view: str, *, computes: bool, is_import: bool) -> list[dict[str, str]]:
    """Return the ways to mend a call, the best first: each with `way`, `do` and `source`.

    `call` is its text, `view` the outermost function of the project that led to it.
    """
    if is_import:
        return [_mend("at start-up", "import it where the process starts, not in a request", VIEWS)]
    twin = twin_of(names)
    ways = [_mend("async twin", *twin)] if twin else []
    function = match[0] if (match := re.match(r"[\w.]+(?=\()", call)) else "function"
    is_database = any(name.startswith("django.db.") for name in names)
    thread = f"await sync_to_async({function}{'' if is_database else ', thread_sensitive=False'})(…)"
    if computes and not is_database:
        thread += ", where the call lets go of the GIL; else a process or a task queue"
    ways.append(_mend("sync_to_async", thread, ADAPTERS))
    return [*ways, _mend("sync view", f"def {view or 'view'}(…) without async, which Django runs in a thread", VIEWS)]


def _mend(way: str, do: str, source: str) -> dict[str, str]:
    return {"way": way, "do": do, "source": source}
