"""Compares detectors of blocking calls on the calls of `labs/traps/calls.py`: ours, BlockBuster and aiocop.

    python -m bench.claims.exhibits.detectors [--json]

makes every call on an event loop under each detector, in a process of its own, and writes
`results/reference/detectors.json`. Which calls block is what `calls.json` says. A call is found where a detector names
it, and right where it names its file and line. The other two are installed into a folder that is removed afterwards.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.base.console import print_json, run_program
from bench.base.errors import LabError, NotRun
from bench.base.files import ROOT
from bench.claims.exhibits import blocking_calls
from bench.claims.exhibits.blocking_calls import CALLS_FILE
from bench.claims.exhibits.keep import exhibit_parser, keep
from bench.measure.database.database import serving_database
from bench.measure.processes import work_folder
from bench.measure.variables import clean_environment
from bench.model import run_store

FILE = run_store.REFERENCE / "detectors.json"
OTHERS = {"BlockBuster": "blockbuster==1.5.29", "aiocop": "aiocop==1.2.1"}
"""The versions compared with; newer ones may find more."""
THRESHOLD_MS = 20
SETTLES_S = 0.05
"""For a detector to say what it has seen."""
WITHIN_S = 300
NEIGHBOURS, PAUSE_S = 6, 0.2
LETS_GO = bytes(10_000)
"""So many that `zlib.crc32` lets go of the GIL."""
CALL = (ast.FunctionDef, ast.AsyncFunctionDef)
Place = tuple[str, int]
Alarm = Callable[[str, int], None]


@contextmanager
def watching_with_ours(alarm: Alarm) -> Iterator[None]:
    """The detector of `lab trace --blocking`."""
    from bench.trace.inside.blocking import Detector

    with Detector(THRESHOLD_MS, lambda finding: alarm(finding.file, finding.line)).watching():
        yield


@contextmanager
def watching_with_blockbuster(alarm: Alarm) -> Iterator[None]:
    """BlockBuster refuses calls that may block: noted when the error is made, also if something swallows it."""
    import blockbuster.blockbuster as package  # type: ignore[import-not-found,unused-ignore]

    make = package.BlockingError.__init__

    def noting(self: Any, function: str) -> None:
        make(self, function)
        frames = traceback.extract_stack()[:-2]
        alarm(*_innermost([(frame.filename, frame.lineno or 0) for frame in reversed(frames)]))

    package.BlockingError.__init__ = noting
    with package.blockbuster_ctx():
        yield


@contextmanager
def watching_with_aiocop(alarm: Alarm) -> Iterator[None]:
    """aiocop, as its documentation begins: what took longer than the threshold, with the stacks that it saw."""
    import aiocop  # type: ignore[import-not-found,unused-ignore]

    def noting(event: Any) -> None:
        if not event.exceeded_threshold:
            return
        for seen in [*event.blocking_events, *event.cpu_stack_samples] or [{"trace": ""}]:
            found = re.findall(r"(\S+\.py):(\d+):", seen["trace"])
            alarm(*_innermost([(file, int(line)) for file, line in found]))

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection()
    aiocop.detect_slow_tasks(threshold_ms=THRESHOLD_MS, on_slow_task=noting)
    aiocop.activate()
    yield
    aiocop.deactivate()


async def wait_for_gil(slow: Any) -> None:
    """Work that lets go of the GIL again and again, while other threads compute: it has to wait for it each time."""
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            pass

    for _ in range(NEIGHBOURS):
        threading.Thread(target=compute).start()
    until_s = time.monotonic() + PAUSE_S
    while time.monotonic() < until_s:
        zlib.crc32(LETS_GO)
    done.set()


async def be_stopped(slow: Any) -> None:
    """The whole process is stopped for a while, as a laptop that sleeps stops it."""
    goes_on = ["sh", "-c", f"sleep {PAUSE_S}; kill -CONT {os.getpid()}"]
    await asyncio.create_subprocess_exec(*goes_on)
    os.kill(os.getpid(), signal.SIGSTOP)


PAUSES = (wait_for_gil, be_stopped)
"""Nothing in these blocks: what holds the loop up comes from outside of it."""
DETECTORS: dict[str, Callable[[Alarm], AbstractContextManager[None]]] = {
    "lab trace --blocking": watching_with_ours,
    "BlockBuster": watching_with_blockbuster,
    "aiocop": watching_with_aiocop,
}


def _innermost(places: Sequence[Place]) -> Place:
    """The first place, from the call outwards, that is in the file of the calls; else the call itself."""
    own = [place for place in places if place[0].endswith(str(CALLS_FILE.relative_to(ROOT)))]
    return (own or list(places) or [("", 0)])[0]


async def _make_call(call: Callable[..., Any], slow: Any) -> None:
    """Make a call in a task of its own; what it raises is not asked here."""

    async def make() -> None:
        result = call(slow)
        if inspect.isawaitable(result):
            await result

    with suppress(Exception):
        await asyncio.create_task(make())


async def run_calls(name: str, slow: Any) -> dict[str, list[Place]]:
    """Make each call twice and return, by call, the places that the detector named in the second round.

    A place in the file of the calls belongs to the call that stands there, any other one to the call that was made.
    """
    from asgiref.sync import ThreadSensitiveContext

    from labs.traps.calls import CALLS

    found: dict[str, set[Place]] = {call.__name__: set() for call in (*CALLS, *PAUSES)}
    made = ""

    def alarm(file: str, line: int) -> None:
        found[_call_at(file, line) or made].add((file, line))

    async with ThreadSensitiveContext(), slow.client:
        for call in CALLS:  # the first time they import, compile and connect
            await _make_call(call, slow)
        with DETECTORS[name](alarm):
            for call in (*CALLS, *PAUSES):
                made = call.__name__
                await _make_call(call, slow)
                await asyncio.sleep(SETTLES_S)
    return {call: sorted(places) for call, places in found.items()}


def _call_at(file: str, line: int) -> str:
    """The call that stands at a line of the file of the calls; empty for any other place."""
    if not file.endswith(str(CALLS_FILE.relative_to(ROOT))):
        return ""
    nodes = ast.parse(CALLS_FILE.read_text()).body
    names = [node.name for node in nodes if isinstance(node, CALL) and node.lineno <= line <= (node.end_lineno or 0)]
    return names[0] if names else ""


def run_here(name: str) -> dict[str, list[Place]]:
    """Make the calls under one detector in this process, which does nothing else."""
    with blocking_calls.set_up_here() as slow:
        return asyncio.run(run_calls(name, slow))


def line_of(name: str) -> int:
    """The line in which a call of the list blocks: the last statement of its function."""
    nodes = ast.parse(CALLS_FILE.read_text()).body
    (node,) = (node for node in nodes if getattr(node, "name", "") == name)
    assert isinstance(node, CALL)
    return node.body[-1].lineno


def judge(name: str, places: Sequence[Place]) -> str:
    """Return what a detector said of a call: `right` (file and line), `elsewhere`, or empty for nothing."""
    here = [tuple(place) for place in places if place[0].endswith(str(CALLS_FILE.relative_to(ROOT)))]
    if any(line == line_of(name) for _, line in here):
        return "right"
    return "elsewhere" if places else ""


def run_in_subprocess(name: str, packages: Path) -> dict[str, str]:
    """Make all calls under one detector in a process. Raises LabError with the end of its stderr if it fails."""
    with serving_database() as database:
        more = {"DJANGO_SETTINGS_MODULE": "labs.traps.settings", "PYTHONPATH": str(packages)}
        command = [sys.executable, "-m", "bench.claims.exhibits.detectors", "--here", name]
        variables = clean_environment(database.environment | more)
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=WITHIN_S)
    if not done.stdout.endswith("}\n"):  # BlockBuster can crash the interpreter at its end, when all is said
        raise LabError(f"{name} could not watch the calls: {done.stderr.strip()[-300:]}")
    return {call: judge(call, places) for call, places in json.loads(done.stdout).items()}


def compare() -> dict[str, Any]:
    """Return what each detector said of each call, with the versions. Raises NotRun where pip cannot install them."""
    with work_folder("detectors") as folder:
        install(folder)
        said = {name: run_in_subprocess(name, folder) for name in DETECTORS}
    return {"threshold_ms": THRESHOLD_MS, "versions": OTHERS, "said": said}


def install(folder: Path) -> None:
    """Install the other detectors into a folder. Raises NotRun where that fails."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *OTHERS.values()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)
    if done.returncode:
        raise NotRun(f"{' and '.join(OTHERS.values())} cannot be installed: {done.stderr.strip()[-300:]}")


PAUSED = {"waiting for the GIL": wait_for_gil.__name__, "a stopped process": be_stopped.__name__}
SHOWN = {"right": "found", "elsewhere": "another place", "": "–"}


def rows() -> list[list[str]]:
    """The kept comparison as rows of text: a row for each call that blocks, then one for all others."""
    said = json.loads(FILE.read_text())["said"]
    calls = blocking_calls.load()
    blocks = [call for call in calls if call.outcome == "blocks"]
    fine = [call.name for call in calls if call.outcome in ("short", "waits")]
    found = [
        [f"`{call.code.splitlines()[-1]}`", *(SHOWN[answers[call.name]] for answers in said.values())]
        for call in blocks
    ]
    right = [f"{sum(answers[call.name] == 'right' for call in blocks)} of {len(blocks)}" for answers in said.values()]
    false = [f"{sum(bool(answers[name]) for name in fine)} of {len(fine)}" for answers in said.values()]
    pauses = [
        ", ".join(name for name, pause in PAUSED.items() if answers[pause]) or "none" for answers in said.values()
    ]
    return [
        *found,
        ["right file and line", *right],
        ["alarms for calls that do not block", *false],
        ["alarms for pauses that no call makes", *pauses],
    ]


def headings() -> list[str]:
    """The columns of `rows`."""
    return ["call", *json.loads(FILE.read_text())["said"]]


def table() -> Table:
    """Return the kept comparison as a table."""
    shown = Table(*headings(), title="Detectors of blocking calls")
    for row in rows():
        shown.add_row(*row)
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the detectors, write `detectors.json`, and print it."""
    parser = exhibit_parser("detectors", __doc__ or "")
    parser.add_argument("--here", choices=DETECTORS, help="in this process, writing no file: what the command starts")
    arguments = parser.parse_args(argv)
    if arguments.here:
        return print_json(run_here(arguments.here))
    return keep(compare(), FILE, table, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(run_program(main))
