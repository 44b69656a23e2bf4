"""Trials that ask a real PostgreSQL: connections in waves, payments while clients leave and servers die, an outage."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from bench.analyse.gates import judge
from bench.analyse.rows import Row, rows_of
from bench.base.errors import ExitCode, UsageError
from bench.base.polling import eventually
from bench.cli.main import main
from bench.measure import connection_trial
from bench.measure.database.database import Database, serving_database
from bench.measure.database.payment_audit import PaymentAudit, errors_in
from bench.measure.readiness import serving_stack
from bench.measure.tests.postgresql import require_postgresql
from bench.measure.tests.processes import at_rest, burst
from bench.measure.tests.windows import run_until
from bench.measure.wave_metrics import wave_metrics_of
from bench.model import experiment, trial_matrix, trial_record
from bench.model.load import Closed, Leaving, Load, Waves
from bench.model.stacks import parse_stack
from bench.model.tests import runs
from bench.model.trial_plan import Outage, TrialPlan
from bench.model.trial_record import DatabaseUse, Trial
from bench.model.workloads import parse_request
from bench.show.tables.groups import groups_of

ALL = ("sync_wsgi@gthread:64", "sync_asgi@uvicorn", "async_asgi@uvicorn", "async_wsgi@gthread:64")
BEYOND = ("zero_hop@uvicorn", "pinned_pool@uvicorn")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_trial, "SETTLE_S", 0.4)
    monkeypatch.setattr(connection_trial, "BETWEEN_WAVES_S", 0.7)


def planned(stack: str, request: str, load: Load, duration_s: float = 1.0, **more: object) -> TrialPlan:
    plan = TrialPlan(parse_stack(stack), parse_request(request), load, 0, (), 0.2, duration_s)
    return replace(plan, **more)  # type: ignore[arg-type]


def waves_through(
    stack: str, allowed: int, holds: Callable[[trial_record.WavesResult], bool]
) -> tuple[trial_record.WavesResult, Trial]:
    """Two waves, sent again where on a busy machine a request overtook another, or a connection was late to end."""
    require_postgresql()
    plan = planned(stack, "hold?ms=700", Waves(20, allowed))
    trial = run_until(plan, lambda trial: trial.waves is not None and holds(trial.waves))
    assert trial.waves, trial.reasons
    return trial.waves, trial


def used(trial: Trial) -> DatabaseUse:
    assert trial.database, trial.reasons
    return trial.database


@pytest.mark.alone
def test_each_request_in_flight_holds_a_connection_and_the_first_beyond_those_allowed_fails() -> None:
    def holds(seen: trial_record.WavesResult) -> bool:
        first = (seen.first.first_failed, seen.first.failed, seen.first.answered)
        is_open = (seen.first.open_max, seen.first.open_left)
        return (first, is_open) == ((13, 8, 12), (12, 0)) and max(seen.in_flight) >= 12

    seen, trial = waves_through("async_asgi@uvicorn", 12, holds)
    assert (seen.first.first_failed, seen.first.failed, seen.first.answered) == (13, 8, 12)
    assert (seen.first.open_max, seen.first.open_left) == (12, 0)
    assert seen.recovered_us is not None
    assert max(seen.in_flight) >= 12
    assert len(seen.failed_at_s) == seen.first.failed + seen.second.failed == trial.failed
    assert trial.errors == {"status 500": trial.failed}
    assert sum(used(trial).errors.values()) == trial.failed
    assert any("connection" in error for error in used(trial).errors)


def test_under_asgi_conn_max_age_leaves_a_connection_of_every_request_behind() -> None:
    def holds(seen: trial_record.WavesResult) -> bool:
        # None was of use to the second wave, though nobody was in flight: it opened more, as many as are allowed.
        opened_more = seen.second.failed > 0 or seen.second.open_max > 20
        return (seen.first.failed, seen.first.open_left, opened_more) == (0, 20, True)

    seen, _ = waves_through("async_asgi+max_age_60@uvicorn", 30, holds)
    assert holds(seen), seen


def test_a_bounded_set_of_threads_holds_no_more_connections_than_it_has_threads() -> None:
    seen, _ = waves_through(
        "pinned_pool+max_age_60@uvicorn", 16, lambda seen: seen.first.open_max == seen.second.open_max == 16
    )
    assert (seen.first.failed, seen.second.failed) == (0, 0)
    assert seen.first.open_max == seen.second.open_max == 16


def test_waves_are_put_together_from_what_the_driver_and_the_bench_saw() -> None:
    first = [{"began_s": 10.0, "ended_s": 12.0, "error": ""}, {"began_s": 11.0, "ended_s": 11.1, "error": "status 500"}]
    second = [{"began_s": 20.0, "ended_s": 21.5, "error": ""}]
    began_s = {"first": 10.0, "after_first": 12.0, "second": 20.0, "after_second": 21.5, "asking": 23.0}
    wrote = {"waves": [first, second], "phases": began_s, "recovered_s": None}
    seen = wave_metrics_of(wrote, [(9.0, 7), (10.5, 1), (11.05, 2), (13.0, 1), (20.5, 2), (22.0, 0), (24.0, 9)])
    assert (seen.first.answered, seen.first.failed, seen.first.first_failed) == (1, 1, 2)
    assert (seen.first.slowest_us, seen.first.open_max, seen.first.open_left) == (2_000_000, 2, 1)
    assert (seen.second.first_failed, seen.second.open_max, seen.second.open_left) == (None, 2, 0)
    assert seen.at_s == [0.5, 1.05, 3.0, 10.5, 12.0]
    assert (seen.in_flight, seen.open) == ([1, 2, 0, 1, 0], [1, 2, 1, 2, 0])
    assert (seen.failed_at_s, seen.recovered_us) == ([1.0], None)


def paying(stack: str, workload: str, ms: int = 500, coins_off: int = 0) -> Trial:
    """Ten payments, half of whose clients leave between the two rows; again where a stall kept them from that.

    Coins or payments that are lost where none should be are never tried again.
    """
    request, half_s = f"{workload}?ms={ms}", ms / 2000

    def holds(trial: Trial) -> bool:
        lost = trial.database and (trial.database.coins_off, trial.database.payments_lost or 0)
        is_half = trial.gone is not None and (trial.gone.left, trial.gone.answered) == (5, 5)
        return is_half and lost == (coins_off, 0) if coins_off else is_half or lost not in (None, (0, 0))

    return run_until(planned(stack, request, Leaving(10, half_s, 5)), holds)


@pytest.mark.parametrize("stack", [*ALL, *BEYOND])
def test_a_payment_is_never_half_done_whoever_leaves(stack: str) -> None:
    trial = paying(stack, "checkout")
    assert trial.verdict in ("ok", "degraded"), trial.reasons
    assert (used(trial).coins_off, used(trial).payments_lost) == (0, 0)
    assert trial.gone
    assert (trial.gone.left, trial.gone.answered) == (5, 5)


def test_without_a_transaction_an_async_view_loses_the_coins_of_those_who_leave() -> None:
    # On a busy machine not all begin together.
    torn = paying("async_asgi@uvicorn", "checkout_in_halves", ms=2000, coins_off=-5)
    assert used(torn).coins_off == -5
    assert torn.verdict in ("ok", "degraded")  # that is what it is there to show
    assert used(paying("sync_wsgi@gthread:64", "checkout_in_halves")).coins_off == 0


def test_a_transaction_across_hops_holds_where_each_request_has_its_thread() -> None:
    assert (used(paying("async_asgi@uvicorn", "checkout_across_hops")).coins_off) == 0


@pytest.mark.parametrize("stack", ["sync_wsgi@gthread:64", "async_asgi@uvicorn", "pinned_pool@uvicorn"])
def test_a_server_that_is_killed_amid_payments_leaves_none_half_done(stack: str) -> None:
    with serving_database() as database:
        books = PaymentAudit(database)
        with serving_stack(parse_stack(stack), services=database.environment, grace_s=0) as server:
            assert httpx.get(f"{server.url}/checkout", trust_env=False).status_code == 200
            with httpx.Client(base_url=server.url, timeout=0.2, trust_env=False) as client:
                for _ in range(4):  # each still between its rows when it is given up, and when the server is killed
                    with pytest.raises(httpx.ReadTimeout):
                        client.get("/checkout?ms=5000")
        use = books.close(None, 1, "")
    assert (use.coins_off, use.payments_lost) == (0, 0)


def test_a_workload_that_promises_whole_payments_and_breaks_them_is_invalid() -> None:
    whole = replace(
        runs.trial_of("async_asgi@uvicorn"), workload="checkout", database=DatabaseUse("PostgreSQL 1", 1, coins_off=-1)
    )
    verdict, reasons = judge(whole, lost=0, mean_latency_s=0.1)
    assert (verdict, reasons[0].code) == ("invalid", "torn")
    bad_example = replace(whole, workload="checkout_in_halves")
    assert "torn" not in [reason.code for reason in judge(bad_example, lost=0, mean_latency_s=0.1)[1]]


@pytest.mark.parametrize("stack", ["sync_wsgi+max_age_60@gthread:8", "async_asgi+pool_16@uvicorn"])
def test_an_outage_is_counted_as_errors_and_the_run_says_when_all_was_well_again(stack: str) -> None:
    require_postgresql()
    trial = run_until(
        planned(stack, "rows?n=2", Closed(4), duration_s=3.0, outage=Outage(0.8, 0.6)),
        lambda trial: all(
            any(event.code == code and event.at_s <= latest_s for event in trial.events)
            for code, latest_s in (("database-away", 1.5), ("recovered", 3.0))
        ),
    )
    assert trial.verdict == "degraded", trial.reasons
    away, again = (event for event in trial.events if event.code in ("database-away", "recovered"))
    assert 0.7 <= away.at_s <= 1.5
    assert away.for_s >= 0.6
    assert again.at_s == pytest.approx(away.at_s + away.for_s)
    assert trial.failed > 0
    assert trial.errors == {"status 500": trial.failed}
    assert used(trial).recovered_us == round(1e6 * again.for_s)
    assert sum(trial.answered[-3:]) > 0


def test_the_books_hold_under_load_and_the_database_is_a_measured_part_of_the_machine() -> None:
    planned_trial = planned("async_asgi@uvicorn", "checkout?ms=0", Closed(4))
    trial = run_until(planned_trial, lambda trial: trial.machine is not None)
    assert trial.verdict in ("ok", "degraded"), trial.reasons
    assert used(trial).coins_off == 0
    assert trial.machine
    assert trial.machine.database_cores > 0 or used(trial).vendor.startswith("SQLite")


@pytest.mark.parametrize(("answered", "lost"), [(5, 2), (3, 0), (2, 0), (None, None)])
def test_payments_that_were_confirmed_and_are_not_there_are_lost(answered: int | None, lost: int | None) -> None:
    payments = iter([10, 13])  # before and after: three arrived
    database = SimpleNamespace(vendor="SQLite", coins=lambda: 100, payments=lambda: next(payments), hide=str)
    assert PaymentAudit(cast(Database, database)).close(None, answered, "").payments_lost == lost


def test_errors_are_told_once_each_without_address_and_without_their_cause() -> None:
    refusal = 'connection failed: connection to server at "127.0.0.1", port 5 failed: FATAL:  full\n'
    log = (
        f"psycopg.OperationalError: {refusal}"
        "The above exception was the direct cause of the following exception:\n"
        f"django.db.utils.OperationalError: {refusal}"
        "django.db.utils.OperationalError: the connection is closed\n"
    )
    assert errors_in(log * 2) == {"OperationalError: full": 2, "OperationalError: the connection is closed": 2}


def test_what_a_row_asked_stands_over_its_table() -> None:
    trials = [replace(trial, database=DatabaseUse("SQLite 3.40.1", None, 0)) for trial in runs.sweep().trials]
    rows: list[Row] = rows_of(replace(runs.sweep(), trials=trials))
    assert all("SQLite 3.40.1" in group.heading for group in groups_of(rows))


def test_no_password_is_told_by_a_run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require_postgresql()
    url = database.environment["LAB_DATABASE_URL"]
    password = url.split(":")[2].split("@")[0]
    monkeypatch.setenv("LAB_DATABASE_URL", url)
    only = ["--stack", "async_asgi@uvicorn", "--workload", "rows?n=2", "--users", "2", "--duration", "0.5"]
    code = main(["run", "orm_cost", *only, "--profile", "quick", "--repeats", "1", "--out", str(tmp_path / "run")])
    assert code in (ExitCode.FINE, ExitCode.INVALID)  # the second on a busy machine: what counts is what is written
    written = [path.read_text() for path in (tmp_path / "run").iterdir() if path.is_file()]
    told = capfd.readouterr()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["environment"]["database"]
    assert all(password not in text for text in [*written, told.out, told.err])


@pytest.mark.parametrize(
    ("stack", "sentence"),
    [
        ("async_asgi+pool@uvicorn", "did you mean pool_16"),
        ("async_asgi+@uvicorn", "known are max_age_60"),
        ("bare_asgi+pool_16@uvicorn", "asks no database"),
    ],
)
def test_a_way_to_keep_connections_that_there_is_not_is_refused(stack: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_stack(stack)


def test_a_kept_connection_serves_the_next_request_and_a_default_one_is_opened_anew(database: Database) -> None:
    require_postgresql()
    assert eventually(lambda: database.connections() == 0, within_s=20)  # of tests before
    for stack, kept in {"sync_wsgi@gthread:1": 0, "sync_wsgi+max_age_60@gthread:1": 1}.items():
        with serving_stack(parse_stack(stack), services=database.environment, grace_s=0) as server:
            assert [answer.status_code for answer in burst(server.url, ["/rows?n=1"] * 3).answers] == [200] * 3
            # The end of a connection is told to the server, not waited for.
            assert eventually(lambda kept=kept: database.connections() == kept, within_s=10)  # type: ignore[misc]
            assert at_rest(database.connections) == kept


def test_half_of_the_clients_stay_however_many_there_are() -> None:
    loaded = experiment.load_experiment("transactions")
    for count in (50, 4):
        plans = trial_matrix.trials_of(loaded, "reference", trial_matrix.Overrides(connections=(count,)))
        assert {plan.load for plan in plans} == {Leaving(count, 0.1, count // 2)}
