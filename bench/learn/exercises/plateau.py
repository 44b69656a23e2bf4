"""How the exercise `plateau` is checked: its limits beside those of a reference run, and of a server measured now.

A limit is right if it is the theory's, also for a server that no run has seen. The throughput of that server is printed
beside it and not judged, because other programs may have slowed it down.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.analyse import queueing
from bench.analyse.rows import Row, rows_of
from bench.learn.clients import Client, repeating, stay
from bench.learn.exercises.learner_code import call_function
from bench.learn.exercises.visits import CheckResult, Subject, result_of
from bench.measure import cpu_placement, process_usage
from bench.measure.load.http_stream import Address
from bench.measure.readiness import RunningServer, serving_stack
from bench.model import run_store
from bench.model.stacks import parse_stack

FUNCTION = "plateau_per_s"
ALIKE = 0.01
PREDICTED = "io_wait"
STACK, THREADS, USERS, WAIT_MS = "sync_wsgi@gthread:4", 4, 16, 100
WARM_UP_S, WINDOW_S = 0.5, 3.0
MISSING = 0.2
BUSY = "Other programs on this machine took the rest: `lab doctor` says how busy it is."
"""Added if more than this share of a right limit is missing."""
LOOK_AT: dict[queueing.Bottleneck, str] = {
    "users": "Look at the users: each of them has one request under way, for the wait and its CPU time.",
    "threads": "Look at the threads: each holds one request for the wait and its CPU time, and then takes the next.",
    "server CPU": "Look at the core: it has a second of CPU time to give in each second.",
}
BY_HEART = "Look for what is special in the points of the run: every server has a limit."


def plateau(subject: Subject) -> CheckResult:
    """Ask the learner's function for the limit of each point of the run, and of a server that is measured now.

    Not yet if one of them is wrong by more than ALIKE. Raises NotYet if the function cannot be called.
    """
    rows = [row for row in rows_of(run_store.load_run(run_store.REFERENCE / PREDICTED)) if row.measured]
    answers = call_function(subject, FUNCTION, list(map(_case_of, rows)))
    wrong = [(row, answer) for row, answer in zip(rows, answers, strict=True) if not _is_right(_case_of(row), answer)]
    window = measure_window()
    (answer_here,) = call_function(subject, FUNCTION, [window.case])
    numbers = {"trials": len(rows), "right": len(rows) - len(wrong), "here_per_s": window.per_s}
    seen = f"Right for {numbers['right']} of {len(rows)} points of the run {PREDICTED}."
    here = (
        f"Here and now, `{STACK}` with {USERS} users: you say {_rate(answer_here)}, measured are {window.per_s:,.0f}."
    )
    if wrong:
        row, answer = wrong[0]
        most = f"the most there can be are {_limit_per_s(_case_of(row)):,.0f}."
        look_at = LOOK_AT[_bottleneck(_case_of(row))]
        return result_of(f"{seen} {_claim(row, answer)} {most} {here}", numbers, look_at)
    if not _is_right(window.case, answer_here):
        return result_of(f"{seen} {here}", numbers, BY_HEART)
    busy = f" {BUSY}" if window.per_s < (1 - MISSING) * _limit_per_s(window.case) else ""
    return result_of(f"{seen} {_largest_pool(rows)} {here}{busy}", numbers, "")


class Window(NamedTuple):
    """A server with few threads and many users, measured now: answers, seconds, and CPU seconds per answer."""

    completed: int
    took_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Return the requests answered per second."""
        return self.completed / self.took_s

    @property
    def case(self) -> Mapping[str, Any]:
        """The arguments for the exercise's function."""
        return {"users": USERS, "threads": THREADS, "wait_s": WAIT_MS / 1000, "cpu_s": self.cpu_s}


def measure_window() -> Window:
    """Let USERS send requests again and again for WINDOW_S. NotRun if the server no longer answers."""
    with serving_stack(parse_stack(STACK), cpus=cpu_placement.plan(1).server, grace_s=0) as server:
        return asyncio.run(_measure(server))


async def _measure(server: RunningServer) -> Window:
    users = [Client(f"user {number}", STACK, f"/wait?ms={WAIT_MS}") for number in range(USERS)]
    async with repeating(users, Address(server.url)) as tasks:
        await stay(WARM_UP_S, tasks)
        family = server.family()
        before, began = process_usage.read(family), sum(len(user.took_ms) for user in users)
        await stay(WINDOW_S, tasks)
        after, completed = process_usage.read(family), sum(len(user.took_ms) for user in users) - began
    return Window(completed, after.at_s - before.at_s, (after.cpu_s - before.cpu_s) / max(1, completed))


def _case_of(row: Row) -> Mapping[str, Any]:
    """The arguments for the exercise's function, from a point of the run."""
    cpu_s = (row.median("cpu_us_per_request") or 0.0) / 1e6
    return {"users": row.users, "threads": row.slots, "wait_s": row.io_wait_s, "cpu_s": cpu_s}


def _limit_per_s(case: Mapping[str, Any]) -> float:
    return queueing.limit_per_s(**_for_theory(case))


def _bottleneck(case: Mapping[str, Any]) -> queueing.Bottleneck:
    return queueing.predicted_bottleneck(**_for_theory(case))


def _for_theory(case: Mapping[str, Any]) -> dict[str, Any]:
    return {"io_wait_s" if name == "wait_s" else name: value for name, value in case.items()}


def _is_right(case: Mapping[str, Any], answer: Any) -> bool:
    return isinstance(answer, int | float) and math.isclose(answer, _limit_per_s(case), rel_tol=ALIKE)


def _rate(answer: Any) -> str:
    return f"{answer:,.0f} requests/s" if isinstance(answer, int | float) else repr(answer)


def _claim(row: Row, answer: Any) -> str:
    return f"`{row.stack}` with {row.users} users: you say {_rate(answer)},"


def _largest_pool(rows: Sequence[Row]) -> str:
    """The point with the most users that threads limit, with its measured throughput."""
    limited = (row for row in rows if _bottleneck(_case_of(row)) == "threads")
    row = max(limited, key=lambda row: (row.users, row.slots))
    measured_per_s = row.median("throughput_per_s") or 0.0
    return f"{_claim(row, _limit_per_s(_case_of(row)))} measured were {measured_per_s:,.0f}."
