"""No text from elsewhere commands a terminal, and no nonsense in COLUMNS hides what is said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.console import console, print_json, print_text, run_program
from bench.base.errors import NotRun
from bench.base.printable import printable
from bench.cli import main
from bench.model import run_record, run_store, trial_record
from bench.model.tests import runs

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\u202e\x00 \x7f"
COMMANDS = frozenset("\x1b\x07\x9b\r\u202e\x00\x7f")


def test_every_control_character_is_written_out_and_all_else_stays() -> None:
    assert printable(HOSTILE) == r"\u001b[2J\u001b]0;title\u0007\u009b31m\u000d\u202e\u0000 \u007f"
    plain = "a\tb\n42 % of „µs“ – 日本 \N{NO-BREAK SPACE}×"
    assert printable(plain) == plain


def run_that_commands() -> run_record.Run:
    """Everything that a run may say in words of its own."""
    trial = runs.trial_of(
        "async_asgi@uvicorn",
        verdict="degraded",
        reasons=[trial_record.Reason("x", HOSTILE)],
        events=[trial_record.Event("x", 0.1, 0.1, HOSTILE)],
        errors={HOSTILE: 1},
        commands={HOSTILE: [HOSTILE]},
    )
    run = runs.run_of([trial], [replace(runs.CLAIM, says=HOSTILE)], title=HOSTILE, question=HOSTILE)
    return replace(run, environment=run.environment | {HOSTILE: HOSTILE, "cpu": HOSTILE}, started_at=HOSTILE)


@pytest.mark.parametrize("words", [("report",), ("report", "--markdown"), ("report", "--json"), ("verify",)])
def test_no_run_commands_the_terminal(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path)
    run_store.save_run(run_that_commands(), Path(folder))
    main.main((*words, folder))
    out, err = capsys.readouterr()
    assert "title" in out
    assert not COMMANDS & set(out + err)


def test_no_comparison_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path)
    run_store.save_run(run_that_commands(), Path(folder))
    for options in ((), ("--markdown",), ("--json",)):
        assert main.main(("compare", folder, folder, *options)) == 0
        assert not COMMANDS & set("".join(capsys.readouterr()))


def test_no_error_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise NotRun(f"The server did not boot: {HOSTILE}")

    assert run_program(fails) == 3
    assert not COMMANDS & set(capsys.readouterr().err)


def test_json_reads_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": HOSTILE}
    assert not COMMANDS & set(out)
    print_text(HOSTILE)
    assert not COMMANDS & set(capsys.readouterr().out)


@pytest.mark.parametrize("columns", ["0", "-80", "wide", "²", "9" * 5000, "1"])
def test_a_size_that_no_terminal_has_changes_nothing(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    console().print("as many words as are to be said in a line of their own", soft_wrap=False)
    assert capsys.readouterr().out == "as many words as are to be said in a line of their own\n"


def test_a_size_that_a_terminal_has_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60


def test_a_folder_in_brackets_is_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "[bold]my[" / "run]"
    run_store.save_run(runs.run_of([runs.trial_of("async_asgi@uvicorn")]), folder)
    assert main.main(("report", str(folder))) == 0
    assert "[bold]my[/run]/report.html" in capsys.readouterr().err
