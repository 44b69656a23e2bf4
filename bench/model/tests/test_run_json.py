"""A run comes back as it was written, or is refused in one line that says why."""

import contextlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import DamagedRun, LabError, UsageError
from bench.measure import runner
from bench.measure.tests.processes import lab
from bench.model import histograms, run_json, run_record, run_store, trial_matrix
from bench.model.run_record import Run
from bench.model.trial_plan import planned_trial
from bench.model.trial_record import Reason, ServerEnvironment


@pytest.fixture
def run() -> Run:
    """A run with three trials: measured, invalid, and not run."""
    wishes = trial_matrix.Overrides(users=(10,), repeats=1, seed=5)
    planned, ordered = runner.new_run("first_look", "quick", wishes)
    histogram = histograms.new_histogram()
    for latency_us in (101_234, 102_345, 1, 599_999_999):
        histogram.record_value(latency_us)
    measured = replace(
        planned_trial(ordered[0]),
        verdict="ok",
        completed=4,
        throughput_per_s=1 / 3,
        latency_us=histograms.latency_of(histogram),
        histogram=histograms.encode_histogram(histogram),
    )
    died = replace(planned_trial(ordered[1]), verdict="invalid", reasons=[Reason("server-died", 'At "1.2 s"\n→ über')])
    return replace(planned, status="complete", trials=[measured, died, planned_trial(ordered[2])], took_s=0.1 + 0.2)


def without_digest(run: Run) -> Run:
    return replace(run, sha256="")


def test_a_run_comes_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    run_store.save_run(run, tmp_path)
    loaded = run_store.load_run(tmp_path)
    assert without_digest(loaded) == without_digest(run)
    assert run_json.to_json(loaded) == (tmp_path / "run.json").read_bytes()


def test_a_histogram_comes_back_count_by_count(run: Run) -> None:
    text = run.trials[0].histogram
    assert text
    again = histograms.decode_histogram(text)
    assert again.get_total_count() == 4
    assert histograms.encode_histogram(again) == text
    assert histograms.latency_of(again) == run.trials[0].latency_us


def test_a_latency_is_kept_to_three_digits_from_a_microsecond_to_ten_minutes() -> None:
    for latency_us in (1, 999, 101_234, 59_999_999, 599_000_000):
        histogram = histograms.new_histogram()
        histogram.record_value(latency_us)
        kept = histograms.latency_of(histograms.decode_histogram(histograms.encode_histogram(histogram)))
        assert kept
        assert kept.p50 == pytest.approx(latency_us, rel=1e-3)


def test_run_json_is_one_json_document_with_one_trial_a_line(run: Run) -> None:
    content = run_json.to_json(run)
    assert json.loads(content)["schema"] == run_record.SCHEMA
    assert content.count(b"\n") == len(run.trials) + 2


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def edited(content: bytes) -> bytes:
    assert b'"completed":4,' in content
    return content.replace(b'"completed":4,', b'"completed":5,')


def newer(content: bytes) -> bytes:
    return content.replace(b'"schema":%d,' % run_record.SCHEMA, b'"schema":%d,' % (run_record.SCHEMA + 1))


def older(content: bytes) -> bytes:
    return content.replace(b'"schema":%d,' % run_record.SCHEMA, b'"schema":1,')


def no_json(content: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n not JSON"


def another_json(content: bytes) -> bytes:
    return b'{"schema": %d, "trials": "none"}' % run_record.SCHEMA


def no_object(content: bytes) -> bytes:
    return b"[1, 2]"


def empty(content: bytes) -> bytes:
    return b""


DAMAGES = [
    (truncated, "is damaged"),
    (edited, "was changed after it was written"),
    (newer, f"has schema {run_record.SCHEMA + 1}, this program reads up to {run_record.SCHEMA}"),
    (older, "has schema 1, which this program no longer reads (2 to 3): measure again"),
    (no_json, "is damaged"),
    (another_json, "is not a run of this lab"),
    (no_object, "is not a run of this lab"),
    (empty, "is damaged"),
]


@pytest.mark.parametrize(("damage", "cause"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_damaged_run_is_refused_in_one_line_with_the_cause(
    damage: object, cause: str, run: Run, tmp_path: Path
) -> None:
    assert callable(damage)
    path = run_store.save_run(run, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedRun) as refusal:
        run_store.load_run(tmp_path)
    assert str(refusal.value).startswith(f"{path} {cause}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", [truncated, edited, newer])
def test_lab_report_refuses_a_damaged_run_in_one_line(damage: object, run: Run, tmp_path: Path) -> None:
    assert callable(damage)
    path = run_store.save_run(run, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    done = lab("report", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_edited_digit_becomes_another_run(run: Run) -> None:
    content = run_json.to_json(run)
    for place in [place for place, byte in enumerate(content) if chr(byte).isdecimal()]:
        other = b"7" if content[place : place + 1] != b"7" else b"3"
        # The last digits of 0.30000000000000004 can change without another number coming out.
        with contextlib.suppress(DamagedRun):
            again = run_json.from_json(content[:place] + other + content[place + 1 :], "run.json")
            assert without_digest(again) == without_digest(run)


def test_a_run_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(UsageError, match=r"run\.json cannot be read \(Is a directory\): give the folder of a run"):
        run_store.load_run(tmp_path)
    with pytest.raises(UsageError, match=r"cannot be read \(No such file"):
        run_store.load_run(tmp_path / "nowhere")


def test_a_run_may_be_read_by_everybody(run: Run, tmp_path: Path) -> None:
    assert stat.S_IMODE(run_store.save_run(run, tmp_path).stat().st_mode) == 0o644


def test_who_reads_a_run_while_it_is_replaced_reads_the_old_one_whole(run: Run, tmp_path: Path) -> None:
    path = run_store.save_run(run, tmp_path)
    before = path.read_bytes()
    with path.open("rb") as reader:
        run_store.save_run(replace(run, status="aborted"), tmp_path)
        assert reader.read() == before != path.read_bytes()


def test_a_write_that_fails_leaves_the_old_run_untouched(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_store.save_run(run, tmp_path).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run_store.save_run(replace(run, status="aborted"), tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_an_interrupted_write_leaves_the_old_run_untouched(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_store.save_run(run, tmp_path).read_bytes()

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_store.save_run(replace(run, status="aborted"), tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_run_is_found_by_its_folder_and_by_its_file(run: Run, tmp_path: Path) -> None:
    path = run_store.save_run(run, tmp_path / "mine")
    assert run_store.find_run(str(tmp_path / "mine")) == run_store.find_run(str(path)) == path.parent.resolve()


def test_an_unknown_run_is_a_users_mistake() -> None:
    with pytest.raises(LabError, match="There is no run 'no_such_run'"):
        run_store.find_run("no_such_run")


def test_the_median_of_nothing_is_none() -> None:
    assert histograms.latency_of(histograms.new_histogram()) is None


def test_what_a_server_said_of_itself_is_kept_and_an_older_run_has_none(run: Run, tmp_path: Path) -> None:
    said = ServerEnvironment("py313t_gil", "CPython 3.13.5t", True, 7, {"django": "6.1"}, {"PYTHON_GIL": "1"})
    first, *others = run.trials
    run_store.save_run(replace(run, trials=[replace(first, environment=said), *others]), tmp_path)
    assert [trial.environment for trial in run_store.load_run(tmp_path).trials] == [said, *(None for _ in others)]
