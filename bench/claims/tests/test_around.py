"""What is kept of the packages around Django: every line of the table, with hops that follow from each other."""

import pytest

from bench.base.errors import NotRun
from bench.base.files import ROOT
from bench.claims.exhibits import around
from bench.model import environments


def hops() -> dict[str, int]:
    return {row["what"]: row["traces"]["asgi"]["hops"]["sync_to_async"] for row in around.load_around()["rows"]}


def test_every_line_is_kept_with_both_doors_and_an_interval() -> None:
    found = around.load_around()
    assert [row["what"] for row in found["rows"]] == [asked.what for asked in around.ASKED]
    for row in found["rows"]:
        assert {len(values) for values in row["cpu_us"].values()} == {around.ROUNDS}
        assert around.cpu_ratio(row)
    assert str(ROOT) not in around.FILE.read_text()


def test_hops_add_up() -> None:
    counted = hops()
    assert counted["a sync view"] == counted["an async view"] + 1 == counted["django-ninja, a sync operation"]
    assert counted["Django REST framework"] == counted["a sync view"] + 1  # its response is rendered late
    assert counted["django-ninja, an async operation"] == counted["an async view"]
    assert counted["an async view under the seven"] == 15


def test_without_the_environment_the_command_that_makes_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "is_environment", lambda name: False)
    with pytest.raises(NotRun, match=r"lab env add around --django 5\.2 --with djangorestframework"):
        around.ask_all()
