"""For tests that mean PostgreSQL and nothing else."""

import pytest

from bench.measure.database.database import source


def require_postgresql() -> None:
    """Skip where the bench would ask SQLite."""
    if source().kind == "sqlite":
        pytest.skip("needs a PostgreSQL: ./scripts/system-packages gets it")
