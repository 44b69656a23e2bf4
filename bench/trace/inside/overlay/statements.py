"""Statements that change a database: by Django's own wrappers around every statement, on every connection."""

from collections import Counter
from typing import Any

from .places import project_line

WRITTEN: Counter[tuple[str, str]] = Counter()
"""How often, by the statement's first words and the project's line."""
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE", "COPY", "CREATE", "ALTER", "DROP")
MOST_WORDS = 4


def note_statements() -> None:
    """From now on, on every connection that is made. Loads no settings."""
    from django.db.backends.signals import connection_created

    connection_created.connect(_watch, dispatch_uid="lab try", weak=False)


def _watch(connection: Any, **more: Any) -> None:
    if _note not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note)


def _note(execute: Any, sql: Any, parameters: Any, many: bool, context: Any) -> Any:
    words = str(sql).split(None, MOST_WORDS) if isinstance(sql, str) else []
    if words and words[0].upper() in WRITES:
        WRITTEN[_said(words), project_line()] += 1
    return execute(sql, parameters, many, context)


def _said(words: list[str]) -> str:
    """`INSERT INTO blog_visit`, `UPDATE blog_post`: the statement up to its table, without a value."""
    most = {"UPDATE": 2, "INSERT": 3, "DELETE": 3, "REPLACE": 3}.get(words[0].upper(), 3)
    return " ".join(word.strip("\"`'(") for word in words[:most])
