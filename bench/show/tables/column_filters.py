"""Predicates on rows: each says which rows a column of `columns.py` is about."""

from collections.abc import Callable

from bench.analyse.rows import Row


def always(_: Row) -> bool:
    """Return True: the column is about every row."""
    return True


def counts_requests(row: Row) -> bool:
    """Return whether the row has requests per second; rows of connections do not."""
    return not row.is_connections


def has(measure: str) -> Callable[[Row], bool]:
    """Return a predicate: does some restart of the row have this measure? `measure` is a path, as for `Row.values`."""

    def is_measured(row: Row) -> bool:
        return bool(row.values(measure))

    return is_measured


holds = has("held.served")
"""Feeds were held open."""
leaves = has("gone.left")
"""Clients left before their answer."""
slows = has("slow.served")
"""Clients were slow, beside visitors."""
streams = has("streams.whole")
"""Streams were passed on, part by part."""
waves = has("waves.first.open_left")
"""Requests came in two waves."""
pays = has("database.payments_lost")
"""Payments were made and audited."""


def fails(row: Row) -> bool:
    """Return whether requests to a database failed; where a database is asked, failures are part of the answer."""
    return not row.is_connections and bool(row.values("database.coins_off")) and any(row.values("failed"))
