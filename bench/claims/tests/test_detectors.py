"""The detector of blocking calls, on the lab's own list of them: nearly all are found, and no other."""

import json
from pathlib import Path

import pytest

from bench.claims.exhibits import blocking_calls, detectors
from bench.claims.exhibits.blocking_calls import CALLS_FILE

OURS = "lab trace --blocking"
FOUND = 0.95


def assert_good(said: dict[str, str]) -> None:
    calls = blocking_calls.load()
    pauses = [pause.__name__ for pause in detectors.PAUSES]
    assert list(said) == [*(call.name for call in calls), *pauses]
    blocks = [call.name for call in calls if call.outcome == "blocks"]
    assert sum(said[name] == "right" for name in blocks) >= FOUND * len(blocks), said
    fine = [call.name for call in calls if call.outcome in ("short", "waits")]
    assert not any(said[name] for name in [*fine, *pauses]), said


@pytest.mark.live
@pytest.mark.slow
def test_the_calls_that_block_are_found_with_file_and_line_and_no_others(tmp_path: Path) -> None:
    assert_good(detectors.run_in_subprocess(OURS, tmp_path))


def test_the_kept_comparison_is_of_the_same_calls() -> None:
    kept = json.loads(detectors.FILE.read_text())
    assert list(kept["said"]) == [OURS, *detectors.OTHERS]
    assert {tuple(answers) for answers in kept["said"].values()} == {tuple(kept["said"][OURS])}
    assert_good(kept["said"][OURS])


def test_a_place_is_judged_by_file_and_line() -> None:
    line = detectors.line_of("thread_join")
    assert CALLS_FILE.read_text().splitlines()[line - 1].strip() == "return thread.join()"
    assert detectors.judge("thread_join", [(str(CALLS_FILE), line)]) == "right"
    assert detectors.judge("thread_join", [(str(CALLS_FILE), line - 1)]) == "elsewhere"
    assert detectors.judge("thread_join", [("/usr/lib/python3.11/threading.py", line)]) == "elsewhere"
    assert detectors.judge("thread_join", []) == ""
