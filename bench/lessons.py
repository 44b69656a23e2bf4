"""What the notebooks share: the run they show, the learner's prediction beside the measured number, the live cell."""

import ast
import difflib
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from bench import labdiff, record
from bench.errors import UsageError
from bench.record import ROOT, Run
from bench.summary import Row, rows_of

RESULTS_VARIABLE, LIVE_VARIABLE = "LAB_RESULTS", "LAB_LIVE"
BAR_COLUMNS = 24


def run_to_show(experiment: str) -> Run:
    """The reference run of the experiment, or the reader's own where LAB_RESULTS names a run of it."""
    named = os.environ.get(RESULTS_VARIABLE)
    run = record.load(record.find(named or experiment))
    if run.experiment != experiment:
        raise UsageError(
            f"{RESULTS_VARIABLE}={named} is a run of {run.experiment}, this lesson needs one of {experiment}: "
            f"measure it with `lab run {experiment} --profile standard`."
        )
    return run


def reference(experiment: str) -> Run:
    """The committed run of the experiment."""
    return record.load(record.REFERENCE / experiment)


class Rows(dict[tuple[str, str, int], Row]):
    """The rows of a run by stack, request and number of users or connections. UsageError where it has no such row."""

    def __init__(self, run: Run) -> None:
        super().__init__(
            {(row.stack, row.request, row.users or row.load.connections or 0): row for row in rows_of(run)}
        )
        self.experiment = run.experiment

    def __missing__(self, key: tuple[str, str, int]) -> Row:
        stack, request, count = key
        raise UsageError(
            f"This run of {self.experiment} has no {stack} with {request} and {count:,} at once, which this lesson "
            f"shows: measure it with `lab run {self.experiment} --profile standard`, or leave {RESULTS_VARIABLE} unset."
        )


def compare(prediction: float | None, measured: float, unit: str) -> str:
    """A sentence that sets the learner's number beside the measured one."""
    if prediction is None:
        return f"No prediction yet: put a number in the cell above and run it again. Measured: {measured:,.0f} {unit}."
    factor = prediction / measured
    return f"You said {prediction:,.0f} {unit}; measured: {measured:,.0f} {unit}. Yours is {factor:.2f} times that."


def difference_in(view: str, left: str, right: str) -> str:
    """What differs in one view between two labs, line by line as in `lab diff`."""
    lines = difflib.ndiff(_source_of(view, left).splitlines(), _source_of(view, right).splitlines())
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def _source_of(view: str, lab: str) -> str:
    text = (labdiff.LABS / lab / "views.py").read_text()
    (found,) = (part for part in ast.parse(text).body if getattr(part, "name", "") == view)
    return ast.get_source_segment(text, found) or ""


def measure_live(experiment: str, *options: str, folder: Path | None = None) -> Run | None:
    """Measure here and now where LAB_LIVE is set, in processes of its own, with a progress bar; else None."""
    if not os.environ.get(LIVE_VARIABLE):
        print(f"Set {LIVE_VARIABLE}=1 before you start Jupyter and run this cell again to measure on your machine.")
        return None
    folder = folder or record.LOCAL / f"{experiment}-live-{datetime.now():%Y%m%d-%H%M%S}"
    command = [sys.executable, "-m", "bench", "run", experiment, *options, "--out", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        try:
            for line in running.stderr or ():
                print(f"\r{_bar(line):<100}", end="", flush=True)
        except BaseException:  # the reader stopped the cell: SIGTERM lets the run keep what it has
            running.terminate()
            raise
    return record.load(folder)


def _bar(line: str) -> str:
    """A line of progress such as `3/24 stack: ok 80/s` with a bar before it."""
    count = re.match(r"(\d+)/(\d+) ", line)
    done = round(BAR_COLUMNS * int(count[1]) / int(count[2])) if count else 0
    bar = "█" * done + "░" * (BAR_COLUMNS - done) if count else ""
    return f"{bar} {line.strip()}"[:100]
