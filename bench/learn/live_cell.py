"""The live cell of a lesson: a small run on the reader's machine, with a bar, and how long it will take."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT
from bench.measure import orphaned_runs
from bench.model import run_store
from bench.model.experiment import load_experiment, profile_of
from bench.model.run_record import Run
from bench.model.trial_matrix import Overrides, trials_of
from labs.traps.names import TRAPS

if TYPE_CHECKING:
    from bench.claims.exhibits.traps import Outcomes

LIVE_VARIABLE = "LAB_LIVE"
BAR_COLUMNS, LINE_COLUMNS = 24, 100
STARTING_S = 3.0
"""Of `lab run` itself: imports, the look at the machine, the report."""
OPTIONS = {
    "stacks": "--stack",
    "requests": "--workload",
    "users": "--users",
    "connections": "--connections",
    "repeats": "--repeats",
    "duration_s": "--duration",
}
"""How `lab run` is told what a cell changes."""


def measure(experiment: str, *, profile: str = "quick", folder: Path | None = None, **changes: Any) -> Run | None:
    """Measure here and now where LAB_LIVE is set, in processes of its own, with a progress bar; else None.

    `changes`: fields of Overrides, those of OPTIONS. UsageError for names that do not exist, LabError where nothing was
    measured.
    """
    takes = f"about {-(-expected_s(experiment, profile, Overrides(**changes)) // 10) * 10:.0f} s"
    if not os.environ.get(LIVE_VARIABLE):
        print(f"This cell measures on your machine, in {takes}: open the course with `lab notebooks --live`.")
        return None
    folder = folder or orphaned_runs.new_folder(f"{experiment}-live")
    options = [word for name, value in changes.items() for word in (OPTIONS[name], _text(value))]
    command = [sys.executable, "-m", "bench", "run", experiment, "--profile", profile, *options, "--out", str(folder)]
    print(bar(0, 1, f"started, {takes}"), end="", flush=True)
    status, said = _heard(command)
    if status == ExitCode.USAGE or not (folder / "run.json").exists():  # refused, where another's run is there
        raise LabError(f"Nothing was measured: {said[-1] if said else 'it ended without a word'}")
    return run_store.load_run(folder)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def ask_traps(names: Sequence[str] = TRAPS) -> Outcomes | None:
    """Ask the traps here and now where LAB_LIVE is set, with a progress bar; else None, and how to have it."""
    if not os.environ.get(LIVE_VARIABLE):
        print("This cell asks on your machine, in about half a minute: open the course with `lab notebooks --live`.")
        return None
    from bench.claims.exhibits.traps import STACKS, try_traps

    questions = len(names) * len(STACKS)

    def show(done: int, line: str) -> None:
        print(bar(done, questions, f"{done}/{questions} {line}"), end="", flush=True)

    show(0, "the database and the first server start")
    found = try_traps(names, show)
    print()
    return found


def _heard(command: Sequence[str]) -> tuple[int, list[str]]:
    """The exit code of a command, and what it says on stderr, each line shown as it comes."""
    # A Jupyter kernel asks for colours in what it starts, and a line of progress would come as a terminal's bar.
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=plain, **quiet) as running:
        try:
            said = [_shown(line) for line in running.stderr or ()]
        except BaseException:  # the reader stopped the cell: SIGTERM lets the run keep what it has
            running.terminate()
            raise
    return running.returncode, said


def expected_s(experiment: str, profile: str, overrides: Overrides) -> float:
    """About how long `lab run` takes, in seconds: as trials of the reference run did around their windows."""
    known, kept = load_experiment(experiment), run_store.load_run(run_store.REFERENCE / experiment)
    around_s = statistics.median(trial.took_s - kept.plan.warmup_s - kept.plan.duration_s for trial in kept.trials)
    repeats = overrides.repeats or profile_of(known, profile).repeats
    trials = trials_of(known, profile, overrides)
    return STARTING_S + repeats * sum(trial.warmup_s + trial.duration_s + around_s for trial in trials)


def _shown(line: str) -> str:
    """Print a line of `lab run`: progress, as `3/24 stack: ok 80/s`, over the one before, all else below it."""
    text = line.strip()
    count = re.match(r"(\d+)/(\d+) ", text)
    print(bar(int(count[1]), int(count[2]), text) if count else f"\n{text}\n", end="", flush=True)
    return text


def bar(done: int, of: int, text: str) -> str:
    """A bar and a text, written over the line before."""
    full = round(BAR_COLUMNS * done / of)
    line = f"{'█' * full}{'░' * (BAR_COLUMNS - full)} {text}"[:LINE_COLUMNS]
    return f"\r{line:<{LINE_COLUMNS}}"
