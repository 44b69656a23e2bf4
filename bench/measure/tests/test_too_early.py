"""Servers that answer before the wait is over, started by us or named by --target: no number of theirs is shown."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from bench.analyse import utilisation
from bench.analyse.gates import judge
from bench.measure import connection_trial
from bench.measure.readiness import serving_stack
from bench.measure.tests.processes import assert_nothing_is_left
from bench.measure.tests.windows import OPEN, assert_without_numbers, codes_of, other_stack, planned, run_until
from bench.measure.trial import run_trial
from bench.model.load import Closed, Paced, Waves
from bench.model.stacks import parse_stack
from bench.model.trial_plan import planned_trial
from bench.model.trial_record import ServerUse, Trial
from bench.model.workloads import parse_request

HELD = {"load": Paced(5, 40.0)}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "never waits, users": ("never_waits", {}),
    "never waits, a rate": ("never_waits", OPEN),
    "never waits, users held to a rate": ("never_waits", HELD),
    "half the wait": ("waits_half", OPEN),
    "one answer of twenty": ("hastes_sometimes", {}),
    "two answers a request": ("answers_twice", {}),
}


def trial_of(case: str, target: str) -> Trial:
    plan = planned("sync_wsgi@gthread:8", duration_s=1.5, target=target, **CASES[case][1])
    return run_until(plan, lambda trial: "too-early" in codes_of(trial))


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    """Of targets that have the cases' faults, which are all there before the first connection takes a port."""
    with ExitStack() as running, ThreadPoolExecutor(3) as pool:
        stacks = [other_stack(f"bench.measure.tests.faulty:{fault}") for fault, _ in CASES.values()]
        urls = [running.enter_context(serving_stack(stack, grace_s=0)).url for stack in stacks]
        return dict(zip(CASES, pool.map(trial_of, CASES, urls), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_an_answer_before_its_wait_leaves_no_number(case: str, trials: dict[str, Trial]) -> None:
    trial = trials[case]
    assert (trial.verdict, trial.throughput_per_s, trial.histogram) == ("invalid", None, None)
    (sentence,) = [reason.message for reason in trial.reasons if reason.code == "too-early"]
    assert sentence.startswith("An answer came after ")
    assert sentence.endswith(" ms, and each has to wait 20 ms: what answers does not do the work.")


def test_a_server_of_ours_has_to_wait_as_well(mark: str) -> None:
    plan = replace(planned(), stack=other_stack("bench.measure.tests.faulty:waits_half"))
    trial = run_until(plan, lambda trial: codes_of(trial) == ["too-early"])
    assert_without_numbers(trial, "too-early")
    assert_nothing_is_left(mark)


def test_what_is_answered_at_once_fails_in_the_probe_already() -> None:
    with serving_stack(other_stack("bench.measure.tests.faulty:answers_at_once"), grace_s=0) as server:
        trial = run_trial(planned("sync_wsgi@gthread:8", "wait?ms=5000", target=server.url))
    sentence = assert_without_numbers(trial, "contract")
    assert "broke the contract of wait?ms=5000: it answers after " in sentence
    assert sentence.endswith(" ms, not after 5000 ms.")


def test_more_than_a_stack_has_threads_for_is_not_that_stack() -> None:
    with serving_stack(parse_stack("bare_wsgi@gthread:8"), grace_s=0) as server:
        plan = planned("bare_wsgi@gthread:1", "wait?ms=50", target=server.url)
        trial = run_until(plan, lambda trial: codes_of(trial) == ["above-limit"])
    sentence = assert_without_numbers(trial, "above-limit")
    assert sentence.endswith(
        "of the physical limit: what answers at the target is not bare_wsgi@gthread:1, or does not do the work."
    )


@pytest.mark.parametrize(
    ("request_text", "stack", "least_s"),
    [
        ("wait?ms=20", "async_asgi@uvicorn", 0.0188),
        ("hello", "async_asgi@uvicorn", 0.0),
        ("feed?n=11&ms=10", "async_asgi@uvicorn", 0.089),  # ten waits, each of whole milliseconds
        ("fan_out?n=4&ms=50", "sync_wsgi@gthread:8", 0.194),
        ("fan_out?n=4&ms=50", "async_asgi@uvicorn", 0.0485),  # gathered: as long as one
        ("gathered?n=2&ms=10", "async_asgi@uvicorn", 0.0178),  # one after the other all the same
        ("gathered?n=2&ms=10", "native_orm@uvicorn", 0.0089),  # each on a connection of its own
        ("rows?n=1", "async_asgi+db_10ms@uvicorn", 0.0099),
        ("gathered?n=2&ms=10", "native_orm+db_10ms@uvicorn", 0.0178),
        ("checkout?ms=0", "sync_wsgi@gthread:8", 0.0),
        ("wait?ms=1", "async_asgi@uvicorn", 0.0),
    ],
)
def test_timers_may_be_early_by_a_millisecond_and_no_more(request_text: str, stack: str, least_s: float) -> None:
    request = parse_request(request_text)
    assert utilisation.least_s(request.io_wait_s(parse_stack(stack)), request.parameters) == pytest.approx(least_s)


def test_the_limit_without_any_cpu_holds_for_a_server_that_nobody_looks_into() -> None:
    trial = replace(
        planned_trial(planned(load=Closed(10))), completed=9724, issued=9724, duration_s=1.0, throughput_per_s=9724.0
    )
    verdict, (reason,) = judge(trial, lost=0, mean_latency_s=0.001)
    assert (verdict, reason.code) == ("invalid", "above-limit")
    assert reason.message.startswith("1945 % of the physical limit: ")
    fast_enough = replace(trial, completed=519, throughput_per_s=519.0)  # 500/s, 2 %, and one request of each user
    assert judge(fast_enough, lost=0, mean_latency_s=0.02)[0] == "degraded"


@pytest.mark.parametrize(("first_ms", "verdict"), [(99, "ok"), (50, "invalid")])
def test_an_answer_in_a_wave_has_to_wait_too(first_ms: int, verdict: str) -> None:
    plan = planned(request="hold?ms=100", load=Waves(2, 10))
    asked = [{"began_s": 1.0, "ended_s": 1.0 + ms / 1000, "error": ""} for ms in (first_ms, 130)]
    failed = {"began_s": 1.0, "ended_s": 1.01, "error": "status 500"}
    ours = ServerUse(1, 0, 2, 0.1, 0.1, 1, [0])
    trial = connection_trial._judge(
        replace(planned_trial(plan), server=ours),
        connection_trial.ConnectionEvidence([], [], {"waves": [[*asked, failed], []]}),
    )
    assert trial.verdict == verdict
    assert verdict == "ok" or "too-early" in codes_of(trial)
