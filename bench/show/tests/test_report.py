"""The report stands alone, hides nothing and shows no number that is not a measurement."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from bench.analyse import findings
from bench.analyse.rows import rows_of
from bench.model import trial_record
from bench.model.run_record import Run
from bench.model.tests import runs
from bench.model.trial_record import Reason
from bench.show import report
from bench.show.tables.columns import cells, columns_of
from bench.show.tables.footnotes import notes_of
from bench.show.tables.formatting import number

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects tags, attributes and text; fails where elements are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def words(html: str) -> str:
    """The text of the page without its pictures."""
    without = re.sub(r"<svg.*?</svg>|<style.*?</style>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", without)).split())


@pytest.fixture(scope="module")
def flawed() -> str:
    return report.to_html(runs.flawed())


def test_report_asks_for_nothing_outside_itself(flawed: str) -> None:
    page = checked(flawed)
    assert not {"script", "link", "iframe", "img", "base"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (value or "").startswith("#"), (name, value)
        assert not name.startswith("on")
    assert "@import" not in flawed
    assert not re.search(r"url\((?!#)", flawed)


def test_ids_are_unique(flawed: str) -> None:
    ids = checked(flawed).ids
    assert len(ids) == len(set(ids))


def test_figures_have_text_for_those_who_cannot_see_them(flawed: str) -> None:
    assert flawed.count('<svg role="img" aria-label="At 400 users') == flawed.count("<svg") == 3


def test_report_gives_the_numbers_of_the_table(flawed: str) -> None:
    run = runs.flawed()
    rows = rows_of(run)
    notes, columns = notes_of(rows), columns_of(rows)
    text = words(flawed)
    for row in rows:
        if row.measured:
            assert " ".join(cells(row, columns, notes)) in text
    for finding in findings.findings_of(run):
        assert f"{finding.value} {finding.claim.says} {finding.text}" in text


def test_invalid_trials_show_why_and_never_a_throughput(flawed: str) -> None:
    assert "987" not in re.sub(r"<svg.*?</svg>", "", flawed, flags=re.S).replace("987a", "")
    assert f"sync_asgi@uvicorn invalid [4]: {runs.DIED.message.rstrip('.')} (3 of 3 restarts)" in words(flawed)
    for reason in (runs.DIED, runs.NO_BOOT, runs.CLIENT_LIMITED):
        assert reason.message.rstrip(".") in words(flawed)


def test_what_a_server_printed_is_text_and_not_markup(flawed: str) -> None:
    assert "<b>&</b>" not in flawed
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in flawed
    attack = "<script>alert(1)</script>\n\"' & </style>"
    failed = runs.without_numbers(runs.trial_of("async_asgi@uvicorn"), "not-run", Reason("not-run", attack))
    html = report.to_html(runs.run_of([failed], title=attack, question=attack, environment={attack: {attack: attack}}))
    assert "script" not in checked(html).tags
    assert attack.split("\n")[0] in words(html)


READ_BY_THE_LAB = {"verdict", "status", "expect", "measure", "histogram", "histogram_from_send", "latency_at_least"}
SHOWN = {
    *("title", "question", "experiment", "profile", "started_at", "target", "says", "stack", "workload"),
    *(
        "parameter",
        "middleware",
        "vendor",
        "utilisation",
        "reason",
        "event",
        "error",
        "server",
        "load",
        "cpu",
        "machine",
    ),
}


def attack_on(field: str) -> str:
    return f"'</pre><blink id={field}>\"&amp;"


def attacked(value: Any, field: str = "") -> Any:
    """The same data with an element in every text, named after the field; a message after the list that has it."""
    if isinstance(value, str):
        return value if field in READ_BY_THE_LAB else value + attack_on(field)
    if isinstance(value, list):
        return [attacked(item, field.removesuffix("s")) for item in value]
    if isinstance(value, dict):
        return {key: attacked(item, field if key == "message" else key) for key, item in value.items()}
    return value


def run_with_every_text() -> Run:
    """Rows of both loops, one without numbers, and all that is shown of a trial, a plan and a machine."""
    database = trial_record.DatabaseUse("SQLite", 3, 0, errors={attack_on("error"): 2})
    trials = [
        replace(
            trial,
            middleware=["gzip"],
            events=[runs.RESTARTED],
            database=database,
            utilisation={attack_on("utilisation"): 0.99},
        )
        for trial in (*runs.sweep(users=(10, 100, 400)).trials, *runs.open_sweep(shares=(0.5, 1.2)).trials)
    ]
    unknown = replace(runs.trial_of("sync_asgi@uvicorn"), parameters={attack_on("parameter"): 1})
    run = runs.run_of([*trials, runs.without_numbers(unknown, "not-run", runs.NO_BOOT)], runs.CLAIMS)
    plan = replace(run.plan, target="elsewhere", stacks=[*run.plan.stacks, "never begun"])
    return replace(run, plan=plan, environment={"cpu": "Imaginary CPU", attack_on("machine"): {"a": "b"}})


def test_page_escapes_every_text_of_a_run() -> None:
    assert report.PAGE.environment.autoescape is True
    assert Path(str(report.PAGE.filename)).read_text().count("safe") == 1  # of the figures, which the lab draws itself
    html = report.to_html(msgspec.convert(attacked(msgspec.to_builtins(run_with_every_text())), Run))
    assert "blink" not in checked(html).tags
    assert set(re.findall('<blink id=([a-z_]+)>"&amp;', words(html))) >= SHOWN


def test_answer_is_computed_from_the_findings(flawed: str) -> None:
    assert "Of 4 claims this run supports 2 and refutes 1; it cannot tell 1." in words(flawed)
    twins = {"sync_wsgi@gthread:8": "async_asgi@uvicorn", "async_asgi@uvicorn": "sync_wsgi@gthread:8"}
    run = runs.sweep(users=(1, 400), claims=[runs.CLAIM])
    assert "supports 1 and refutes 0" in words(report.to_html(run))
    run = replace(run, trials=[replace(trial, stack=twins.get(trial.stack, trial.stack)) for trial in run.trials])
    assert "supports 0 and refutes 1" in words(report.to_html(run))


def test_report_has_the_machine_and_the_commands(flawed: str) -> None:
    text = words(flawed)
    for part in ("Imaginary CPU", "CPython 3.11.7", "django 5.2.19", "commit 0123abc", "8.2 GB", "seed 7", "not known"):
        assert part in text
    assert "lab run io_wait --profile reference --seed 7" in text
    for stack in (*runs.STACKS, "async_asgi@gunicorn_asgi"):
        assert f"{stack} python -m" in text


def test_commands_can_be_copied_into_a_shell() -> None:
    trial = runs.trial_of("async_asgi@uvicorn", commands={"server": ["python", "-c", "print('a b')"]})
    assert """python -c 'print('"'"'a b'"'"')'""" in words(report.to_html(runs.run_of([trial])))


def terms_of(run: Run) -> list[str]:
    """What "How to read it" explains."""
    part = report.to_html(run).partition("How to read it")[2].partition("</dl>")[0]
    return re.findall("<dt>(.*?)</dt>", part)


def test_how_to_read_defines_what_is_shown_and_nothing_else() -> None:
    closed, opened = terms_of(runs.sweep(users=(50,))), terms_of(runs.open_sweep())
    heads = [column.heading for column in columns_of(rows_of(runs.sweep(users=(50,))))]
    assert closed[: len(heads)] == heads
    assert {"limit", "closed loop"} <= set(closed)
    assert {"open loop", "plateau", "held", "served", "coins lost"}.isdisjoint(closed)
    assert "open loop" in opened
    assert "held" in terms_of(runs.freeze())


def test_a_page_opens_with_three_sentences_and_a_figure(flawed: str) -> None:
    opening = flawed.partition("<h2>")[0]
    assert 1 <= opening.count("<li>") <= 3
    assert opening.count("<figure") == 1


def test_many_groups_are_folded_but_the_first() -> None:
    many, few = (report.to_html(runs.sweep(users=tuple(range(1, 1 + count)))) for count in (report.FOLDED_FROM, 2))
    assert (many.count("<details"), many.count("<details open>")) == (report.FOLDED_FROM, 1)
    assert "<details" not in few


def test_plateaus_stand_in_a_table_with_their_limiter(flawed: str) -> None:
    assert "Where more users bring no more" in words(flawed)
    assert re.search(r"sync_wsgi@gthread:8 10 to 400 [\d.,]+ threads, \d+ % used", words(flawed))


def test_accounts_of_open_loops_add_up() -> None:
    html = report.to_html(runs.open_sweep())
    checked(html)
    lines = re.findall(r"% of capacity ((?:[\d,]+ ){6})", words(html))
    assert len(lines) == 12
    for line in lines:
        issued, *others = (int(count.replace(",", "")) for count in line.split())
        assert issued == sum(others)
    assert "Where the requests of the open loops went" not in words(report.to_html(runs.sweep(users=(50,))))


def test_what_befell_a_window_is_listed_and_marked_on_a_timeline() -> None:
    restarted = replace(
        runs.without_numbers(runs.trial_of("sync_wsgi@gthread:8"), "invalid", Reason("server-restarted", "It ended.")),
        events=[runs.RESTARTED],
        answered=[20] * 25,
        duration_s=5.0,
    )
    html = report.to_html(runs.run_of([restarted, runs.trial_of("async_asgi@uvicorn")]))
    ids = checked(html).ids
    assert "timeline-event-1" in ids
    assert len(ids) == len(set(ids))
    assert f"wait?ms=100 at 100 users: restart 1: {runs.RESTARTED.message}" in words(html)


def test_loads_of_every_kind_are_said_in_words() -> None:
    text = words(report.to_html(replace(runs.freeze(), title="")))
    assert "hello · 10 users held to 100/s" in text
    assert "hello · 100 requests/s" in text
    assert "None users" not in text


@pytest.mark.parametrize("status", ["aborted", "running"])
def test_unfinished_run_says_how_far_it_came(status: Literal["aborted", "running"]) -> None:
    run = runs.sweep(users=(1, 50))
    run = replace(run, status=status, trials=run.trials[:3])
    assert "3 of 30 trials are here" in words(report.to_html(run))


def test_empty_run_still_has_a_report() -> None:
    html = report.to_html(runs.run_of([], [runs.CLAIM], status="aborted"))
    checked(html)
    assert "No trial was measured." in words(html)
    assert "not in this run" in words(html)


def test_stack_no_longer_known_is_shown_with_its_numbers() -> None:
    trial = replace(runs.trial_of("async_asgi@uvicorn"), stack="gone@nowhere:4", commands={})
    text = words(report.to_html(runs.run_of([trial])))
    assert number(trial.throughput_per_s) in text
    assert "Unknown lab 'gone'" in text


def test_report_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    run = runs.sweep(users=(1,), claims=())
    path = report.write_report(run, tmp_path / "new")
    assert path == tmp_path / "new" / "report.html"
    assert path.read_text() == report.to_html(run)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_what_happened_alike_in_several_restarts_is_said_once() -> None:
    trial = next(trial for trial in runs.freeze().trials if trial.events)
    other = replace(trial, repeat=2, events=[replace(trial.events[0], message="Another thing happened.")])
    (row,) = rows_of(runs.run_of([replace(trial, repeat=0), replace(trial, repeat=1), other]))
    messages = " ".join(event.message for event in trial.events)
    assert report._events_text(row) == f"restarts 1, 2: {messages} restart 3: Another thing happened."
