"""What a large run costs to read, and what a trial weighs: bounds that the lab promises."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.analyse import rows
from bench.base.files import ROOT
from bench.cli import verify
from bench.model import histograms, run_store
from bench.model.tests import big, runs
from bench.model.trial_record import Trial
from bench.show import report
from bench.show.tables.terminal import print_run

pytestmark = pytest.mark.slow

WITHIN_S, WITHIN_BYTES, TRIAL_BYTES = 10.0, 500_000_000, 12_000
PROGRAM = """
import json, sys, time
from pathlib import Path
import psutil
from bench.cli import verify
from bench.show import report
from bench.model import run_store

run = run_store.load_run(Path(sys.argv[1]))
findings = verify.require_findings(run)
page = report.write_report(run, Path(sys.argv[2]))
def peak_bytes():
    # Not ru_maxrss: Linux hands it on from the process that started this one.
    told = Path("/proc/self/status")
    lines = told.read_text().splitlines() if told.exists() else []
    peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else psutil.Process().memory_info().rss
print(json.dumps({
    "cpu_s": time.process_time(),
    "rss_bytes": peak_bytes(),
    "trials": len(run.trials),
    "findings": len(findings),
    "page_bytes": page.stat().st_size,
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("big")
    run_store.save_run(big.big_run(), folder)
    return folder


@pytest.fixture(scope="module")
def cost(folder: Path) -> dict[str, Any]:
    """Of loading, reporting and verifying in a process of its own, imports included; its CPU, for others take time."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(folder / "page")],
        cwd=ROOT, capture_output=True, text=True, timeout=6 * WITHIN_S, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_of_1000_trials_is_read_reported_and_verified_in_10_seconds_of_cpu(cost: dict[str, Any]) -> None:
    assert (cost["trials"], cost["findings"]) == (1000, len(big.CLAIMS))
    assert cost["page_bytes"] > 100_000
    assert cost["cpu_s"] < WITHIN_S


def test_a_run_of_1000_trials_takes_less_than_500_megabytes(cost: dict[str, Any]) -> None:
    assert cost["rss_bytes"] < WITHIN_BYTES


def lines_of(folder: Path) -> Iterator[str]:
    return (line for line in (folder / "run.json").read_text().splitlines() if line.startswith('{"stack"'))


def test_no_trial_takes_more_than_12_kilobytes(folder: Path) -> None:
    sizes = [len(line) for line in lines_of(folder)]
    assert len(sizes) == 1000
    assert max(sizes) <= TRIAL_BYTES


@pytest.mark.parametrize(("seen", "low_us", "high_us"), [(5000, 1000, 10_000_000), (20_000, 100_000, 5_000_000)])
def test_two_wide_histograms_still_fit(seen: int, low_us: int, high_us: int, tmp_path: Path) -> None:
    wide = [big.spread_histogram(random.Random(seed), seen, low_us, high_us) for seed in (1, 2)]
    assert len(list(histograms.decode_histogram(wide[0]).get_recorded_iterator())) > 2000
    trial = big.full(replace(runs.open_trial_of(runs.STACKS[0]), histogram_from_send=wide[1]))
    run_store.save_run(runs.run_of([replace(trial, histogram=wide[0])]), tmp_path)
    assert max(map(len, lines_of(tmp_path))) <= TRIAL_BYTES


def placed(*windows: tuple[float | None, float, float]) -> list[Trial]:
    """Trials by when their window began, the warm-up before it and its length."""
    return [
        runs.trial_of(runs.STACKS[0], repeat=place, window_at_s=at_s, warmup_s=warmup_s, duration_s=duration_s)
        for place, (at_s, warmup_s, duration_s) in enumerate(windows)
    ]


def test_the_time_between_windows_leaves_out_warm_up_and_gaps_in_the_run() -> None:
    trials = placed((2.0, 1.0, 3.0), (7.5, 1.0, 3.0), (None, 1.0, 0.0), (20.0, 1.0, 3.0), (26.5, 1.0, 3.0))
    assert rows.between_windows_s(runs.run_of(trials)) == pytest.approx(2.0)
    assert rows.between_windows_s(runs.run_of(trials[:1])) is None


def test_a_run_shows_the_time_between_its_windows() -> None:
    run = runs.run_of(placed((2.0, 1.0, 3.0), (7.5, 1.0, 3.0), (12.5, 1.0, 3.0)))
    out = StringIO()
    print_run(run, Console(width=80, emoji=False, file=out))
    assert "1.25 s between the windows of two trials" in out.getvalue()
    assert "<dd>1.25 s at the median, warm-up not counted</dd>" in report.to_html(run)
    assert verify.to_json(run, [])["between_windows_s"] == 1.25
