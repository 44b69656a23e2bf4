"""Rows under headings: what may be compared at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analyse.rows import Row


@dataclass(frozen=True)
class Group:
    """The rows that share a request, middleware and a load: what may be compared at a glance."""

    heading: str
    rows: tuple[Row, ...]


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Rows by heading, in their order; the middleware is named where any row has some."""
    names_middleware = any(row.middleware for row in rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(_heading(row, names_middleware), []).append(row)
    return [Group(heading, tuple(members)) for heading, members in groups.items()]


def _heading(row: Row, names_middleware: bool) -> str:
    middleware = [", ".join(row.middleware) or "no middleware"] if names_middleware else []
    return " · ".join(filter(None, [row.request, row.load_text, *middleware, row.vendor]))
