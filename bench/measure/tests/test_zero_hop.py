"""ZeroHopHandler does what Django's handler does, and hops where something needs a thread and nowhere else."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench.base.files import ROOT
from bench.measure.tests.zero_hop_scenes import SCENES

NO_HOP = [
    "/async",
    "/async under the seven",
    "/stream",
    "/stream under the seven",
    "a form",
    "a token is made",
    "a client leaves",
    "a client leaves a view that takes no notice",
]
# What is left after Django's own hops have gone: the reason for each.
LEFT = {
    "/sync": 2,  # the view, and closing what it may have opened
    "/sync under the seven": 2,
    "/orm": 2,  # the query, and closing its connection
    "/orm under the seven": 2,
    "a session is saved": 2,  # saving, and closing the connection
    "sync receivers": 2,  # both signals go where their receivers want to be
    "receivers and the ORM": 3,
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.measure.tests.zero_hop_scenes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", SCENES)
def test_the_client_and_the_process_see_the_same(seen: dict[str, Any], name: str) -> None:
    scene = seen["scenes"][name]
    assert scene["zero_hop"]["messages"] == scene["django"]["messages"]
    assert scene["zero_hop"]["log"] == scene["django"]["log"]


@pytest.mark.parametrize("name", SCENES)
def test_there_are_fewer_hops_than_djangos_where_it_has_any_to_spare(seen: dict[str, Any], name: str) -> None:
    ours, djangos = (seen["scenes"][name][who]["hops"] for who in ("zero_hop", "django"))
    assert ours < djangos or (SCENES[name].listens and ours == djangos) or djangos == 0


@pytest.mark.parametrize("name", NO_HOP)
def test_nothing_that_needs_no_thread_hops(seen: dict[str, Any], name: str) -> None:
    assert seen["scenes"][name]["zero_hop"]["hops"] == 0


@pytest.mark.parametrize(("name", "hops"), LEFT.items())
def test_what_needs_a_thread_goes_to_one(seen: dict[str, Any], name: str, hops: int) -> None:
    assert seen["scenes"][name]["zero_hop"]["hops"] == hops


def test_the_scenes_show_what_they_are_about(seen: dict[str, Any]) -> None:
    """Else equal logs could be equally empty."""
    log = {name: scene["django"]["log"] for name, scene in seen["scenes"].items()}
    assert log["/orm"] == ["connection closed", "connection opened"]
    assert log["/file"] == ["file closed"]
    assert log["an upload"] == ["upload closed"]
    assert log["sync receivers"] == log["async receivers"] == ["request finished", "request started"]
    assert log["a client leaves"] == ["view cancelled"]
    assert log["a client leaves a view that used the ORM"] == [
        "connection closed",
        "connection opened",
        "view cancelled",
    ]
    assert log["a client leaves a view that takes no notice"] == ["stream closed", "view went on"]
    assert log["a client leaves a stream"] == ["stream closed"]
    assert "connection closed" in log["a session is saved"]


@pytest.mark.parametrize("where", ["in a shared thread", "called from sync code"])
def test_a_connection_that_is_open_before_the_request_is_looked_after(seen: dict[str, Any], where: str) -> None:
    assert seen[where]["zero_hop"] == seen[where]["django"] == ["connection closed"]


def test_a_server_that_ends_a_request_ends_its_view(seen: dict[str, Any]) -> None:
    ended = seen["ended by the server"]
    assert ended["zero_hop"] == ended["django"] == ["request cancelled", "view cancelled"]
