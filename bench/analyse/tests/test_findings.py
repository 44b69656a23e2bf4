"""Rows and findings come from the trials alone."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.analyse import findings, rows, stats
from bench.model import run_store
from bench.model.run_record import Assertion, Run
from bench.model.stacks import split_name
from bench.model.tests import runs
from bench.model.trial_record import Reason, Trial

EVENT_LOOP, THREADS = "async_asgi@uvicorn", "sync_wsgi@gthread:8"


def row_of(run: Run, stack: str, users: int) -> rows.Row:
    (row,) = [row for row in rows.rows_of(run) if (row.stack, row.users) == (stack, users)]
    return row


def rated(*rates: float, stack: str = EVENT_LOOP, **changes: Any) -> list[Trial]:
    """Restarts that differ in throughput only."""
    return [runs.trial_of(stack, repeat=i, throughput_per_s=rate, **changes) for i, rate in enumerate(rates)]


def finding_of(trials: Sequence[Trial], **changes: Any) -> findings.ClaimFinding:
    claim = replace(Assertion("it is so", {"stack": EVENT_LOOP}, {"stack": THREADS}), **changes)
    (finding,) = findings.findings_of(runs.run_of(trials, [claim]))
    return finding


def test_row_is_the_median_over_restarts_with_its_range() -> None:
    (row,) = rows.rows_of(runs.run_of(rated(90.0, 110.0, 101.0)))
    assert row.median("throughput_per_s") == 101.0
    assert row.throughput_interval == stats.Interval(90.0, 101.0, 110.0)


def test_two_restarts_have_a_median_and_no_interval() -> None:
    (row,) = rows.rows_of(runs.run_of(rated(90.0, 110.0)))
    assert (row.median("throughput_per_s"), row.throughput_interval) == (100.0, None)


def test_rows_keep_the_order_of_the_plan_whatever_order_the_trials_were_made_in() -> None:
    run = runs.sweep(users=(1, 50))
    shuffled = replace(run, trials=run.trials[::-1])
    assert [(row.users, row.stack) for row in rows.rows_of(shuffled)] == [
        (users, stack) for users in (1, 50) for stack in runs.STACKS
    ]


def test_invalid_restart_gives_no_number_and_marks_the_row() -> None:
    row = row_of(runs.flawed(), "sync_wsgi@gthread:64", 100)
    assert len(row.measured) == len(row.values("throughput_per_s")) == 2
    assert row.is_hollow
    assert row.verdict_text == "1/3 invalid"


def test_row_without_measured_restarts_has_no_number_at_all() -> None:
    row = row_of(runs.flawed(), "sync_asgi@uvicorn", 400)
    assert not row.measured
    assert not row.is_hollow
    assert row.median("throughput_per_s") is None
    assert row.verdict_text == "invalid"


def test_reasons_of_one_code_are_told_once_with_their_count() -> None:
    row = row_of(runs.flawed(), EVENT_LOOP, 200)
    assert [(reason.code, count) for reason, count in row.reasons] == [("client-limited", 2)]
    assert row.why.endswith("(2 of 3 restarts)")


@pytest.mark.parametrize(
    ("stack", "users", "limiter"),
    [(THREADS, 400, "threads"), (EVENT_LOOP, 400, "server CPU"), (EVENT_LOOP, 10, "users")],
)
def test_limiter_is_the_smallest_of_the_bounds(stack: str, users: int, limiter: str) -> None:
    assert row_of(runs.sweep(), stack, users).limiter == limiter


def test_a_row_is_limited_by_what_is_full_at_the_median_and_not_by_what_one_restart_found() -> None:
    shares = ({"threads": 0.99, "server CPU": 0.5}, {"threads": 0.7, "server CPU": 0.9}, {"threads": 0.7})
    made = [runs.trial_of(THREADS, users=400, repeat=place) for place in range(3)]
    trials = [replace(trial, utilisation=used) for trial, used in zip(made, shares, strict=True)]
    row = row_of(runs.run_of(trials), THREADS, 400)
    assert row.utilisation == {"threads": 0.7, "server CPU": 0.7}
    assert row.limiter is None


@pytest.mark.parametrize(
    ("stack", "processes"), [("a@uvicorn", 1), ("a@gthread:64", 1), ("a@uvicorn:x2", 2), ("a@gthread:8x12", 12)]
)
def test_processes_are_read_from_the_budget(stack: str, processes: int) -> None:
    assert split_name(stack).processes == processes


def test_claim_is_supported_refuted_or_open_as_its_interval_says() -> None:
    slow, fast = rated(100.0, 101.0, 102.0, stack=THREADS), rated(300.0, 303.0, 306.0)
    assert finding_of(fast + slow).value == "supported"
    assert finding_of(fast + slow).text.startswith("3.0")
    assert finding_of(fast + slow, expect="less").value == "refuted"
    assert finding_of(fast + slow, than=3.0).value == "cannot tell"
    assert finding_of(fast + slow, than=3.0).text.endswith(", claimed: more than 3×")
    assert finding_of(rated(99.0, 101.0, 103.0) + slow).text.startswith("no difference detected")


def test_claim_measures_any_number_of_a_trial_by_its_path() -> None:
    trials = [runs.trial_of(stack, "wait?ms=100", 400, i) for stack in (EVENT_LOOP, THREADS) for i in range(3)]
    assert finding_of(trials, measure="server.threads_max", expect="less").value == "supported"
    assert finding_of(trials, measure="latency_us.p50", expect="less").value == "supported"


def test_claim_about_what_is_not_in_the_run_cannot_be_told() -> None:
    assert finding_of(rated(1.0, 1.0, 1.0)).text == f"not in this run: {THREADS}"


def test_claim_that_fits_several_rows_cannot_be_told() -> None:
    trials = [*rated(1.0, 2.0, 3.0), *rated(4.0, 5.0, 6.0, users=50), *rated(1.0, 2.0, 3.0, stack=THREADS)]
    assert finding_of(trials).value == "cannot tell"
    assert "must name" in finding_of(trials).text
    assert finding_of(trials, left={"stack": EVENT_LOOP, "users": 50}).ratio is not None


def test_claim_with_two_restarts_a_side_cannot_be_told() -> None:
    finding = finding_of([*rated(1.0, 2.0), *rated(1.0, 2.0, stack=THREADS)])
    assert (finding.value, finding.ratio) == ("cannot tell", None)
    assert "fewer than 3 restarts" in finding.text


@pytest.mark.parametrize(
    ("measure", "of_limit", "decides"),
    [
        ("throughput_per_s", 0.5, False),
        ("throughput_per_s", 0.95, True),  # the server had no more to give
        ("latency_us.p50", 0.95, False),
        ("cpu_us_per_request", 0.5, True),
        ("server.threads_max", 0.5, True),
    ],
)
def test_client_limited_restarts_decide_only_what_the_client_does_not_bound(
    measure: str, of_limit: float, decides: bool
) -> None:
    limited = rated(300.0, 303.0, 306.0, verdict="degraded", reasons=[runs.CLIENT_LIMITED], fraction_of_limit=of_limit)
    finding = finding_of([*limited, *rated(1.0, 2.0, 3.0, stack=THREADS)], measure=measure)
    assert ("client-limited" in finding.text) is not decides


def test_unsteady_restarts_decide_about_throughput_and_not_about_latency() -> None:
    unsteady = replace(runs.CLIENT_LIMITED, code="unsteady")
    trials = [
        *rated(300.0, 303.0, 306.0, verdict="degraded", reasons=[unsteady]),
        *rated(1.0, 2.0, 3.0, stack=THREADS),
    ]
    assert finding_of(trials).value == "supported"
    assert finding_of(trials, measure="latency_us.p50").value == "cannot tell"


ONE, TWO, THREE = "sync_wsgi@gthread:1", "sync_wsgi@gthread:2", "sync_wsgi@gthread:3"


@pytest.mark.parametrize(
    ("third", "value"),
    [((10.0, 11.0, 12.0), "supported"), ((500.0, 510.0, 520.0), "refuted"), ((90.0, 100.0, 110.0), "cannot tell")],
)
def test_an_order_needs_every_pair_and_one_the_other_way_round_refutes_it(third: tuple[float, ...], value: str) -> None:
    trials = [*rated(300, 303, 306, stack=ONE), *rated(99, 101, 103, stack=TWO), *rated(*third, stack=THREE)]
    finding = finding_of(trials, left={}, right=None, order=[{"stack": stack} for stack in (ONE, TWO, THREE)])
    assert finding.value == value
    assert finding.text.startswith("3.0× (2.9 to 3.1); ") or finding.text.startswith("3.00×")
    assert findings.compared_text(finding.claim) == f"throughput_per_s: {ONE} > {TWO} > {THREE}"


def test_an_order_with_a_side_that_is_not_there_cannot_be_told() -> None:
    order = [{"stack": stack} for stack in (ONE, TWO)]
    finding = finding_of(rated(300, 303, 306, stack=ONE), left={}, right=None, order=order)
    assert (finding.value, finding.text) == ("cannot tell", f"not in this run: {TWO}")


@pytest.mark.parametrize(
    ("threads", "value", "text"),
    [
        ((10, 10, 10), "supported", "10, claimed: 9 to 12"),
        ((9, 10, 12), "supported", "9 to 12, claimed: 9 to 12"),
        ((40, 41, 42), "refuted", "40 to 42, claimed: 9 to 12"),
        ((10, 11, 13), "cannot tell", "10 to 13, claimed: 9 to 12"),
        ((10, 10), "cannot tell", "fewer than 3 restarts"),
    ],
)
def test_a_count_is_judged_in_every_restart(threads: tuple[int, ...], value: str, text: str) -> None:
    trials = [
        replace(trial, server=replace(trial.server, threads_max=count))
        for count, trial in zip(threads, rated(*(1.0 for _ in threads)), strict=True)
        if trial.server
    ]
    finding = finding_of(trials, right=None, measure="server.threads_max", expect="between", within=[9, 12])
    assert (finding.value, finding.text) == (value, text)


@pytest.mark.parametrize(
    ("within", "value"), [([2.5, 3.5], "supported"), ([4.0, 5.0], "refuted"), ([3.0, 5.0], "cannot tell")]
)
def test_a_ratio_between_two_numbers_is_a_shape(within: list[float], value: str) -> None:
    trials = [*rated(300, 303, 306), *rated(100, 101, 102, stack=THREADS)]
    finding = finding_of(trials, expect="between", within=within)
    assert finding.value == value
    assert finding.text.endswith(f", claimed: {within[0]:g} to {within[1]:g}×")


SHARED: dict[str, Any] = {"server_cores": 2, "verdict": "degraded", "reasons": [Reason("shared-cores", "Shared.")]}


@pytest.mark.parametrize(
    ("left", "right", "expect", "value"),
    [
        ((300, 303, 306), SHARED, "greater", "cannot tell"),
        ((300, 303, 306), SHARED, "less", "cannot tell"),
        ((30, 31, 32), SHARED, "less", "supported"),
        ((30, 31, 32), SHARED, "greater", "refuted"),
    ],
)
def test_a_server_that_shares_a_core_with_the_load_bounds_a_ratio_on_one_side(
    left: tuple[float, ...], right: dict[str, Any], expect: Any, value: str
) -> None:
    trials = [*rated(*left), *rated(100, 101, 102, stack=THREADS, **right)]
    finding = finding_of(trials, expect=expect)
    assert finding.value == value
    assert finding.measured.startswith("at most ") == (value == "cannot tell")


def test_two_servers_that_share_a_core_with_the_load_are_compared_as_they_are() -> None:
    trials = [*rated(300, 303, 306, **SHARED), *rated(100, 101, 102, stack=THREADS, **SHARED)]
    assert finding_of(trials).value == "supported"
    mirrored = [*rated(30, 31, 32, **SHARED), *rated(100, 101, 102, stack=THREADS)]
    assert finding_of(mirrored).measured.startswith("at least ")


def test_claims_are_kept_where_all_their_sides_are_planned() -> None:
    trials = [runs.trial_of(stack, users=50) for stack in (ONE, TWO)]
    here = [
        Assertion("both", {"stack": ONE, "users": 50}, {"stack": TWO, "users": 50}),
        Assertion("in order", order=[{"stack": ONE}, {"stack": TWO, "users": 50}]),
        Assertion("a count", {"stack": ONE}),
    ]
    gone = [
        Assertion("other users", {"stack": ONE, "users": 51}, {"stack": TWO, "users": 50}),
        Assertion("no such side", {"stack": ONE}, {"stack": THREE}),
        Assertion("a third", order=[{"stack": ONE}, {"stack": TWO}, {"stack": THREE}]),
    ]
    assert findings.claims_about([*here, *gone], trials) == here


def test_restarts_of_one_rate_have_an_interval_of_no_width() -> None:
    (row,) = rows.rows_of(runs.run_of(rated(*[1826.7133152305082] * 5)))
    assert row.throughput_interval == stats.Interval(*[1826.7133152305082] * 3)


def test_times_are_told_in_milliseconds_with_what_was_asked() -> None:
    told = [
        each.text
        for each in findings.findings_of(run_store.load_run(run_store.REFERENCE / "freeze"))
        if each.claim.right is None
    ]
    assert len(told) == 2
    assert all(re.fullmatch(r"[\d,]+ to [\d,]+ ms, claimed: .* ms", text) for text in told)


def test_trials_that_differ_in_cores_alone_are_rows_of_their_own_and_a_claim_says_which() -> None:
    shared = Reason("shared-cores", "Server and load had to share a core.")
    two = [replace(it, server_cores=2, verdict="degraded", reasons=[shared]) for it in rated(200.0, 210.0, 220.0)]
    one = [replace(it, server_cores=1) for it in rated(100.0, 105.0, 110.0)]
    assert [row.given_cores for row in rows.rows_of(runs.run_of([*one, *two]))] == [1, 2]
    sides: list[dict[str, Any]] = [{"stack": EVENT_LOOP, "server_cores": cores} for cores in (2, 1)]
    finding = finding_of([*one, *two], left=sides[0], right=sides[1], than=1.5)
    assert finding.value == "supported"
    assert findings.selector_text(sides[0]) == f"{EVENT_LOOP}, on 2 cores"
    assert "fits several rows" in finding_of([*one, *two], right=None, than=1).text


def test_a_core_that_server_and_load_share_unasked_leaves_no_throughput_to_go_by() -> None:
    shared = Reason("shared-cores", "Server and load had to share a core.")
    unasked = [replace(it, verdict="degraded", reasons=[shared]) for it in rated(200.0, 210.0, 220.0)]
    asked = [replace(it, server_cores=2) for it in unasked]
    bound: dict[str, Any] = {"right": None, "than": 100}
    assert [finding_of(trials, **bound).value for trials in (unasked, asked)] == ["cannot tell", "supported"]
    assert finding_of(asked, **bound, measure="latency_us.p50").value == "cannot tell"
