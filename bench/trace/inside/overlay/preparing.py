"""The processes that make copies of the project's databases what a door needs: tables, fixtures, a session.

Copying a PostgreSQL is a statement to its own server, by the project's own driver, so that no password leaves it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ..app_loader import FAILED, Refused, error_text
from ..child import answering
from .doors import load_any_door, read_settings


def main() -> None:
    """Migrate, load fixtures and make a session: ANSWER.json ASK.json.

    ASK.json: `new`, aliases without tables; `others`, aliases of copies; `fixtures`, files; `login`, a user's name.
    The answer has `cookie`, name and value, and `says`: by alias, what was done to it.
    """
    answer, asked = map(Path, sys.argv[1:3])
    ask = json.loads(asked.read_text())
    with answering("the database", answer) as write:
        load_any_door()
        says = {alias: _make_tables(alias) for alias in ask["new"]}
        says |= {alias: _bring_up_to_date(alias) for alias in ask["others"]}
        if ask["fixtures"]:
            _manage("loaddata", *ask["fixtures"], verbosity=0)
        write({"cookie": session_of(ask["login"]) if ask["login"] else None, "says": says})


def copy() -> None:
    """Make databases as copies of others, or drop them, on the server of each alias: ANSWER.json ASK.json.

    ASK.json: `make`, by alias the new name and that of the template, empty for the project's own; `drop`, by alias
    names. The answer has `failed`: by alias, why.
    """
    answer, asked = map(Path, sys.argv[1:3])
    ask = json.loads(asked.read_text())
    with answering("the database", answer) as write:
        read_settings()
        from django.db import connections

        failed = {}
        for alias, (name, template) in ask.get("make", {}).items():
            connection = connections[alias]
            source = template or connection.settings_dict["NAME"]
            names = [connection.ops.quote_name(name) for name in (name, source)]
            failed[alias] = _execute(connection, "CREATE DATABASE {} TEMPLATE {}".format(*names))
        for alias, names in ask.get("drop", {}).items():
            for name in names:
                quoted = connections[alias].ops.quote_name(name)
                _execute(connections[alias], f"DROP DATABASE IF EXISTS {quoted}")
        write({"failed": {alias: why for alias, why in failed.items() if why}})


def _make_tables(alias: str) -> str:
    """Migrate; where that fails before the first table, make all tables as the models are. Returns what was done."""
    from django.apps import apps
    from django.conf import settings
    from django.db import connections

    try:
        _manage("migrate", database=alias, run_syncdb=True, verbosity=0, interactive=False)
    except Refused:
        connections[alias].close()
        if set(connections[alias].introspection.table_names()) - {"django_migrations"}:
            raise
        settings.MIGRATION_MODULES = {config.label: None for config in apps.get_app_configs()}
        _manage("migrate", database=alias, run_syncdb=True, verbosity=0, interactive=False)
        return "with tables as its models are, because its migrations fail"
    return "migrated"


def _bring_up_to_date(alias: str) -> str:
    """Make the migrations and tables that a copy lacks: its code is that of now. Returns what was done, or nothing."""
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[alias])
    migrations = executor.migration_plan(executor.loader.graph.leaf_nodes())
    tables = _missing_tables(alias, executor.loader.unmigrated_apps)
    if not migrations and not tables:
        return ""
    _manage("migrate", database=alias, run_syncdb=bool(tables), verbosity=0, interactive=False)
    counts = {"migrations": len(migrations), "tables without migrations": len(tables)}
    return f"with {' and '.join(f'{count} {what}' for what, count in counts.items() if count)} that it lacked"


def _missing_tables(alias: str, unmigrated: Any) -> set[str]:
    """Return the tables of applications without migrations that a database does not have."""
    from django.apps import apps
    from django.db import connections, router

    configs = (apps.get_app_config(label) for label in unmigrated)
    models = (model for config in configs for model in router.get_migratable_models(config, alias))
    wanted = {model._meta.db_table for model in models if model._meta.managed and not model._meta.proxy}
    return wanted - set(connections[alias].introspection.table_names())


def _execute(connection: Any, statement: str) -> str:
    """Run a statement that no database may be open for. Returns why it failed; empty if it did not."""
    try:
        with connection._nodb_cursor() as cursor:
            cursor.execute(statement)
    except Exception as error:
        return error_text(error)
    return ""


def _manage(command: str, *words: str, **options: Any) -> None:
    """Run a command of Django's. Raises Refused where it fails."""
    from django.core.management import call_command

    try:
        call_command(command, *words, **options)
    except BaseException as error:
        raise Refused(
            f"The copy of the database cannot be made: `manage.py {command}` fails there with {error_text(error)}.",
            FAILED,
        ) from None


def session_of(username: str) -> tuple[str, str]:
    """Make a session of a user, as `login` does. Returns the cookie. Raises Refused for a user who is not there."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.utils.module_loading import import_string

    model = get_user_model()
    try:
        user = model._default_manager.get_by_natural_key(username)
    except model.DoesNotExist:
        has_users = model._default_manager.exists()
        cure = "name one that is there with --login" if has_users else "it has none at all; --fixtures FILE brings some"
        raise Refused(f"The database has no user {username!r}: {cure}.") from None
    session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")()
    session[SESSION_KEY] = user._meta.pk.value_to_string(user)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return settings.SESSION_COOKIE_NAME, str(session.session_key)
