"""Held and left connections, with real servers and the real drivers: what is counted is what happened."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analyse.findings import finding_for
from bench.analyse.rows import rows_of
from bench.analyse.usable_trials import is_usable
from bench.base.tests.attempts import until
from bench.measure import connection_trial, cpu_placement, preflight, process_usage
from bench.measure.load import departures, held
from bench.measure.readiness import RunningServer, serving_stack
from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import run_until
from bench.measure.trial import run_trial
from bench.model import experiment, trial_matrix, trial_record
from bench.model.load import Held, Leaving, Waves
from bench.model.run_record import Assertion
from bench.model.stacks import parse_stack
from bench.model.tests import runs
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import ServerUse, Trial
from bench.model.workloads import parse_request
from bench.show.figures import catalogue
from bench.show.tables.columns import columns_of
from bench.show.tables.json_rows import to_json_rows

FEED = "feed?n=100&ms=10000"
WAVES = ("first", "after_first", "second", "after_second", "asking")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server is left with is looked at sooner."""
    monkeypatch.setattr(connection_trial, "SETTLE_S", 1.0)


def planned(stack: str, count: int, request: str = FEED, leave_after_s: float | None = None) -> TrialPlan:
    return TrialPlan(
        stack=parse_stack(stack),
        request=parse_request(request),
        load=Held(count) if leave_after_s is None else Leaving(count, leave_after_s),
        repeat=0,
        middleware=(),
        warmup_s=0.1,
        duration_s=0.3,
    )


def held_in(trial: Trial) -> trial_record.HeldResult:
    assert trial.held, trial.reasons
    return trial.held


def gives_back(seen: trial_record.HeldResult) -> bool:
    return seen.threads_left == seen.threads_before


def test_an_event_loop_without_hops_holds_feeds_on_the_threads_it_has_and_tells_them_all(mark: str) -> None:
    seen = held_in(run_until(planned("zero_hop@uvicorn", 40)))
    assert (seen.served, seen.starved, seen.lost, seen.undelivered) == (40, 0, 0, 0)
    assert seen.published == seen.asked_to_publish == held.EVENTS
    assert max(seen.threads_held or 0, seen.threads_left or 0) <= (seen.threads_before or 0)
    assert seen.first_byte_us
    assert seen.all_delivered_us
    assert_nothing_is_left(mark)


def test_stock_django_parks_a_thread_for_each_and_gives_them_all_back() -> None:
    # A thread of the check before the trial may still be there when threads are first counted.
    seen = held_in(run_until(planned("async_asgi@uvicorn", 40), lambda trial: gives_back(held_in(trial))))
    assert (seen.served, seen.undelivered) == (40, 0)
    assert seen.threads_held - seen.threads_before == 40
    assert gives_back(seen)


@pytest.mark.parametrize(("since_s", "verdict"), [(1.0, "degraded"), (1.8, "invalid")])
def test_a_lab_that_was_held_up_says_so_and_judges_nothing_by_an_old_reading(since_s: float, verdict: str) -> None:
    times_s = [0.0, *(step / 20 for step in range(1, 60) if not since_s < step / 20 < since_s + 0.5), 8.0]
    readings = [process_usage.Reading(at_s, at_s / 2, at_s / 2, 0.0, 1, 1, 0) for at_s in times_s]
    asked = {"began_s": 0.0, "ended_s": 0.2, "error": ""}
    wrote = {"waves": [[asked], [asked]], "phases": dict(zip(WAVES, (0.0, 1.0, 2.0, 2.5, 2.8), strict=True))}
    seen = connection_trial.ConnectionEvidence(
        readings, readings[:2], wrote | {"recovered_s": 0.1, "cpu_s": {"first": 0.1}}
    )
    plan = replace(planned("async_asgi@uvicorn", 1, "hold?ms=100"), load=Waves(1, 5))
    trial = connection_trial._with_numbers(planned_trial(plan), plan, seen, cpu_placement.CpuPlan([0], [1]))
    judged = connection_trial._judge(trial, seen)
    assert (judged.verdict, [reason.code for reason in judged.reasons]) == (verdict, ["lab-gap"])
    assert (judged.waves is None) == (verdict == "invalid")
    assert judged.events[0].message.startswith("The lab itself was held up, and read nothing, for 0.5 s")


def driven(tmp_path: Path, stack: str, count: int) -> held.Driver:
    """The driver of feeds in a stack, which ran in this process."""
    with serving_stack(parse_stack(stack), grace_s=0) as server:
        options = held.Options(url=server.url, path=f"/{FEED}", connections=count, hold=0.1, folder=tmp_path)
        driver = held.Driver(options)
        asyncio.run(driver.run())
        return driver


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "STARVED_AFTER_S", 1.0)
    monkeypatch.setattr(held, "PUBLISHED_WITHIN_S", 1.0)


@pytest.mark.usefixtures("_impatient")
def test_a_pool_serves_as_many_feeds_as_it_has_threads_and_has_nobody_to_publish(tmp_path: Path) -> None:
    # A busy machine may not begin all within the second that is given here.
    driver = until(lambda driver: driver.served == 8, lambda: driven(tmp_path, "sync_wsgi@gthread:8", 12))
    assert (driver.served, driver.settled) == (8, 8)
    assert driver.refused_to_publish == 1


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("stack", ["sync_asgi@uvicorn", "async_wsgi@gthread:8"])
def test_the_wrong_pairings_send_nothing_before_the_end(tmp_path: Path, stack: str) -> None:
    assert driven(tmp_path, stack, 3).settled == 0


def test_what_did_not_reach_a_feed_that_is_held_is_undelivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = held.Options(url="http://127.0.0.1:1", path=f"/{FEED}", connections=3, hold=0.0, folder=tmp_path)
    driver = held.Driver(options)
    for phase in ("open_all", "publish_all", "close_all"):
        monkeypatch.setattr(driver, phase, lambda *_: asyncio.sleep(0))
    driver.served, driver.lost = 3, 1
    driver.published = [held.PublishedEvent(0.0, seen) for seen in (3, 2, 1, 0)]  # the first before one was lost
    assert asyncio.run(driver.run_phases())["undelivered"] == 1 + 2


def test_what_is_no_feed_is_counted_by_its_status(tmp_path: Path) -> None:
    with serving_stack(parse_stack("async_asgi@uvicorn"), grace_s=0) as server:
        options = held.Options(url=server.url, path="/feed?n=0", connections=3, hold=0.1, folder=tmp_path)
        driver = held.Driver(options)
        assert asyncio.run(driver.run())["errors"] == {"status 400": 3}


def leaving_as(stack: str, counts: tuple[int, ...]) -> trial_record.LeavingResult:
    """Ten who leave: those that left, cut short, ended in vain, never begun. Again where a busy machine held one up."""

    def counted(trial: Trial) -> tuple[int, ...]:
        gone = trial.gone
        return (gone.left, gone.cut_short, gone.ended_in_vain, gone.never_begun) if gone else ()

    trial = run_until(planned(stack, 10, "wait?ms=1000", leave_after_s=0.4), lambda trial: counted(trial) == counts)
    assert counted(trial) == counts, trial.reasons
    assert trial.gone
    return trial.gone


def test_a_waiting_view_is_cut_short_on_a_loop_and_ends_in_vain_in_a_thread() -> None:
    leaving_as("async_asgi@uvicorn", (10, 10, 0, 0))
    pool = leaving_as("sync_wsgi@gthread:4", (10, 0, 10, 0))
    assert pool.newcomer_us  # three rounds of the pool, of which the clients waited for less than half of one
    assert pool.newcomer_us > 1_000_000


def test_a_server_that_dies_makes_the_trial_invalid(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = connection_trial._watch

    def dying(server: RunningServer, *more: Any) -> connection_trial.ConnectionEvidence:
        threading.Timer(0.3, os.kill, (server.pid, signal.SIGKILL)).start()
        return watched(server, *more)

    monkeypatch.setattr(connection_trial, "_watch", dying)
    trial = run_trial(planned("zero_hop@uvicorn", 5))
    assert (trial.verdict, trial.reasons[0].code, trial.held) == ("invalid", "server-died", None)
    assert_nothing_is_left(mark)


def test_interrupted_it_is_aborted_and_leaves_nothing(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection_trial, "_require_alive", interrupted)
    assert run_trial(planned("zero_hop@uvicorn", 5)).verdict == "aborted"
    assert_nothing_is_left(mark)


def test_more_connections_than_descriptors_are_refused_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "descriptors", lambda: 200)
    trial = run_trial(planned("zero_hop@uvicorn", 101))
    assert trial.verdict == "not-run"
    assert "ulimit -n 201" in trial.reasons[0].message
    assert "101 connections" in trial.reasons[0].message


A_TRIAL = replace(
    planned_trial(planned("zero_hop@uvicorn", 5)),
    server=ServerUse(5, 0, 5, 0.1, 0.1, 1, [0]),
    held=trial_record.HeldResult(5, 0, 0, 5, 5, 0, None, None, None, 5, 5, 5, 0, 0, 0, None),
)
PHASES = {"opening": 0.0, "holding": 1.0, "publishing": 2.0, "closing": 3.0}


def test_books_that_do_not_balance_give_no_numbers() -> None:
    seen = connection_trial.ConnectionEvidence(
        [], [], {"cpu_s": {"opening": 0.0, "publishing": 0.0}, "all_delivered_s": [], "phases": PHASES}
    )
    short = connection_trial._judge(replace(A_TRIAL, held=replace(held_in(A_TRIAL), served=4)), seen)
    assert (short.verdict, short.held) == ("invalid", None)


def test_a_driver_out_of_breath_is_told_and_touches_delays_only() -> None:
    busy = {"opening": 0.9, "holding": 0.0, "publishing": 0.1}
    seen = connection_trial.ConnectionEvidence([], [], {"cpu_s": busy, "all_delivered_s": [1.0], "phases": PHASES})
    limited = connection_trial._judge(A_TRIAL, seen)
    reasons = limited.reasons
    assert [reason.code for reason in reasons] == ["client-limited"]
    assert "90 %" in reasons[0].message
    assert not is_usable(limited, "held.delivery_us.p50")
    assert is_usable(limited, "held.threads_held")


@pytest.mark.parametrize("name", ["held", "gone"])
@pytest.mark.parametrize("profile", experiment.PROFILES)
def test_each_profile_names_connections_and_no_users(name: str, profile: str) -> None:
    plans = trial_matrix.trials_of(experiment.load_experiment(name), profile, trial_matrix.Overrides())
    assert plans
    assert all(isinstance(plan.load, Held | Leaving) for plan in plans)


def test_nobody_is_asked_before_the_last_has_left(tmp_path: Path) -> None:
    with serving_stack(parse_stack("async_asgi@uvicorn"), grace_s=0) as server:
        options = departures.Options(
            url=server.url, path="/wait?ms=10000", connections=4, leave_after=0.1, folder=tmp_path
        )
        driver = departures.Driver(options)
        began_s = time.monotonic()
        seen = asyncio.run(driver.run())
    assert seen["phases"]["left"] - began_s >= 0.1
    assert (seen["left"], seen["answered"]) == (4, 0)


def test_the_table_of_connections_shows_what_they_are_about_and_no_rates() -> None:
    run = replace(runs.sweep(), trials=[replace(A_TRIAL, verdict="ok", repeat=repeat) for repeat in range(3)])
    headings = [column.heading for column in columns_of(rows_of(run))]
    assert {"served", "starved", "threads held"} <= set(headings)
    assert not {"delivery ms", "kB per feed"} & set(headings)  # this trial has neither
    assert not {"req/s", "of limit", "p99 ms", "wasted views"} & set(headings)
    (row,) = to_json_rows(run)
    assert (row["connections"], row["held_served"], row["held_threads"]) == (5, 5, 5)
    assert "feed" in catalogue.figures_for(run)[0].slug


def test_a_count_of_nothing_can_be_claimed() -> None:
    claim = Assertion("nobody is left", {"stack": A_TRIAL.stack, "connections": 5}, measure="held.starved")
    trials = [replace(A_TRIAL, verdict="ok", repeat=repeat) for repeat in range(3)]
    assert finding_for(replace(claim, expect="between", within=[0, 0]), trials).value == "supported"
    assert finding_for(replace(claim, expect="between", within=[1, 2]), trials).value == "refuted"
