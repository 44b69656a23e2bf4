"""No part of a password is taken for a host, which errors name."""

import pytest

from labs.common.addresses import is_quoted
from labs.tests.ask import run_python


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host:5432/shop?sslmode=require",
        "postgresql://me:s%40cret%2F@host/shop",
        "postgresql://me:s@cret@host/shop",  # the last one parts them
        "redis://:secret@host:6379/0",
        "sqlite:////tmp/shop.sqlite3",
    ],
)
def test_an_address_whose_password_ends_before_its_host_is_taken(url: str) -> None:
    assert is_quoted(url)


LEAKING = [
    "postgresql://me:s@cret/x@host/shop",
    "postgresql://me:s@cret/x?y@host/shop",
    "postgresql://me:s@cret/x#y@host/shop",
    "postgresql://me:12/shop#34",
    "redis://:s@cret/x@host:6379/0",
]


@pytest.mark.parametrize("url", LEAKING)
def test_an_address_that_would_tell_a_part_of_its_password_is_not_taken(url: str) -> None:
    assert not is_quoted(url)


@pytest.mark.parametrize("url", [LEAKING[1], "postgresql://me:s@cret:99999/shop", "no-database://me:s@cret/shop"])
def test_a_lab_that_is_given_such_an_address_does_not_repeat_it(url: str) -> None:
    done = run_python("-c", "import labs.sync_wsgi.wsgi", LAB_DATABASE_URL=url)
    assert done.returncode == 1
    assert "LAB_DATABASE_URL is no address of a database" in done.stderr.splitlines()[-1]
    assert "cret" not in done.stderr
