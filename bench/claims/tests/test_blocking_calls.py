"""What Django refuses on an event loop, what blocks it silently and what is fine is found as it is kept."""

import json
from typing import Any

import django
import pytest

from bench.claims.exhibits import blocking_calls
from bench.claims.exhibits.blocking_calls import CallRun
from bench.model import call_outcome
from bench.model.call_outcome import CallOutcome
from bench.show.figures import loop_gaps

REFUSED = {"queryset_count", "queryset_iterated", "cursor", "atomic", "user_of_session", "cache_in_database"}
SILENT = {"sleep", "http_client", "mail", "program", "slow_file", "lock_of_threads", "password_hashed", "large_json"}
WAITING = {"queryset_aget", "queryset_async_for", "sleep_async", "http_client_async", "slow_file_in_thread"}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return blocking_calls.run_in_subprocess()


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    return {call["name"]: call["outcome"] for call in found["calls"]}


def test_django_refuses_what_asks_the_database(found: dict[str, Any]) -> None:
    assert {name for name, outcome in outcomes(found).items() if outcome == "caught"} >= REFUSED


def test_what_asks_no_database_blocks_the_loop_and_nothing_says_so(found: dict[str, Any]) -> None:
    silent = {call["name"]: call for call in found["calls"] if call["outcome"] == "blocks"}
    assert set(silent) >= SILENT
    assert not any(call["caught"] or call["error"] or call["ticked"] for call in silent.values())
    assert min(call["gap_ms"] for call in silent.values()) >= call_outcome.LONG_MS


def test_the_loop_ticks_while_async_calls_wait(found: dict[str, Any]) -> None:
    assert {name for name, outcome in outcomes(found).items() if outcome == "waits"} >= WAITING


def test_a_comparison_in_a_template_swallows_the_refusal(found: dict[str, Any]) -> None:
    assert outcomes(found)["template_that_compares"] == "swallowed"


def test_an_a_method_may_block_as_well(found: dict[str, Any]) -> None:
    expected = "blocks" if django.VERSION < (6, 0) else "waits"  # 6.0 sends the hashing to a thread
    assert outcomes(found)["password_checked_async"] == expected


def test_a_transaction_has_no_async_form(found: dict[str, Any]) -> None:
    without = found["refused_without_twin"]
    assert "__enter__" in without["transaction.atomic()"]
    assert {"cursor", "commit", "rollback"} <= set(without["connection"])
    assert outcomes(found)["async_with_atomic"] == "other error"


def test_the_kept_calls_are_refused_and_block_as_they_do_here(found: dict[str, Any]) -> None:
    kept = blocking_calls.load()
    assert [call.name for call in kept] == list(outcomes(found))
    if json.loads(blocking_calls.FILE.read_text())["django"] == django.get_version():
        here = {call["name"]: (call["caught"], call["blocked"]) for call in found["calls"]}
        assert {call.name: (call.caught, call.blocked) for call in kept} == here


def test_a_call_is_shown_as_it_stands_in_its_file() -> None:
    assert blocking_calls.code_of("queryset_count") == "Product.objects.count()"
    assert blocking_calls.code_of("atomic") == 'with transaction.atomic():\n    "inside"'


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (CallRun("SynchronousOnlyOperation", True, [0, 0.001]), "caught"),
        (CallRun("TypeError", False, [0, 0.001]), "other error"),
        (CallRun("", True, [0, 0.001]), "swallowed"),
        (CallRun("", False, [0, 0.001, 0.08]), "blocks"),
        (CallRun("", False, [0, 0.001, 0.002, 0.08]), "waits"),
        (CallRun("", False, [0, 0.04]), "short"),
    ],
)
def test_the_outcome_follows_from_error_refusals_and_ticks(made: CallRun, outcome: str) -> None:
    assert made.outcome == outcome


def test_the_figure_has_a_bar_for_each_long_call_and_its_finding_above() -> None:
    kept = blocking_calls.load()
    long = [call for call in kept if call.outcome in ("blocks", "waits")]
    figure = loop_gaps.gaps(kept)
    assert len(figure.axes[0].patches) == len(long)
    assert figure.finding.startswith(f"{sum(call.blocked for call in long)} of {len(long)} long calls")


def test_a_prediction_is_set_beside_what_blocked() -> None:
    call = CallOutcome("sleep", "time.sleep(1)", "blocks", False, True, False, 80, 80)
    assert blocking_calls.compare_prediction(3, [call]).startswith(
        "1 call blocked the loop, and Django warned about none of them."
    )
    assert blocking_calls.compare_prediction(None, [call]).startswith("No prediction yet")
    assert "none" not in blocking_calls.compare_prediction(None, [call])


def test_a_table_of_one_outcome_has_its_calls_alone() -> None:
    call = CallOutcome("sleep", "time.sleep(1)", "blocks", False, True, False, 80, 80)
    assert blocking_calls.to_markdown([call], "blocks").endswith("| `time.sleep(1)` | 80 of 80 ms |")
    assert "sleep" not in blocking_calls.to_markdown([call], "waits")
