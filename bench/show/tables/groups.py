"""Puts the rows of a table under headings: rows under one heading may be compared."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.analyse.rows import Row


class Group(NamedTuple):
    """The rows that share a request, a load, middleware and a database."""

    heading: str
    rows: tuple[Row, ...]


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Group rows by heading, in their order. The middleware is named where any row has some."""
    names_middleware = any(row.middleware for row in rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        middleware = (", ".join(row.middleware) or "no middleware") if names_middleware else ""
        heading = " · ".join(filter(None, [row.request, row.load_text, middleware, row.vendor]))
        groups.setdefault(heading, []).append(row)
    return [Group(heading, tuple(members)) for heading, members in groups.items()]
