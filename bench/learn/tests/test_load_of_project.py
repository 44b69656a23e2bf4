"""What is measured of a project: which ways to serve it, how often, and what counts as a right answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.base.errors import NotRun, UsageError
from bench.learn.tests.made_up_examinations import TODAY, arm
from bench.learn.your_project import load
from bench.learn.your_project.answer import answer_of
from bench.learn.your_project.comparing import Document
from bench.learn.your_project.databases import Copies
from bench.learn.your_project.load import (
    SWEEP,
    Series,
    Wanted,
    Way,
    apply_load,
    levels_of,
    more_processes,
    plainly,
    restarts_for,
    terms_of,
    ways_of,
)
from bench.learn.your_project.model import Checked, Examination, Expected, Interrupted, Page, Present, Project, Terms
from bench.learn.your_project.overlay import laying_over
from bench.learn.your_project.page_trial import PageTrial, body_bounds
from bench.learn.your_project.traffic import Traffic
from bench.model.trial_plan import TrialPlan, planned_trial
from bench.model.trial_record import Reason, Trial, Verdict
from bench.trace.inside import bootstrap
from bench.trace.interpreter import OURS

LOST_AND_FINE: tuple[tuple[Verdict, str], ...] = (("invalid", "lab-gap"), ("degraded", "drift"))
PAGES = [Checked(Page("/", 0.5), 200, took_ms={"wsgi": 100.0}), Checked(Page("/b", 0.5), 200, took_ms={"wsgi": 300.0})]


def terms(users: int = 128, threads: int = 64, today: Present = TODAY, memory_bytes: int | None = None) -> Terms:
    return Terms(users, "", False, threads, memory_bytes, today)


def names(terms: Terms, *what_if: str) -> list[str]:
    return [way.name for way in ways_of(terms, what_if)]


def test_todays_server_asgi_and_two_larger_pools_are_measured() -> None:
    assert names(terms()) == ["today", "ASGI as it is", "23 threads", "64 threads"]
    between = next(way for way in ways_of(terms(), ()) if way.name == "23 threads")
    assert not between.decides


def test_a_pool_is_no_larger_than_configured_or_of_use() -> None:
    assert names(terms(threads=16)) == ["today", "ASGI as it is", "16 threads"]
    assert names(terms(users=8)) == ["today", "ASGI as it is"]
    assert names(terms(today=Present("sync", None, 4))) == ["today", "ASGI as it is", "6 threads", "32 threads"]


def test_who_is_behind_asgi_today_is_measured_against_pools() -> None:
    assert names(terms(today=Present("uvicorn", None, 1))) == ["today", "8 threads", "23 threads", "64 threads"]


def test_each_handler_of_the_lab_is_a_way_of_its_own() -> None:
    assert names(terms(threads=8), "zero_hop", "folded")[2:] == ["ASGI with zero_hop", "ASGI with folded"]
    with pytest.raises(UsageError, match="--what-if zero: did you mean zero_hop"):
        Wanted(what_if=("zero",))


@pytest.mark.parametrize(
    ("room", "processes"), [(90_000_000, None), (134_000_000, None), (135_000_000, 2), (180_000_000, 3), (10**12, 8)]
)
def test_more_processes_are_as_many_as_fit_into_the_memory(room: int, processes: int | None) -> None:
    arms = [arm("today", 1.0, rss_bytes=90_000_000), arm("asgi", 1.0, rss_bytes=room)]
    for where, measured in ((terms(memory_bytes=room), arms[:1]), (terms(), arms)):
        found = [way.budget.processes for way in more_processes(measured, where)]
        assert found == ([processes] if processes else [])


def test_users_come_from_the_option_the_log_or_a_sweep() -> None:
    traffic = Traffic([], 50.0, None, 3000, 1.0, 0)
    named = terms_of(PAGES, TODAY, Wanted(users=(4, 20)))
    logged = terms_of(PAGES, TODAY, Wanted(traffic=traffic))
    swept = terms_of(PAGES, TODAY, Wanted())
    assert (named.users, named.is_swept) == (20, False)
    assert (logged.users, logged.is_swept) == (10, False)  # 50/s x 0.2 s
    assert "50 requests/s in the busiest minute of the log x 0.2 s each (as one request takes here)" in logged.because
    assert (swept.users, swept.is_swept) == (max(SWEEP), True)
    assert [*map(list, map(levels_of, (Wanted(users=(4, 20)), Wanted(traffic=traffic), Wanted())))] == [
        *([4, 20], [], list(SWEEP)),
    ]


@pytest.mark.parametrize(
    ("trials", "restarts"), [(100.0, 5), (16.0, 5), (15.9, 4), (12.0, 4), (8.0, 3), (0.0, 3), (-9.0, 3)]
)
def test_restarts_are_as_many_as_the_time_allows_and_three_at_least(trials: float, restarts: int) -> None:
    assert restarts_for(trials, deciding=4, more=0) == restarts


@pytest.mark.parametrize(("before_s", "trials"), [(0.0, 10), (60.0, 8), (150.0, 6)])
def test_a_project_that_took_long_until_the_load_gets_fewer_restarts(
    before_s: float, trials: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []

    def run(plan: TrialPlan, strategy: PageTrial) -> Trial:
        done.append(plan.stack.name)
        return replace(planned_trial(plan), verdict="ok", throughput_per_s=100.0)

    monkeypatch.setattr(load, "run_trial", run)
    monkeypatch.setattr(load, "packages_for", lambda *words: Path("/packages"))
    monkeypatch.setattr(load, "time", SimpleNamespace(monotonic=lambda: 10.0 * len(done)))  # a trial takes 10 s
    project = Project(tmp_path, "mysite.settings", "", "", OURS)
    found = Examination(project, [page.page for page in PAGES], checked=PAGES)
    with laying_over(project) as overlay:
        apply_load(found, overlay, Copies({}), (), Wanted(users=(16,), threads=8), lambda line: None, -before_s)
    assert len(done) == trials


def test_a_right_answer_has_about_the_length_of_those_that_were_compared() -> None:
    expected = Expected(Document(200, [], b""), set(), [1000, 1000, 1010])
    assert body_bounds(expected) == (950, 1060)
    assert body_bounds(replace(expected, lengths=[4, 4])) == (0, 20)
    assert body_bounds(replace(expected, masks={(3, 1)})) == (500, 2036)


def test_a_command_in_a_sentence_is_without_the_program_that_gets_us_in() -> None:
    command = " ".join(bootstrap.command("python", "overlay.serving", "main", "gunicorn"))
    said = plainly(f"The server did not boot: `{command}`")
    assert said == "The server did not boot: `python -c … … overlay.serving main gunicorn`"
    assert str(Path(bootstrap.__file__).parent) not in said


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Trials that take no time: stack and users of each, in their order. The 5th is broken off by Ctrl-C."""
    done: list[tuple[str, int]] = []

    def run(plan: TrialPlan, strategy: PageTrial) -> Trial:
        done.append((plan.stack.name, plan.users))
        verdict: Verdict = "aborted" if len(done) == 5 else "ok"
        return replace(planned_trial(plan), verdict=verdict, throughput_per_s=100.0 + len(done))

    monkeypatch.setattr(load, "run_trial", run)
    monkeypatch.setattr(load, "packages_for", lambda *words: Path("/packages"))
    return done


def test_what_was_measured_before_ctrl_c_is_not_lost(measured: list[tuple[str, int]], tmp_path: Path) -> None:
    project = Project(tmp_path, "mysite.settings", "", "", OURS)
    found = Examination(project, [page.page for page in PAGES], checked=PAGES)
    with laying_over(project) as overlay, pytest.raises(Interrupted) as interruption:
        apply_load(found, overlay, Copies({}), (), Wanted(users=(16,), threads=8), lambda line: None)
    assert len(measured) == 5
    assert all(users == 16 for _, users in measured)
    arms = interruption.value.found.arms
    assert [one.role for one in arms] == ["today", "asgi"]
    assert sum(len(one.per_s) for one in arms) == 4


def test_ctrl_c_before_the_first_trial_has_ended_leaves_what_was_found_before(
    measured: list[tuple[str, int]], tmp_path: Path
) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    project = Project(tmp_path, "mysite.settings", "", "", OURS)
    found = Examination(project, [page.page for page in PAGES], checked=PAGES)
    with laying_over(project) as overlay, pytest.raises(Interrupted) as interruption:
        apply_load(found, overlay, Copies({}), (), Wanted(users=(16,)), interrupt)
    assert not measured
    assert (interruption.value.found.arms, interruption.value.found.checked) == ([], PAGES)


def test_servers_that_cannot_be_installed_are_the_answer_and_nothing_found_before_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*words: object) -> Path:
        raise NotRun("Servers could not be installed: there is no network.")

    monkeypatch.setattr(load, "packages_for", refuse)
    project = Project(tmp_path, "mysite.settings", "", "", OURS)
    before = Examination(project, [page.page for page in PAGES], checked=PAGES)
    with laying_over(project) as overlay:
        found = apply_load(before, overlay, Copies({}), (), Wanted(users=(16,)), lambda line: None)
    answer = answer_of(found)
    assert (answer.value, answer.because) == ("cannot tell", "Servers could not be installed: there is no network.")
    assert found.checked == PAGES


def test_a_restart_that_was_lost_is_made_up_and_its_reason_comes_first(tmp_path: Path) -> None:
    way = next(ways_of(terms(), ()))
    lost, fine = (
        Trial("mysite@gthread:8", "pages", {}, [], 8, 0, verdict=verdict, reasons=[Reason(code, code)])
        for verdict, code in LOST_AND_FINE
    )
    series = Series(None, Copies({}), (), PAGES, "mysite", 64, "", lambda line: None)  # type: ignore[arg-type]
    series.trials[way, 8] = [fine, lost, fine]
    asked: list[Way] = []

    def measure(way: Way, users: int) -> None:
        asked.append(way)
        series.trials[way, users].append(replace(fine, throughput_per_s=100.0))

    series.measure = measure  # type: ignore[method-assign]
    series.make_up([way], 8)
    assert asked == [way]
    (found,) = series.arms()
    assert (found.verdict, found.reasons) == ("degraded", ["lab-gap", "drift"])
