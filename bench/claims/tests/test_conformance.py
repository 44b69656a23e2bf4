"""`lab conformance`: every question can be answered yes and no; answers are kept, compared and shown."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import DamagedRun, ExitCode
from bench.base.files import ROOT
from bench.base.polling import eventually
from bench.claims.conformance import asking, kept, tables, waits
from bench.claims.conformance.answers import Answer
from bench.claims.conformance.asking import ask_servers
from bench.claims.conformance.kept import Change, Row
from bench.claims.conformance.questions import QUESTIONS, Question
from bench.claims.conformance.subject import Subject
from bench.claims.tests.tiny_server import ENTRIES
from bench.cli import conformance
from bench.cli.main import main
from bench.measure.tests.processes import assert_nothing_is_left, left_of
from bench.model.servers import SERVERS

WITHIN_S = 60.0
NAMES = [question.name for question in QUESTIONS]
ROW = Row("uvicorn", "1.0", "asgi", "head", "yes", "HEAD was answered.")


def live_answers(server: str) -> dict[str, str]:
    """What is answered to each question of a server of this test's own."""
    return {row.question: f"{row.answer}: {row.seen}" for row in ask_servers([ENTRIES[server]])}


@pytest.mark.live
def test_a_server_that_keeps_everything_is_answered_yes_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "QUIET_S", 0.5)
    answers = live_answers("keeps")
    assert list(answers) == NAMES
    assert {name: seen for name, seen in answers.items() if not seen.startswith("yes")} == {}


@pytest.mark.live
@pytest.mark.slow
def test_a_server_that_breaks_everything_is_answered_no_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "NEVER_S", 0.5)
    monkeypatch.setattr(waits, "ANSWERS_S", 3.0)
    answers = live_answers("breaks")
    assert list(answers) == NAMES
    assert {name: seen for name, seen in answers.items() if not seen.startswith("no")} == {}


@pytest.mark.live
def test_a_server_that_does_not_boot_or_is_not_installed_could_not_be_asked() -> None:
    broken = replace(ENTRIES["keeps"], name="broken", arguments=lambda *_: ["--no-such-option", "keeps"])
    absent = replace(ENTRIES["keeps"], name="absent", packages=("no-such-package",))
    rows = ask_servers([broken, absent])
    assert {row.answer for row in rows} == {"could not ask"}
    assert {row.server: row.version for row in rows}["absent"] == ""
    (broken_seen,) = {row.seen for row in rows if row.server == "broken"}
    assert broken_seen.startswith("The server did not boot: ")
    assert "unrecognized arguments" in broken_seen
    assert all("pip install no-such-package" in row.seen for row in rows if row.server == "absent")


def _kill(subject: Subject) -> Answer:
    """End the server."""
    subject.process.stop(0)
    return Answer("yes", "Killed.")


@pytest.mark.live
def test_a_server_that_a_question_ends_is_started_again_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    kill = Question(name="kill", asks="It ends.", source="this test", ask=_kill)
    head = next(question for question in QUESTIONS if question.name == "head")
    monkeypatch.setattr(asking, "QUESTIONS", (kill, head))
    assert live_answers("keeps") == {
        "kill": "yes: Killed.",
        "head": "yes: HEAD was answered with 200; no content came with it.",
    }


def test_what_an_interface_does_not_have_does_not_apply() -> None:
    only_asgi = {question.name for question in QUESTIONS if question.interfaces == ("asgi",)}
    assert only_asgi == {"websocket", "lifespan", "lifespan_state"}
    kept_rows = [row for row in kept.load_rows() if row.interface == "wsgi" and row.question in only_asgi]
    assert {row.answer for row in kept_rows} == {"does not apply"}


@pytest.mark.live
def test_an_interrupt_ends_the_servers(mark: str) -> None:
    command = [sys.executable, "-m", "bench", "conformance", "sync", "gthread"]
    asked = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: len(left_of(mark)) > 3, WITHIN_S)  # `lab`, and both servers with their workers
    asked.send_signal(signal.SIGINT)
    _, told = asked.communicate(timeout=WITHIN_S)
    assert (asked.returncode, told.splitlines()[-1]) == (ExitCode.INTERRUPTED, "lab: interrupted.")
    assert_nothing_is_left(mark)


def test_the_kept_document_has_every_server_interface_and_question() -> None:
    rows = kept.load_rows()
    assert [row.place for row in rows] == conformance.all_places()
    assert {row.server for row in rows} == set(SERVERS)
    assert all(re.match(r"\d+\.\d+", row.version) for row in rows)
    assert {row.answer for row in rows} == {"yes", "no", "does not apply"}


def test_each_question_says_whose_word_it_is_and_has_a_function_of_its_own() -> None:
    assert len({question.ask for question in QUESTIONS}) == len(QUESTIONS)
    for question in QUESTIONS:
        assert question.asks.endswith(".")
        assert question.source
        assert question.ask.__doc__


def test_a_document_is_read_back_and_has_a_line_for_each_row(tmp_path: Path) -> None:
    path, rows = tmp_path / "conformance.json", [ROW, ROW._replace(question="pipelining", answer="no")]
    assert kept.load_rows(path) == []
    kept.save_rows(rows, path)
    assert kept.load_rows(path) == rows
    assert sum('"server"' in line for line in path.read_text().splitlines()) == len(rows)
    assert json.loads(path.read_text())["rows"][0] == ROW._asdict()


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"server": "x"}]}', '{"rows": [{"answer": "perhaps"}]}'])
def test_a_damaged_document_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "conformance.json"
    path.write_text(text)
    with pytest.raises(DamagedRun, match="lab conformance --keep"):
        kept.load_rows(path)


def test_another_version_that_behaves_otherwise_is_a_change() -> None:
    newer = ROW._replace(version="2.0", answer="no", seen="HEAD was answered; content came with it.")
    otherwise = ROW._replace(version="2.0", seen="HEAD was answered with 204.")
    unasked = ROW._replace(answer="could not ask")
    assert kept.find_changes([ROW], [newer]) == [Change(ROW, newer)]
    assert Change(ROW, newer).counts
    assert kept.find_changes([ROW], [otherwise]) == [Change(ROW, otherwise)]
    assert not Change(ROW, otherwise).counts
    assert kept.find_changes([ROW], [ROW._replace(version="2.0"), unasked]) == []
    assert kept.find_changes([], [ROW]) == []


def test_what_could_not_be_asked_leaves_the_kept_row_and_what_is_no_more_goes() -> None:
    other = ROW._replace(question="pipelining")
    unasked, now = ROW._replace(answer="could not ask", version=""), other._replace(version="2.0")
    assert kept.merge_rows([ROW, other], [unasked, now], [ROW.place, other.place]) == [ROW, now]
    assert kept.merge_rows([ROW, other], [], [other.place]) == [other]


ANSWERS = [
    ([], [], ExitCode.FINE),
    ([], ["--json"], ExitCode.FINE),
    ([ROW._replace(answer="no", version="0.9")], [], ExitCode.FAILED),
    ([ROW._replace(answer="no", version="0.9")], ["--json"], ExitCode.FAILED),
    ([ROW._replace(answer="no", version="0.9")], ["--keep"], ExitCode.FINE),
    ([ROW._replace(seen="Something else.", version="0.9")], [], ExitCode.FINE),
]


@pytest.mark.parametrize(("before", "options", "code"), ANSWERS)
def test_the_command_compares_with_what_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: list[Row],
    options: list[str],
    code: ExitCode,
) -> None:
    path = tmp_path / "conformance.json"
    kept.save_rows(before, path)
    monkeypatch.setattr(kept, "FILE", path)
    monkeypatch.setattr(conformance, "ask_servers", lambda kinds: [ROW] * (kinds == [SERVERS["uvicorn"]]))
    assert main(["conformance", "uvicorn", *options]) == code
    told = capsys.readouterr().out
    if "--json" in options:
        document = json.loads(told)
        assert document["rows"] == [ROW._asdict()]
        assert [change["was"] for change in document["changes"]] == [row._asdict() for row in before]
    else:
        assert "HEAD was answered." in told
        assert ("0.9" in told) == bool(before)
    assert kept.load_rows(path) == ([ROW] if "--keep" in options else before)


def test_a_server_that_could_not_be_asked_is_exit_3_and_an_unknown_one_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unasked = ROW._replace(answer="could not ask", seen="run `python -m pip install uvicorn`.")
    monkeypatch.setattr(conformance, "ask_servers", lambda kinds: [unasked])
    assert main(["conformance", "uvicorn"]) == ExitCode.NOT_RUN
    assert main(["conformance", "uvicron"]) == ExitCode.USAGE
    assert "did you mean uvicorn" in capsys.readouterr().err


def test_the_overview_has_a_line_for_each_question_and_a_column_for_each_server_and_interface() -> None:
    rows = [ROW, ROW._replace(question="websocket", answer="does not apply"), ROW._replace(interface="wsgi")]
    headings, lines = tables.overview_cells(rows)
    assert headings == ["", "uvicorn 1.0, ASGI", "uvicorn 1.0, WSGI"]
    assert len(lines) == len(QUESTIONS)
    assert [tables.ASKS["head"], "yes", "yes"] in lines
    assert [tables.ASKS["websocket"], "–", ""] in lines
