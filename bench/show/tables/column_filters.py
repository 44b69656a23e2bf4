"""Which rows a column has something to say about."""

from __future__ import annotations

from bench.analyse.rows import Row


def always(_: Row) -> bool:
    """Return True: the column is about every row."""
    return True


def counts_requests(row: Row) -> bool:
    """Return whether requests were counted by the second."""
    return not row.is_connections


def holds(row: Row) -> bool:
    """Return whether feeds were held."""
    return bool(row.values("held.served"))


def leaves(row: Row) -> bool:
    """Return whether clients left before their answer."""
    return bool(row.values("gone.left"))


def leaves_work(row: Row) -> bool:
    """Return whether clients left, and no payments were at stake."""
    return leaves(row) and not pays(row)


def waves(row: Row) -> bool:
    """Return whether requests came in waves."""
    return bool(row.values("waves.first.open_left"))


def pays(row: Row) -> bool:
    """Return whether payments were at stake."""
    return bool(row.values("database.payments_lost"))


def fails(row: Row) -> bool:
    """Where a database was asked, errors are part of the answer."""
    return not row.is_connections and bool(row.values("database.coins_off")) and any(row.values("failed"))
