"""The shop as a Django app."""

import time
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class Shop(AppConfig):
    """The app; when it is ready, SQLite connections learn to sleep as PostgreSQL does."""

    name = "labs.common.shop"

    def ready(self) -> None:
        """Connect the signal for new database connections."""
        connection_created.connect(give_sqlite_a_sleep)


def give_sqlite_a_sleep(connection: Any, **more: Any) -> None:
    """PostgreSQL's function under its own name, so that a slow query is the same query everywhere."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("pg_sleep", 1, time.sleep)
