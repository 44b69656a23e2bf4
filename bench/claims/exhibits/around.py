"""Counts the hops that other packages make behind both doors, and compares the CPU of a request.

    python -m bench.claims.exhibits.around [--json]

asks the pages of `labs/around` in the environment `around` and writes `results/reference/around.json`, in half a
minute. Hops are those of one request through the tracer. CPU is that of a process in which both doors take turns.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.table import Table

from bench.analyse.stats import Interval, describe_ratio, ratio_interval
from bench.base.console import announce, run_program
from bench.base.errors import LabError, NotRun
from bench.base.files import ROOT
from bench.claims.exhibits.keep import exhibit_parser, keep
from bench.measure.processes import work_folder
from bench.measure.variables import clean_environment
from bench.model import environments, run_store
from bench.model.environments import Recipe
from bench.trace.inside.model import Trace
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import Interpreter
from bench.trace.tracer import trace_application

FILE = run_store.REFERENCE / "around.json"
ENVIRONMENT = "around"
PACKAGES = ("djangorestframework", "django-ninja", "whitenoise", "django-allauth", "django-debug-toolbar")
RECIPE = Recipe(django="5.2", packages=PACKAGES)
CHILD = Path(__file__).with_name("around_child.py")
ROUNDS, REQUESTS, ASKED_WITHIN_S = 9, 50, 60.0
FILE_BYTES = 300_000


class Asked(NamedTuple):
    """One line of the table: what it is, the path, and the names in LAB_AROUND."""

    what: str
    path: str
    middlewares: str = ""


ASKED = (
    Asked("a sync view", "/sync"),
    Asked("an async view", "/async"),
    Asked("Django REST framework", "/drf"),
    Asked("django-ninja, a sync operation", "/ninja/sync"),
    Asked("django-ninja, an async operation", "/ninja/async"),
    Asked("an async view under the seven", "/async", "startproject"),
    Asked("with allauth's middleware", "/async", "startproject,allauth"),
    Asked("with WhiteNoise's middleware", "/async", "whitenoise,startproject"),
    Asked("with the debug toolbar", "/async", "startproject,toolbar"),
    Asked("a file that WhiteNoise serves", "/static/large.txt", "whitenoise,startproject"),
)
DRAWN = next(asked for asked in ASKED if "allauth" in asked.middlewares)
"""What the lesson shows as a picture."""


def ask_all() -> dict[str, Any]:
    """Ask everything. Raises NotRun, with the command that makes it, where the environment is not there."""
    if not environments.is_environment(ENVIRONMENT):
        raise NotRun(f"There is no environment {ENVIRONMENT}: run `{' '.join(RECIPE.words(ENVIRONMENT))}`.")
    environment = environments.load_environment(ENVIRONMENT)
    with work_folder("around") as folder:
        (folder / "large.txt").write_bytes(b"x" * FILE_BYTES)
        rows = [_ask(asked, str(environment.program), folder) for asked in ASKED]
        variables = _variables(DRAWN, folder)
        drawn = _trace(DRAWN, "asgi", str(environment.program), variables)
    versions = {name: environment.packages[name] for name in ("django", *PACKAGES)}
    kept = {"python": environment.python, "versions": versions, "rounds": ROUNDS, "requests": REQUESTS}
    return {**kept, "rows": rows, "trace": drawn.to_json()}


def _ask(asked: Asked, program: str, folder: Path) -> dict[str, Any]:
    """Trace one request through each door, then let both take turns. Raises LabError if an answer is no success."""
    announce(f"asking {asked.what}")
    variables = _variables(asked, folder)
    cpu = _cpu(asked, program, variables)
    if set(cpu["status"].values()) != {200}:
        raise LabError(f"{asked.what} is answered with {cpu['status']}: look at labs/around.")
    traces = {door: _summary(_trace(asked, door, program, variables)) for door in ("wsgi", "asgi")}
    return {**asked._asdict(), "cpu_us": {door: cpu[door] for door in traces}, "traces": traces}


def _variables(asked: Asked, folder: Path) -> dict[str, str]:
    return {"LAB_AROUND": asked.middlewares, "LAB_AROUND_STATIC": str(folder), "PYTHONPATH": str(ROOT)}


def _summary(trace: Trace) -> dict[str, Any]:
    return {"summary": trace.summary, "hops": dict(trace.hop_counts), "threads": trace.threads}


def _trace(asked: Asked, door: str, program: str, variables: dict[str, str]) -> Trace:
    spec, runs_in = RequestSpec(f"labs.around.{door}:application", asked.path), Interpreter(program, "around's")
    trace = trace_application(spec, {**os.environ, **variables}, ROOT, ASKED_WITHIN_S, runs_in)
    return replace(trace, interpreter="")  # a folder of this machine


def _cpu(asked: Asked, program: str, variables: dict[str, str]) -> dict[str, Any]:
    command = [program, "-W", "ignore", str(CHILD), asked.path, str(ROUNDS), str(REQUESTS)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(variables),
        capture_output=True,
        text=True,
        timeout=ASKED_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{asked.what} could not be asked: {done.stderr.strip()[-300:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def load_around() -> dict[str, Any]:
    """Read what is kept."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def cpu_ratio(row: dict[str, Any]) -> Interval | None:
    """Return the CPU of a request behind ASGI over that behind WSGI, with an interval over rounds of one process."""
    return ratio_interval(row["cpu_us"]["asgi"], row["cpu_us"]["wsgi"])


def lines() -> list[tuple[str, ...]]:
    """Return the table: what is asked, hops to a thread behind ASGI, threads, µs of CPU behind both, their ratio."""
    return [
        (
            row["what"],
            str(row["traces"]["asgi"]["hops"]["sync_to_async"]),
            str(row["traces"]["asgi"]["threads"]),
            *(f"{median(row['cpu_us'][door]):,.0f}" for door in ("wsgi", "asgi")),
            describe_ratio(cpu_ratio(row)),
        )
        for row in load_around()["rows"]
    ]


def table() -> Table:
    """Return the table for a terminal."""
    shown = Table(
        "asked", "hops to a thread", "threads", "CPU behind WSGI, µs", "behind ASGI, µs", "compared with WSGI", box=None
    )
    for line in lines():
        shown.add_row(*line)
    return shown


def main() -> int:
    """Ask all, keep and show it."""
    arguments = exhibit_parser("around", __doc__ or "").parse_args()
    return keep(ask_all(), FILE, table, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(run_program(main))
