"""The processes that say what a project is, without a request: its settings, and what it has once it is loaded.

No value that could be a secret is said: of a database its engine, file or host, and how it is connected to.
"""

import platform
import sys
from pathlib import Path
from typing import Any

from ..child import answering
from .doors import BROKEN, DOORS, load_door, read_settings
from .layered_settings import MADE

MEMORY = (":memory:", "mode=memory")


def settings() -> None:
    """Write what the settings say, read without loading any application: ANSWER.json."""
    with answering("the settings", Path(sys.argv[1])) as write:
        write({"settings": _facts(read_settings()), "changes": list(MADE.values())})


def inventory() -> None:
    """Write what the project has, once both applications are loaded: ANSWER.json."""
    with answering("the project", Path(sys.argv[1])) as write:
        applications = {door: load_door(door) for door in DOORS}
        from .inventory import notices_of

        write({"notices": notices_of(applications, BROKEN), "changes": list(MADE.values())})


def _facts(settings: Any) -> dict[str, Any]:
    import django

    return {
        "module": getattr(settings, "SETTINGS_MODULE", ""),
        "django": django.get_version(),
        "python": platform.python_version(),
        "allowed_hosts": [str(host) for host in settings.ALLOWED_HOSTS],
        "databases": {alias: _database(database) for alias, database in settings.DATABASES.items() if database},
        "caches": {alias: str(cache.get("BACKEND", "")) for alias, cache in settings.CACHES.items()},
        "session_cookie": settings.SESSION_COOKIE_NAME,
        "media_root": str(Path(settings.MEDIA_ROOT).absolute()) if settings.MEDIA_ROOT else "",
        "static_url": str(settings.STATIC_URL or ""),
    }


def _database(database: Any) -> dict[str, Any]:
    engine, name = str(database.get("ENGINE", "")), str(database.get("NAME") or "")
    options = database.get("OPTIONS") or {}
    is_sqlite = engine.endswith(("sqlite3", "spatialite"))
    return {
        "engine": engine,
        "kind": "sqlite" if is_sqlite else "postgresql" if "postg" in engine else engine.rpartition(".")[2],
        "in_memory": is_sqlite and any(word in name for word in MEMORY),
        "file": str(Path(name).absolute()) if is_sqlite else "",
        "host": str(database.get("HOST") or ""),
        "service": bool(options.get("service")),
        "conn_max_age": database.get("CONN_MAX_AGE", 0),
        "atomic_requests": bool(database.get("ATOMIC_REQUESTS")),
        "pool": bool(options.get("pool")),
        "mirror": str((database.get("TEST") or {}).get("MIRROR") or ""),
    }
