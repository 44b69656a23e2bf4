"""How the exercise `bounded_connections` is checked: the database counts who is connected."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bench.claims.exhibits.trap_checks import Visitor
from bench.learn.exercises.visits import EARLY, NotYet, Seen, Subject, ms_since, visiting
from bench.measure.database import database

HELD = json.dumps({"names": ["product 1"]})
VISITORS, HOLD_MS, MOST_CONNECTIONS, LOOK_EVERY_S = 20, 200, 4, 0.01


def bounded_connections(subject: Subject) -> Seen:
    """Let VISITORS hold a connection at once, and count them in the database; skipped without PostgreSQL.

    Raises NotYet if there are more than MOST_CONNECTIONS, or none at all."""
    with database.serving_database() as asked:
        before = asked.connections()
        if before is None:
            return Seen(
                "skipped",
                f"The database here is {asked.vendor}, which has no connections to count: {database.REMEDY}.",
            )
        with visiting(subject, **asked.environment) as visitor, ThreadPoolExecutor(VISITORS) as pool:
            asking = [pool.submit(_held_ms, visitor) for _ in range(VISITORS)]
            most = _most_connections(asked, asking) - before
            longest_ms = max(future.result() for future in asking)
    seen = f"{VISITORS} visitors at once: up to {most} connections at a time, all answered within {longest_ms:,} ms."
    numbers = {"connections_most": most, "longest_ms": longest_ms}
    if most > MOST_CONNECTIONS:
        look_at = f"Look at who could lend {MOST_CONNECTIONS} connections to whoever needs one: a pool, or a queue."
        raise NotYet(seen, look_at, **numbers)
    if most < 1:
        raise NotYet(seen, "Look whether this is still the database that LAB_DATABASE_URL names.", **numbers)
    return Seen("pass", seen, numbers=numbers)


def _held_ms(visitor: Visitor) -> int:
    """How long one visitor was held. NotYet where the answer is another, or came without the wait."""
    began_s = time.monotonic()
    said = visitor.client.get(f"/hold?ms={HOLD_MS}").raise_for_status().text
    took_ms = ms_since(began_s)
    if said != HELD:
        raise NotYet(f"/hold answers {said[:80]} instead of {HELD}.", "Look at what came between it and its visitors.")
    if took_ms < EARLY * HOLD_MS:
        raise NotYet(f"/hold?ms={HOLD_MS} is answered after {took_ms} ms.", "Look whether its wait is still there.")
    return took_ms


def _most_connections(asked: database.Database, asking: Sequence[Future[int]]) -> int:
    """Return how many were open at a quarter of the looks or more, until everybody had an answer.

    Single looks count for nothing: on a busy machine one connection is still closing while the next one opens.
    """
    looks = [0]
    while not all(future.done() for future in asking):
        looks.append(asked.connections() or 0)
        time.sleep(LOOK_EVERY_S)
    return sorted(looks)[-1 - len(looks) // 4]
