"""Runs the calls of `labs/traps/calls.py` on an event loop: which does Django refuse, which block it, which are fine?

    python -m bench.claims.exhibits.blocking_calls [--json]

runs every call beside a task that ticks each millisecond, in a process of its own, and writes
`results/reference/calls.json`. A call that lasts long without a tick has blocked the loop: every other request waited.
"""

import ast
import asyncio
import inspect
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from textwrap import dedent
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from bench.base.console import print_json, run_program
from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.claims.exhibits.keep import exhibit_parser, keep
from bench.measure.database.database import serving_database, source
from bench.measure.processes import work_folder
from bench.measure.variables import clean_environment
from bench.model import run_store
from bench.model.call_outcome import LONG_MS, CallOutcome, Outcome

FILE = run_store.REFERENCE / "calls.json"
CALLS_FILE = ROOT / "labs" / "traps" / "calls.py"
TICK_S = 0.001
ASK_WITHIN_S = 60
SAYS: dict[Outcome, str] = {
    "caught": "Django refuses it: SynchronousOnlyOperation",
    "other error": "fails with another error",
    "swallowed": "Django refuses it, and something swallows the error: the answer is wrong",
    "blocks": f"silently blocks the loop: {LONG_MS} ms and more without a tick",
    "waits": "fine: the loop goes on while it waits",
    "short": f"fine while it is short: done in less than {LONG_MS} ms here",
}


class Ticker:
    """A task that notes the time each millisecond, as long as the loop lets it."""

    def __init__(self) -> None:
        self.ticks_s: list[float] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.ticks_s.append(time.monotonic())
            await asyncio.sleep(TICK_S)

    async def settle(self) -> None:
        """Let the ticker run for ten ticks, then forget them."""
        await asyncio.sleep(10 * TICK_S)
        self.ticks_s.clear()

    async def stop(self) -> None:
        """Cancel the ticker and wait until it has ended."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@dataclass(frozen=True)
class CallRun:
    """One run of a call: what it raised, whether Django refused something in it, when the loop ticked (seconds)."""

    error: str
    refused: bool
    times_s: list[float]

    @property
    def lasted_ms(self) -> int:
        """Return how long the call took, in milliseconds."""
        return int((self.times_s[-1] - self.times_s[0]) * 1000)

    @property
    def gap_ms(self) -> int:
        """Return the longest time without a tick, in milliseconds."""
        return max(int((later - earlier) * 1000) for earlier, later in pairwise(self.times_s))

    @property
    def ticked(self) -> bool:
        """Return whether the loop went on; one tick may come between the call's beginning and its first step."""
        return len(self.times_s) > 3

    @property
    def outcome(self) -> Outcome:
        """Return what the call came to; SAYS explains each outcome."""
        if self.error:
            return "caught" if self.error == "SynchronousOnlyOperation" else "other error"
        if self.refused:
            return "swallowed"
        if self.lasted_ms < LONG_MS:
            return "short"
        return "waits" if self.ticked else "blocks"


async def judge_call(call: Callable[..., Any], slow: Any) -> CallOutcome:
    """Run a call twice and judge the second run: the first one also imports, compiles and connects."""
    await run_call(call, slow)
    run = await run_call(call, slow)
    return CallOutcome(
        name=call.__name__,
        code=code_of(call.__name__),
        outcome=run.outcome,
        caught=run.refused,
        blocked=run.outcome == "blocks",
        ticked=run.ticked,
        lasted_ms=run.lasted_ms,
        gap_ms=run.gap_ms,
        error=run.error,
    )


async def run_call(call: Callable[..., Any], slow: Any) -> CallRun:
    """Run a call beside a ticker."""
    ticker = Ticker()
    await ticker.settle()
    refusals, error, began_s = len(REFUSED), "", time.monotonic()
    try:
        result = call(slow)
        if inspect.isawaitable(result):
            await result
    except Exception as raised:
        error = type(raised).__name__
    ended_s = time.monotonic()
    await ticker.stop()
    ticks_s = [tick_s for tick_s in ticker.ticks_s if began_s <= tick_s <= ended_s]
    return CallRun(error, len(REFUSED) > refusals, [began_s, *ticks_s, ended_s])


REFUSED: list[str] = []
# Special methods that may ask the database, and what they and others are called with.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("__iter__", "__len__", "__bool__", "__repr__", "__enter__"), ()),
    **dict.fromkeys(("__getitem__", "__contains__"), (0,)),
}


def note_refusals() -> None:
    """From now on note each SynchronousOnlyOperation in REFUSED when it is created, also if something swallows it."""
    from django.core.exceptions import SynchronousOnlyOperation

    def noting(self: BaseException, *arguments: object) -> None:
        REFUSED.append(str(arguments[0]) if arguments else "")

    SynchronousOnlyOperation.__init__ = noting


async def judge_calls(slow: Any) -> list[CallOutcome]:
    """Run every call of the list in turn, on this event loop; return their outcomes in the list's order."""
    from asgiref.sync import ThreadSensitiveContext

    from labs.traps.calls import CALLS

    async with ThreadSensitiveContext(), slow.client:  # the first as each request has under ASGI
        return [await judge_call(call, slow) for call in CALLS]


async def find_refused_without_twin() -> dict[str, list[str]]:
    """Find, for some objects that use the database, the methods that Django refuses on a loop and has no twin for."""
    from django.db import connection, transaction

    from labs.common.shop.models import Product

    things = {
        "a queryset": Product.objects.order_by("pk"),
        "a raw queryset": Product.objects.raw("SELECT id, name FROM shop_product"),
        "a model's instance": Product(pk=1, name="new"),
        "transaction.atomic()": transaction.atomic(),
        "connection": connection.copy(),
    }
    return {name: [method for method in dir(thing) if is_refused(thing, method)] for name, thing in things.items()}


def is_refused(thing: Any, method: str) -> bool:
    """Return whether Django refuses to call, or even to read, this method here, and it has no async twin."""
    twin = f"__a{method[2:]}" if method.startswith("__") else f"a{method}"
    if hasattr(thing, twin) or (method not in ARGUMENTS and method.startswith("_")):
        return False
    refusals = len(REFUSED)
    with suppress(Exception):  # without its arguments a method may raise whatever it likes: the refusal is noted
        getattr(thing, method)(*ARGUMENTS.get(method, ()))
    return len(REFUSED) > refusals


def code_of(name: str) -> str:
    """Return the line or lines of a call, as in its file."""
    text = CALLS_FILE.read_text()
    (node,) = (node for node in ast.parse(text).body if getattr(node, "name", "") == name)
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    lines = text.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
    return dedent("\n".join(lines)).replace("return ", "")


@contextmanager
def set_up_here() -> Iterator[Any]:
    """Set up Django in this process, and yield the Slowness that the calls meet."""
    import django

    django.setup()
    from django.core.management import call_command

    from labs.traps.slowness import slowness

    call_command("createcachetable", verbosity=0)
    with work_folder("calls") as folder, slowness(folder) as slow:
        yield slow


def run_here() -> dict[str, Any]:
    """Run all calls in this process, which must do nothing else: Django is set up in it, and its errors are watched."""
    import django

    with set_up_here() as slow:
        note_refusals()
        outcomes = asyncio.run(judge_calls(slow))
    return {
        "django": django.get_version(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "calls": [asdict(call) for call in outcomes],
        "refused_without_twin": asyncio.run(find_refused_without_twin()),
    }


def run_in_subprocess() -> dict[str, Any]:
    """Run all calls in a process with a time limit. Raises LabError with the end of its stderr if it fails."""
    with serving_database() as database:
        variables = clean_environment(database.environment | {"DJANGO_SETTINGS_MODULE": "labs.traps.settings"})
        command = [sys.executable, "-m", "bench.claims.exhibits.blocking_calls", "--here"]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=ASK_WITHIN_S)
    if done.returncode:
        raise LabError(f"The calls could not be made: {done.stderr.strip()[-300:]}")
    return {"database": source().says, **json.loads(done.stdout)}


def load_without_twin() -> dict[str, list[str]]:
    """Load what is kept of `find_refused_without_twin`."""
    return msgspec.convert(json.loads(FILE.read_text())["refused_without_twin"], dict[str, list[str]])


def load() -> list[CallOutcome]:
    """Load the kept outcomes."""
    return msgspec.convert(json.loads(FILE.read_text())["calls"], list[CallOutcome])


def to_markdown(calls: Sequence[CallOutcome], outcome: Outcome) -> str:
    """Return a table of the calls with one outcome: their code, and the error or the longest gap of the loop."""
    raises = outcome in ("caught", "other error")
    rows = [
        f"| `{'` `'.join(call.code.splitlines())}` | {_effect_text(call)} |"
        for call in calls
        if call.outcome == outcome
    ]
    return "\n".join([f"| call | {'raises' if raises else 'the loop stood still'} |", "|---|--:|", *rows])


def _effect_text(call: CallOutcome) -> str:
    if call.error:
        return f"`{call.error}`"
    return f"{call.gap_ms:,} of {call.lasted_ms:,} ms" if call.lasted_ms >= LONG_MS else f"less than {LONG_MS} ms"


def compare_prediction(prediction: int | None, calls: Sequence[CallOutcome]) -> str:
    """Say how many calls blocked the loop, how many Django noticed, and what the learner predicted."""
    if prediction is None:
        return "No prediction yet: put a number into the cell above and run both again."
    blocked = [call for call in calls if call.blocked]
    noticed = sum(call.caught for call in blocked) or "none"
    calls_text = f"{len(blocked)} call{'' if len(blocked) == 1 else 's'}"
    return f"{calls_text} blocked the loop, and Django warned about {noticed} of them. You said {prediction}."


def table(calls: Sequence[CallOutcome]) -> Table:
    """Return a table with a row for each call."""
    shown = Table("call", "outcome", "lasted, ms", "longest gap, ms", title="Calls on an event loop")
    for call in calls:
        shown.add_row(escape(call.code), call.outcome, str(call.lasted_ms), str(call.gap_ms))
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Run all calls in a subprocess, write `calls.json`, and print it."""
    parser = exhibit_parser("blocking_calls", __doc__ or "")
    parser.add_argument("--here", action="store_true", help="in this process, writing no file: what the command starts")
    arguments = parser.parse_args(argv)
    if arguments.here:
        return print_json(run_here())
    return keep(run_in_subprocess(), FILE, lambda: table(load()), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(run_program(main))
