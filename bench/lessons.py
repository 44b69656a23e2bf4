"""What the notebooks share: the run they show, the learner's prediction beside the measured number, the live cell."""

import os
import subprocess
import sys

from bench import record
from bench.record import ROOT, Run

RESULTS_VARIABLE, LIVE_VARIABLE = "LAB_RESULTS", "LAB_LIVE"


def run_to_show(experiment: str) -> Run:
    """The reference run of the experiment, or the reader's own where LAB_RESULTS names a run of it."""
    return record.load(record.find(os.environ.get(RESULTS_VARIABLE) or experiment))


def compare(prediction: float | None, measured: float, unit: str) -> str:
    """A sentence that sets the learner's number beside the measured one."""
    if prediction is None:
        return f"No prediction yet: put a number in the cell above and run it again. Measured: {measured:,.0f} {unit}."
    factor = prediction / measured
    return f"You said {prediction:,.0f} {unit}; measured: {measured:,.0f} {unit}. Yours is {factor:.2f} times that."


def measure_live(experiment: str, *options: str) -> Run | None:
    """Measure here and now where LAB_LIVE is set, with Locust's own process and a progress bar; else None."""
    if not os.environ.get(LIVE_VARIABLE):
        print(f"Set {LIVE_VARIABLE}=1 before you start Jupyter and run this cell again to measure on your machine.")
        return None
    subprocess.run([sys.executable, "-m", "bench", "run", experiment, *options], cwd=ROOT, check=True)
    return record.load(record.find("latest"))
