"""How the exercise `bounded_connections` is checked: the database counts the connections."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bench.claims.exhibits.trap_checks import Visitor
from bench.learn.exercises.visits import (
    CROWDS,
    EARLY,
    CheckResult,
    NotYet,
    Subject,
    result_of,
    serving_exercise,
    took_ms,
)
from bench.measure.database import database

HELD = json.dumps({"names": ["product 1"]})
VISITORS, HOLD_MS, MOST_CONNECTIONS, LOOK_EVERY_S = 20, 200, 4, 0.01
LOOKS = 5
"""At a crowd; with fewer, a busy machine has missed it, and there is another."""


def bounded_connections(subject: Subject) -> CheckResult:
    """Let VISITORS hold a connection at once, and count them in the database; skipped without PostgreSQL.

    Not yet if there are more than MOST_CONNECTIONS, or none at all.
    """
    with database.serving_database() as served:
        before = served.connections()
        if before is None:
            why = f"The database here is {served.vendor}, which has no connections to count: {database.REMEDY}."
            return CheckResult("skipped", why)
        with serving_exercise(subject, **served.environment) as visitor, ThreadPoolExecutor(VISITORS) as pool:
            for _ in range(CROWDS):
                waiting = [pool.submit(_held_ms, visitor) for _ in range(VISITORS)]
                looks = _count_connections(served, waiting)
                longest_ms = max(future.result() for future in waiting)
                most = _most_of(looks) - before
                if len(looks) >= LOOKS and most > 0:
                    break
    look_at = ""
    if most > MOST_CONNECTIONS:
        look_at = f"Look for a way to share {MOST_CONNECTIONS} connections between all requests: a pool, or a queue."
    elif most < 1:
        look_at = "Look whether this is still the database that LAB_DATABASE_URL names."
    seen = f"{VISITORS} visitors at once: up to {most} connections at a time, all answered within {longest_ms:,} ms."
    return result_of(seen, {"connections_most": most, "longest_ms": longest_ms}, look_at)


def _held_ms(visitor: Visitor) -> int:
    """How long one visitor was held. NotYet if the answer is wrong, or came without the wait."""
    answer = visitor.client.get(f"/hold?ms={HOLD_MS}").raise_for_status()
    if answer.text != HELD:
        seen = f"/hold answers {answer.text[:80]} instead of {HELD}."
        raise NotYet(seen, "Look at what answers in place of the view.")
    if took_ms(answer) < EARLY * HOLD_MS:
        seen = f"/hold?ms={HOLD_MS} is answered after {took_ms(answer)} ms."
        raise NotYet(seen, "Look whether its wait is still there.")
    return took_ms(answer)


def _count_connections(served: database.Database, waiting: Sequence[Future[int]]) -> list[int]:
    """The number that was open at each look, until all visitors had an answer."""
    looks = [0]
    while not all(future.done() for future in waiting):
        looks.append(served.connections() or 0)
        time.sleep(LOOK_EVERY_S)
    return looks


def _most_of(looks: Sequence[int]) -> int:
    """The number that was open at a quarter of the looks or more.

    Single looks do not count: on a busy machine one connection is still closing while the next one opens.
    """
    return sorted(looks)[-1 - len(looks) // 4]
