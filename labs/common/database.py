"""Which database a lab asks, and how it keeps its connections: three variables, one entry of DATABASES."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import dj_database_url
import django
from django.core.exceptions import ImproperlyConfigured

from labs.common.addresses import is_quoted

# For a lab that is started by hand: `python -m labs.common.shop.prepare` makes it.
OWN_FILE = Path(__file__).parents[1] / "db.sqlite3"
POOL_TIMEOUT_S = 10
# SQLite lets one write at a time: say so when a transaction begins and wait, instead of failing at its first write.
FOR_SQLITE: dict[str, Any] = {"timeout": 20}
if django.VERSION >= (5, 1):
    FOR_SQLITE |= {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}


def database() -> dict[str, Any]:
    """The entry for `default`: LAB_DATABASE_URL or a file here, LAB_CONN_MAX_AGE (0), LAB_CONN_POOL (none)."""
    max_age, pool = os.environ.get("LAB_CONN_MAX_AGE", "0"), os.environ.get("LAB_CONN_POOL", "")
    entry: dict[str, Any] = {
        **_parsed(os.environ.get("LAB_DATABASE_URL") or f"sqlite:///{OWN_FILE}"),
        "CONN_MAX_AGE": None if max_age == "none" else _number("LAB_CONN_MAX_AGE", max_age),
    }
    if entry["ENGINE"].endswith("sqlite3"):
        return {**entry, "OPTIONS": FOR_SQLITE}
    if pool and django.VERSION < (5, 1):
        raise ImproperlyConfigured(f"A pool of connections needs Django 5.1, this is {django.get_version()}.")
    if pool:
        most = _number("LAB_CONN_POOL", pool)
        pooled = {"min_size": min(most, 4), "max_size": most, "timeout": POOL_TIMEOUT_S}
        entry["OPTIONS"] = {**entry.get("OPTIONS", {}), "pool": pooled}
    return entry


def _parsed(url: str) -> dict[str, Any]:
    """The URL may hold a password: it is never quoted."""
    with suppress(ValueError):
        if is_quoted(url):
            return dict(dj_database_url.parse(url))
    raise ImproperlyConfigured("LAB_DATABASE_URL is no address of a database: quote what is special in it, %40 for @.")


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, not '{text}'.")
    return int(text)
