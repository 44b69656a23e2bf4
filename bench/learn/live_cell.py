"""The live cell of a lesson: a short run on the reader's machine, with a bar and the time that it will take."""

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
"""Of `lab run` itself: imports, checks of the machine, the report."""
OPTIONS = {
    "stacks": "--stack",
    "requests": "--workload",
    "users": "--users",
    "connections": "--connections",
    "repeats": "--repeats",
    "duration_s": "--duration",
}
"""The option of `lab run` for each field that a cell may change."""


def measure(experiment: str, *, profile: str = "quick", folder: Path | None = None, **changes: Any) -> Run | None:
    """Measure now, in other processes and with a progress bar, if LAB_LIVE is set; else say how to, and return None.

    `changes`: fields of Overrides, those of OPTIONS. UsageError for names that do not exist, LabError if nothing was
    measured.
    """
    takes = f"about {-(-expected_s(experiment, profile, Overrides(**changes)) // 10) * 10:.0f} s"
    if not os.environ.get(LIVE_VARIABLE):
        print(f"This cell measures on your machine, in {takes}: open the course with `lab notebooks --live`.")
        return None
    folder = folder or orphaned_runs.new_folder(f"{experiment}-live")
    options = [word for name, value in changes.items() for word in (OPTIONS[name], _text(value))]
    command = [sys.executable, "-m", "bench", "run", experiment, "--profile", profile, *options, "--out", str(folder)]
    _print_bar(0, 1, f"started, {takes}")
    status, lines = _run(command)
    if status == ExitCode.USAGE or not (folder / "run.json").exists():  # refused if the folder has another run
        raise LabError(f"Nothing was measured: {lines[-1] if lines else 'it ended without a message'}")
    return run_store.load_run(folder)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def ask_traps(names: Sequence[str] = TRAPS) -> "Outcomes | None":
    """Measure the traps now, with a progress bar, if LAB_LIVE is set; else say how to, and return None."""
    if not os.environ.get(LIVE_VARIABLE):
        print("This cell asks on your machine, in about half a minute: open the course with `lab notebooks --live`.")
        return None
    from bench.claims.exhibits.traps import STACKS, try_traps

    questions = len(names) * len(STACKS)
    _print_bar(0, questions, f"0/{questions} the database and the first server start")
    found = try_traps(names, lambda done, line: _print_bar(done, questions, f"{done}/{questions} {line}"))
    print()
    return found


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command; return its exit code and its lines on stderr, each shown as it comes."""
    # A Jupyter kernel asks for colours in its child processes, and progress would come as a terminal's bar.
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=plain, **quiet) as running:
        try:
            lines = [_shown(line) for line in running.stderr or ()]
        except BaseException:  # the reader stopped the cell: after SIGTERM the run saves what it has
            running.terminate()
            raise
    return running.returncode, lines


def expected_s(experiment: str, profile: str, overrides: Overrides) -> float:
    """Estimate how long `lab run` takes, in seconds, from the time around the windows of the reference run."""
    known, kept = load_experiment(experiment), run_store.load_run(run_store.REFERENCE / experiment)
    around_s = statistics.median(trial.took_s - kept.plan.warmup_s - kept.plan.duration_s for trial in kept.trials)
    repeats = overrides.repeats or profile_of(known, profile).repeats
    trials = trials_of(known, profile, overrides)
    return STARTING_S + repeats * sum(trial.warmup_s + trial.duration_s + around_s for trial in trials)


def _shown(line: str) -> str:
    """Show a line of `lab run`: progress, such as `3/24 stack: ok 80/s`, as a bar, all else below it."""
    text = line.strip()
    if count := re.match(r"(\d+)/(\d+) ", text):
        _print_bar(int(count[1]), int(count[2]), text)
    else:
        print(f"\n{text}")
    return text


def _print_bar(done: int, of: int, text: str) -> None:
    """Print a bar and a text over the line before."""
    full = round(BAR_COLUMNS * done / of)
    line = f"{'█' * full}{'░' * (BAR_COLUMNS - full)} {text}"[:LINE_COLUMNS]
    print(f"\r{line:<{LINE_COLUMNS}}", end="", flush=True)
