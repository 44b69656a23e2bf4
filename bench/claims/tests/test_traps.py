"""Each trap does its harm behind the doors it is said to, its cure does none behind either; asked on real servers."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.base.files import ROOT
from bench.claims.exhibits import traps
from bench.claims.exhibits.trap_checks import OTHER_AFTER_S, TRAP_CHECKS
from bench.claims.exhibits.traps import Outcomes
from bench.learn import live_cell
from bench.measure.database.database import Database
from bench.measure.variables import clean_environment
from labs.tests.ask import ask
from labs.traps.names import TRAPS

BOTH = {"asgi", "wsgi"}
HARMED_BEHIND = {
    "asyncio_run_in_sync_view": {"asgi"},
    "sync_orm_in_async_view": BOTH,
    "lazy_queryset_in_template": BOTH,
    "request_user_in_async_view": BOTH,
    "blocking_in_async_view": {"asgi"},
    "gather_is_serial": BOTH,
    "conn_max_age_leak": {"asgi"},
    "sync_stream_under_asgi": {"asgi"},
    "context_token_across_hop": {"asgi"},
}
WITHOUT_COLLECTOR = """
import asyncio, gc, json
from labs.traps.asgi import application
from labs.tests.ask import ask_asgi_once

async def visit(path):
    for _ in range(40):
        await ask_asgi_once(application, path)
    return json.loads((await ask_asgi_once(application, "/census"))[2])["open"]

async def main():
    gc.collect()
    gc.disable()
    found = [await visit("/conn_max_age_leak/instead"), await visit("/conn_max_age_leak")]
    gc.collect()
    print(json.dumps([*found, json.loads((await ask_asgi_once(application, "/census"))[2])["open"]]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(told: list[str]) -> Outcomes:
    return traps.try_traps(on_progress=lambda done, line: told.append(f"{done} {line}"))


def test_every_trap_is_a_file_that_is_looked_at() -> None:
    folder = ROOT / "labs" / "traps"
    files = {path.stem for path in folder.glob("*.py") if "def instead(" in path.read_text()}
    assert files == set(TRAPS) == set(TRAP_CHECKS) == set(HARMED_BEHIND)


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_harms_behind_its_doors_and_its_cure_behind_none(found: Outcomes, name: str) -> None:
    assert {door for door, views in found[name].items() if views["trap"].harmed} == HARMED_BEHIND[name]
    assert not any(views["instead"].harmed for views in found[name].values())


@pytest.mark.parametrize("door", sorted(BOTH))
@pytest.mark.parametrize("name", ["sync_orm_in_async_view", "lazy_queryset_in_template", "request_user_in_async_view"])
def test_django_refuses_the_sync_orm_on_a_loop_behind_either_door(found: Outcomes, name: str, door: str) -> None:
    values = found[name][door]["trap"].values
    assert (values["status"], values["error"]) == (500, "SynchronousOnlyOperation")


def test_every_question_is_told_when_it_has_been_asked(found: Outcomes, told: list[str]) -> None:
    assert [int(line.split()[0]) for line in told] == list(range(1, 2 * len(TRAPS) + 1))
    assert told[0].startswith(f"1 {TRAPS[0]} behind WSGI: ")


def test_asyncio_run_in_a_sync_view_never_answers_behind_asgi(found: Outcomes) -> None:
    assert found["asyncio_run_in_sync_view"]["asgi"]["trap"].values["status"] is None


@pytest.mark.parametrize("door", sorted(BOTH))
def test_a_comparison_in_a_template_swallows_the_refusal_and_says_that_nothing_is_there(
    found: Outcomes, door: str
) -> None:
    values = found["lazy_queryset_in_template"][door]["trap"].values
    assert (values["silent_status"], values["silent_text"]) == (200, "Sold out")


@pytest.mark.parametrize("door", sorted(BOTH))
def test_an_anonymous_visitor_hides_what_a_session_shows(found: Outcomes, door: str) -> None:
    assert found["request_user_in_async_view"][door]["trap"].values["anonymous_status"] == 200


def test_a_blocking_call_lets_one_inside_and_holds_up_other_pages_behind_asgi(found: Outcomes) -> None:
    doors = found["blocking_in_async_view"]
    values = doors["asgi"]["trap"].values
    assert values["inside_most"] == 1
    assert values["took_ms"] >= values["callers"] * values["blocked_ms"]
    assert values["other_ms"] >= (values["other_blocked_ms"] - 1000 * OTHER_AFTER_S) / 2
    for free in (doors["wsgi"]["trap"].values, doors["wsgi"]["instead"].values, doors["asgi"]["instead"].values):
        assert free["inside_most"] == free["callers"]


@pytest.mark.parametrize("door", sorted(BOTH))
def test_gathered_queries_take_turns_on_one_thread_and_connection(found: Outcomes, door: str) -> None:
    trap, instead = (found["gather_is_serial"][door][view].values for view in ("trap", "instead"))
    assert (trap["threads"], trap["connections"]) == (1, 1)
    assert trap["took_ms"] >= trap["queries"] * trap["query_ms"]
    assert (instead["threads"], instead["connections"]) == (instead["queries"], instead["queries"])


def test_kept_connections_are_found_again_behind_wsgi_and_pile_up_behind_asgi(found: Outcomes) -> None:
    wsgi, asgi = (found["conn_max_age_leak"][door]["trap"].values for door in ("wsgi", "asgi"))
    assert wsgi["connections"] == wsgi["open_most"] <= 16  # as many as gthread has threads
    assert asgi["connections"] == asgi["requests"]
    assert asgi["open_most"] > 1
    for door in BOTH:
        # One may be on its way: Django closes it after the answer has left.
        assert found["conn_max_age_leak"][door]["instead"].values["open_most"] <= 1


def test_only_the_garbage_collector_closes_what_is_kept_behind_asgi(database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COLLECTOR],
        cwd=ROOT,
        env=clean_environment(database.environment),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0, 40, 0]


def test_a_sync_stream_is_collected_behind_asgi_after_its_headers_have_left(found: Outcomes) -> None:
    values = found["sync_stream_under_asgi"]["asgi"]["trap"].values
    assert values["first_byte_ms"] >= (values["events"] - 1) * values["pause_ms"] > values["headers_ms"]


def test_an_async_stream_is_collected_behind_wsgi_with_its_headers(found: Outcomes) -> None:
    doors = found["sync_stream_under_asgi"]
    wsgi, asgi = (doors[door]["trap"].values["async_iterator"] for door in ("wsgi", "asgi"))
    assert asgi["still_made"]
    assert not wsgi["still_made"]
    assert wsgi["headers_ms"] >= (wsgi["events"] - 1) * wsgi["pause_ms"]


def test_a_token_is_refused_in_another_hop(found: Outcomes) -> None:
    assert found["context_token_across_hop"]["asgi"]["trap"].values["error"] == "ValueError"


def test_the_committed_results_hold_every_trap_with_the_same_harm() -> None:
    kept = traps.load()
    harmed = {name: {door for door, views in doors.items() if views["trap"].harmed} for name, doors in kept.items()}
    assert harmed == HARMED_BEHIND


@pytest.mark.parametrize("door", sorted(BOTH))
def test_the_index_leads_to_every_trap_and_says_which_door_it_is(door: str) -> None:
    ((status, _, page),), _ = ask(f"labs.traps.{door}", "/")
    assert status == 200
    assert f"Traps, behind {door.upper()}" in page
    assert all(f'href="{name}"' in page and f'href="{name}/instead"' in page for name in TRAPS)


@pytest.mark.parametrize("name", TRAPS)
def test_a_lesson_shows_code_and_both_doors(name: str) -> None:
    text = traps.lesson_of(name, traps.load()[name])
    assert all(part in text for part in ("**People write:**", "**Instead:**", "def trap", "| ASGI |", "| WSGI |"))


def test_what_does_other_harm_than_is_kept_is_named() -> None:
    kept = traps.load()
    assert traps.compare_with_kept(kept, kept).startswith("Each does harm where it is said to, and nowhere else.")
    views = kept["gather_is_serial"]["asgi"]
    mine = {"gather_is_serial": {"asgi": {**views, "trap": replace(views["trap"], harmed=False)}}}
    assert traps.compare_with_kept(mine, kept).startswith("Not as it is kept: `gather_is_serial` behind ASGI.")


def test_no_trap_is_asked_in_a_lesson_unless_it_is_wished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(live_cell.LIVE_VARIABLE, raising=False)
    assert live_cell.ask_traps() is None
    assert "lab notebooks --live" in capsys.readouterr().out


@pytest.mark.live
def test_the_live_cell_asks_behind_both_doors_with_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(live_cell.LIVE_VARIABLE, "1")
    found = live_cell.ask_traps(["context_token_across_hop"])
    assert found
    assert set(found["context_token_across_hop"]) == BOTH
    assert "█ 2/2 context_token_across_hop behind ASGI: harm" in capsys.readouterr().out
