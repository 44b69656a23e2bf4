"""All tables of a run say the same, hide nothing and fit where they are printed."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from bench.analyse.rows import rows_of
from bench.learn import lessons
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import DatabaseUse, Reason, ServerEnvironment
from bench.show.report import to_html
from bench.show.tables.columns import COLUMNS, cells, columns_of
from bench.show.tables.footnotes import account_of, notes_of, plateau_lines
from bench.show.tables.formatting import AT_LEAST, milliseconds, number
from bench.show.tables.groups import groups_of
from bench.show.tables.json_rows import to_json_rows
from bench.show.tables.markdown import to_markdown
from bench.show.tables.terminal import print_run

EVENT_LOOP, THREADS = "async_asgi@uvicorn", "sync_wsgi@gthread:8"
ABOUT_DATABASES = {
    *(
        "hops to a thread",
        "back",
        "DB connections",
        "errors",
        "first right answer ms",
        "left open",
        "wave 1 failed",
        "wave 2 failed",
    ),
    *("first failure", "slowest ms", "recovery ms", "coins lost", "payments lost"),
}
ABOUT_CONNECTIONS = {
    *(
        "served",
        "starved",
        "refused",
        "first event ms",
        "delivery ms",
        "MB held",
        "threads held",
        "threads after",
        "kB per feed",
    ),
    *("wasted views", "cancelled views", "next client ms", "CPU ms per departure", "visits kept", "before /s"),
    *("beside /s", "visit p50 ms", "visit p99 ms", "in views", "slow served", "CPU ms", "front CPU ms"),
    *("carried", "whole", "first part ms", "gap p99 ms", "CPU µs per part", "left", "stopped upstream"),
    "written for nobody",
}
ABOUT_FRONTS = {"front CPU µs", "front MB"}


def printed(run: Run, width: int = 100) -> str:
    paper = io.StringIO()
    print_run(run, Console(file=paper, width=width, force_terminal=False))
    return paper.getvalue()


def test_invalid_throughput_is_in_no_table() -> None:
    run = runs.flawed()
    for text in (printed(run, 200), to_markdown(run), json.dumps(to_json_rows(run))):
        assert "987654" not in text.replace(",", "").replace(" ", "")


def test_terminal_and_markdown_give_the_same_cells() -> None:
    run = runs.flawed()
    rows = rows_of(run)
    notes, columns = notes_of(rows), columns_of(rows)
    terminal = [line.split() for line in printed(run, 200).splitlines()]
    markdown = [line.split(" | ")[2:] for line in to_markdown(run).splitlines()]
    for row in rows:
        texts = cells(row, columns, notes)
        assert " ".join(texts).split() in terminal
        assert [*texts[:-1], texts[-1] + " |"] in markdown


def test_every_stack_and_every_reason_is_in_the_terminal() -> None:
    text = " ".join(printed(runs.flawed()).split())
    for stack in (*runs.STACKS, "async_asgi@gunicorn_asgi"):
        assert stack in text
    for reason in (runs.DIED, runs.NO_BOOT, runs.CLIENT_LIMITED):
        assert reason.message.rstrip(".") in text


def test_environments_are_told_in_terminal_report_and_json() -> None:
    said = ServerEnvironment("free", "CPython 3.13.5t", False, 7, {"django": "6.1.3"}, {"PYTHON_GIL": "0"})
    run = runs.run_of([runs.trial_of("async_asgi@uvicorn%free", environment=said), runs.trial_of("async_asgi@uvicorn")])
    assert "%free: CPython 3.13.5t, GIL off" in printed(run)
    assert "CPython 3.13.5t, GIL off; PYTHON_GIL 0; django 6.1.3" in to_html(run)
    assert [row["environment"] and row["environment"]["gil"] for row in to_json_rows(run)] == [False, None]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("made", [runs.flawed, runs.open_sweep, runs.freeze])
def test_table_is_never_wider_than_the_terminal(made: Callable[[], Run], width: int) -> None:
    assert max(map(len, printed(made(), width).splitlines())) <= width


def headings(run: Run) -> list[str]:
    return [column.heading for column in columns_of(rows_of(run))]


def test_columns_of_open_loops_are_there_where_they_mean_something() -> None:
    assert not {"offered/s", "uncorrected p99 ms"} & set(headings(runs.sweep()))
    assert {"offered/s", "uncorrected p99 ms"} <= set(headings(runs.open_sweep()))
    assert "uncorrected p99 ms" in headings(runs.freeze())
    assert "offered/s" not in headings(runs.freeze())  # it is in the heading of the rows
    loops = [
        column.heading
        for column in COLUMNS
        if column.heading not in ABOUT_CONNECTIONS | ABOUT_DATABASES | ABOUT_FRONTS | {"cores"}
    ]
    assert headings(runs.open_sweep()) == loops


def test_rate_of_a_share_is_shown_beside_what_was_answered() -> None:
    run = runs.open_sweep()
    place = [column.heading for column in COLUMNS].index("offered/s")
    for row in rows_of(run):
        if row.is_open:
            assert cells(row, COLUMNS, {})[place] == number(row.trial.rate_per_s)


def test_percentile_that_is_a_lower_bound_in_any_restart_says_at_least() -> None:
    trial = runs.open_trial_of(EVENT_LOOP)
    bound = replace(trial, repeat=1, latency_at_least=["p99", "p999", "max"])
    for trials, sign in (([trial], ""), ([trial, bound], AT_LEAST)):
        (row,) = rows_of(runs.run_of(trials))
        assert milliseconds(row, "p99") == sign + number((row.median("latency_us.p99") or 0) / 1000)
        assert not milliseconds(row, "p50").startswith(AT_LEAST)
        assert not milliseconds(row, "p99", "latency_from_send_us").startswith(AT_LEAST)
    assert f" {AT_LEAST}" in printed(runs.run_of([trial, bound]))
    assert f" {AT_LEAST}" in to_markdown(runs.run_of([trial, bound]))


@pytest.mark.parametrize(("per_s", "is_bound"), [(100.0, True), (300.0, False)])
def test_a_wait_longer_than_warm_up_and_window_is_at_least_what_was_seen(per_s: float, is_bound: bool) -> None:
    trial = replace(runs.trial_of(EVENT_LOOP, users=1000), throughput_per_s=per_s, warmup_s=3.0, duration_s=2.0)
    (row,) = rows_of(runs.run_of([trial]))
    assert milliseconds(row, "p50").startswith(AT_LEAST) is is_bound
    (held,) = rows_of(runs.run_of([replace(trial, rate_per_s=per_s)]))  # its users pause
    assert not milliseconds(held, "p50").startswith(AT_LEAST)


def test_json_rows_of_open_loops_hold_both_latencies_and_the_account() -> None:
    rows = json.loads(json.dumps(to_json_rows(runs.open_sweep())))
    assert all(row["latency_from_send_p99_us"] < row["latency_p99_us"] for row in rows if row["capacity_share"] == 0.1)
    row = rows[-1]
    assert (row["users"], row["capacity_share"]) == (None, 1.2)
    assert row["latency_at_least"] == ["max", "p99", "p999"]
    account = row["account"]
    assert account.pop("issued") == sum(account.values())
    assert account["in flight"] == 3 * 80
    assert [event["code"] for event in to_json_rows(runs.freeze())[0]["events"]] == ["frozen"] * 3


def test_a_column_of_dashes_alone_is_left_out() -> None:
    run = runs.sweep()
    assert "limit" in headings(run)
    without = replace(run, trials=[replace(trial, limit_per_s=None) for trial in run.trials])
    assert set(headings(run)) - set(headings(without)) == {"limit"}


def test_coins_that_are_gone_are_counted_upwards() -> None:
    torn = runs.trial_of(EVENT_LOOP, database=DatabaseUse("SQLite", None, coins_off=-5, payments_lost=0))
    (row,) = rows_of(runs.run_of([torn]))
    columns = columns_of([row])
    shown = dict(zip((column.heading for column in columns), cells(row, columns, {}), strict=True))
    assert shown["coins lost"] == "5"


def test_requests_of_an_invalid_restart_are_in_no_account() -> None:
    stands = runs.open_trial_of(EVENT_LOOP)
    (row,) = rows_of(runs.run_of([stands, replace(stands, repeat=1, verdict="invalid", issued=987_654)]))
    assert account_of(row)["issued"] == stands.issued


def test_plateaus_are_told_in_every_table() -> None:
    run = runs.sweep()
    line = plateau_lines(run)[0]
    assert line.startswith(f"Plateau: {THREADS}: from 10 to 400 users at ")
    assert "limited by threads, " in line
    assert line in printed(run, 200)
    assert f"- {line}" in to_markdown(run)
    on_it = [row for row in to_json_rows(run) if row["stack"] == THREADS and row["plateau"]]
    assert {row["users"] for row in on_it} == set(on_it[0]["plateau"]["users"]) == {10, 50, 100, 200, 400}
    assert {row["plateau"]["limiter"] for row in on_it} == {"threads"}


def test_interval_is_shown_in_a_hundred_columns() -> None:
    assert "interval" in printed(runs.flawed(), 100)


def test_markdown_has_as_many_cells_in_every_line() -> None:
    lines = [line for line in to_markdown(runs.flawed()).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "<b>" not in to_markdown(runs.flawed())


WORDS = "a `b` <img src=x> *c* _d_ [e](http://f) &lt;g&gt; $h$ | i_j\n# k"
SHOWN = r"a \`b\` &lt;img src=x> \*c\* \_d\_ [e]\(http://f) &amp;lt;g&amp;gt; \$h\$ | i_j # k"


def test_words_of_a_run_are_shown_in_markdown_as_they_are() -> None:
    says = replace(runs.CLAIM, says=WORDS)
    trial = runs.trial_of(THREADS, verdict="degraded", reasons=[Reason("x", WORDS)])
    text = to_markdown(runs.run_of([trial], [says]))
    assert f"- **cannot tell**: {SHOWN}: not in this run: " in text
    assert f"- [1] {SHOWN}\n" in text
    assert lessons.findings(runs.run_of([trial], [says])).startswith(f"- **cannot tell**: {SHOWN}: ")


def test_names_stay_in_their_cells_and_in_their_code_spans() -> None:
    trial = runs.trial_of(THREADS, middleware=["a|b"])
    renamed = replace(trial, stack="`x` *y*|z", workload="w`|``w")
    lines = [line for line in to_markdown(runs.run_of([renamed])).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert lines[-1].startswith(r"| ``` w`\|``w?ms=100 ``` | 100 users | a\|b | \`x\` \*y\*\|z | ")


def test_middleware_separates_rows_and_is_named() -> None:
    trials = [runs.trial_of(EVENT_LOOP, middleware=middleware) for middleware in ([], ["sync", "async"])]
    headings = [group.heading for group in groups_of(rows_of(runs.run_of(trials)))]
    assert [heading.split(" · ")[2] for heading in headings] == ["no middleware", "sync, async"]


def test_json_rows_are_plain_data_with_units_in_their_names() -> None:
    row = json.loads(json.dumps(to_json_rows(runs.sweep())))[0]
    assert row["restarts"] == {"ok": 3}
    assert row["throughput_interval_per_s"][0] <= row["throughput_per_s"] <= row["throughput_interval_per_s"][1]
    assert {"latency_p99_us", "cpu_us_per_request", "rss_bytes_max", "threads_max"} <= set(row)


def test_empty_run_is_said_to_be_empty() -> None:
    empty = runs.run_of([])
    assert "No trial was measured." in printed(empty)
    assert "No trial was measured." in to_markdown(empty)


def test_stack_that_was_never_tried_is_named() -> None:
    run = runs.run_of([runs.trial_of(EVENT_LOOP)])
    run = replace(run, status="aborted", plan=replace(run.plan, stacks=[EVENT_LOOP, THREADS]))
    assert f"{THREADS}: planned, not measured in this run (aborted)" in printed(run)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.824, "0.82"),
        (7.912, "7.91"),
        (9.996, "10.0"),
        (79.12, "79.1"),
        (99.96, "100"),
        (7912.4, "7,912"),
        (None, "–"),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value: float | None, text: str) -> None:
    assert number(value) == text
