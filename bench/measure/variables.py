"""Environment variables of the user's that would change what is measured: which are cleared, and which stay.

A measured command says all it means. What changes an interpreter, an allocator, an event loop, a server or a driver
behind its back is cleared for servers, load and services; the few that these may need are kept. Both are in run.json,
by name: a value could be a path or a secret.
"""

import os
import sys
import tracemalloc
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from bench.model.fronts import FRONTS
from bench.model.redaction import VARIABLE as DATABASE_VARIABLE
from bench.model.servers import SERVERS

FOREIGN_PREFIXES = (
    *("PYTHON", "COVERAGE_", "COV_CORE_", "PYDEVD_", "DEBUGPY_"),
    *("DD_", "NEW_RELIC_", "OTEL_", "SENTRY_", "ELASTIC_APM_", "SCOUT_"),  # agents, which wrap an application
    *("LD_", "DYLD_", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "_RJEM_", "ASAN_", "LSAN_", "TSAN_", "UBSAN_"),
    *("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_"),
    *("UV_", "GEVENT", "GREENLET_", "ASGI_", "DJANGO_", "LAB_"),  # gevent: Locust runs on it too
    "WEBSOCKETS_",  # those of servers stand in their entries
    *("LOCUST_", "LUA_", "AIOHTTP_", "YARL_", "MULTIDICT_", "FROZENLIST_", "PROPCACHE_", "PSYCOPG_", "PYZMQ_"),
    *("LISTEN_", "PG", "RUST_"),  # with a backtrace the end of a log has no room for what went wrong
)
FOREIGN_VARIABLES = (
    *("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "PORT", "SENDFILE", "SCRIPT_NAME", "NOTIFY_SOCKET"),
    *("GLIBC_TUNABLES", "RES_OPTIONS", "LOCALDOMAIN", "PURE_PYTHON", "MSGPACK_PUREPYTHON"),
    *("USE_ASYNCIO", "USE_TWISTED", "RUNNING_DJANGOS_TEST_SUITE"),
)
NEEDED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Kept: without them an interpreter that lives outside of the system may not find its libraries."""
OURS = "LAB_"
"""Our own: a server gets those of them that it needs by name."""


def is_foreign(name: str) -> bool:
    """Return whether a variable could change what is measured."""
    of_servers = (prefix for server in SERVERS.values() for prefix in server.variables)
    of_fronts = (prefix for front in FRONTS.values() for prefix in front.variables)
    return name in FOREIGN_VARIABLES or name.startswith((*FOREIGN_PREFIXES, *of_servers, *of_fronts))


def is_cleared(name: str, value: str) -> bool:
    """Return whether the variable is cleared for what is measured."""
    if name == "PYTHONPATH":
        return not _finds_packages(value)
    if name.startswith("PG"):  # libpq's: how a database of the user's is entered, and none of ours
        return not os.environ.get(DATABASE_VARIABLE)
    return is_foreign(name) and name not in NEEDED


def _finds_packages(path: str) -> bool:
    """Return whether our interpreter finds its packages by this PYTHONPATH."""
    django = find_spec("django")
    folders = [Path(folder).resolve() for folder in path.split(os.pathsep) if folder]
    return bool(django and django.origin and set(folders) & set(Path(django.origin).resolve().parents))


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without what would change a server behind our back, and with what the lab sets."""
    return {name: value for name, value in _here().items() if not is_cleared(name, value)} | dict(more)


def own_variables() -> dict[str, str]:
    """Return the lab's own variables, for a part of it in a process of its own."""
    return {name: value for name, value in _here().items() if name.startswith(OURS)}


def find_foreign() -> dict[str, list[str]]:
    """Name the user's variables that are cleared for what is measured, and those kept though they matter."""
    theirs = {name: value for name, value in _here().items() if is_foreign(name) and not name.startswith(OURS)}
    cleared = sorted(name for name, value in theirs.items() if is_cleared(name, value))
    return {"cleared": cleared, "kept": sorted(theirs.keys() - set(cleared))}


def describe_foreign() -> str:
    """Return what `find_foreign` finds as one text; empty if there are none."""
    heads = {"cleared": "cleared for what is measured", "kept": "kept"}
    return "; ".join(f"{heads[what]}: {', '.join(names)}" for what, names in find_foreign().items() if names)


def find_warnings() -> list[str]:
    """Say what a user should know before measuring: variables that stay, and what slows this very process."""
    kept = ", ".join(find_foreign()["kept"])
    modes = {"tracemalloc": tracemalloc.is_tracing(), "the dev mode": sys.flags.dev_mode}
    slowing = " and ".join(mode for mode, is_on in modes.items() if is_on)
    sentences = {
        f"{kept} may change what is measured, and stays set for it: unset what you do not need.": kept,
        f"This `lab` runs with {slowing}, which slows its readings; servers and load run without.": slowing,
    }
    return [sentence for sentence, holds in sentences.items() if holds]


def _here() -> dict[str, str]:
    """Read our own environment. Another thread may take a variable away meanwhile, as pytest does."""
    return {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}
