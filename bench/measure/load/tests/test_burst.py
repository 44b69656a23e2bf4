"""N requests at once, through real servers: the waves of a pool beside the loop's single one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure.load import burst
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.show.figures.burst_timeline import waves_of


def twelve_in(waves: int, stack: str) -> burst.Burst:
    """Twelve at once; again, up to five times, where a busy machine blurs the waves."""
    for _ in range(5):
        seen = burst.burst(parse_stack(stack), parse_request("wait?ms=300"), 12)
        if waves_of(seen.answers) == waves:
            break
    return seen


def test_a_pool_of_four_serves_twelve_in_three_waves() -> None:
    seen = twelve_in(3, "sync_wsgi@gthread:4")
    assert all(answer.ok for answer in seen.answers)
    assert waves_of(seen.answers) == 3
    assert seen.inside_most == 4
    assert max(answer.end_s for answer in seen.answers) >= 0.9


def test_a_loop_serves_twelve_in_one_wave() -> None:
    seen = twelve_in(1, "async_asgi@uvicorn")
    assert waves_of(seen.answers) == 1
    assert seen.inside_most == 12


def test_the_program_prints_draws_and_gives_json(tmp_path: Path) -> None:
    picture = tmp_path / "burst.svg"
    command = [sys.executable, "-m", "bench.cli.burst", "bare_asgi@uvicorn", "wait?ms=50", "-n", "3"]
    done = subprocess.run(
        [*command, "--out", str(picture), "--json"], capture_output=True, text=True, timeout=60, check=True
    )
    (seen,) = json.loads(done.stdout)
    assert len(seen["answers"]) == 3
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize("wrong", [["sync_wsgi@gthred:4", "wait"], ["async_asgi@uvicorn", "wiat"]])
def test_a_misspelt_word_is_one_sentence(wrong: list[str]) -> None:
    command = [sys.executable, "-m", "bench.cli.burst", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean" in done.stderr
