"""How the exercises are checked that ask a database: connections are counted there, and queries in the server."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from bench.databases import database
from bench.exhibits.trap_ways import Values, Visitor, look_signed_in, tell_answer, tell_signed_in
from bench.learn.exercise_visits import EARLY, NotYet, Seen, Subject, ms_since, visiting

HELD = json.dumps({"names": ["product 1"]})
VISITORS, HOLD_MS, MOST_CONNECTIONS, LOOK_EVERY_S = 20, 200, 4, 0.01


def bounded_connections(subject: Subject) -> Seen:
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
    seen = f"{VISITORS} visitors at once: at most {most} connections, all answered within {longest_ms:,} ms."
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
    """The most that were open at any look until everybody had an answer."""
    most = 0
    while not all(future.done() for future in asking):
        most = max(most, asked.connections() or 0)
        time.sleep(LOOK_EVERY_S)
    return most


TRAPS = {
    "products": ("sync_orm_in_async_view", '"products": 100'),
    "shelf": ("lazy_queryset_in_template", "<li>product 1</li>"),
    "me": ("request_user_in_async_view", '"name": "ada"'),
    "report": ("asyncio_run_in_sync_view", '"products": 100'),
}
"""Each view with its trap and a part of its right answer. The last one may take its thread with it."""
ANONYMOUS = '"name": ""'
SILENCED = " A query on the loop holds up everybody; DJANGO_ALLOW_ASYNC_UNSAFE silences Django, and mends nothing."


@dataclass(frozen=True)
class Fallen:
    """What is wrong with a view, if anything is, as the end of a sentence, and what it asked the database."""

    told: str
    is_right: bool
    on_the_loop: int = 0


def four_traps(subject: Subject) -> Seen:
    with (
        database.serving_database() as asked,
        visiting(subject, **asked.environment) as visitor,
    ):
        met = {view: _met_trap(visitor, view) for view in TRAPS}
    fallen = [view for view, trap in met.items() if not trap.is_right]
    seen = "; ".join(f"/{view}: {trap.told}" for view, trap in met.items()) + "."
    numbers = {"views": len(TRAPS), "answering": len(TRAPS) - len(fallen)}
    if fallen:
        why = SILENCED if met[fallen[0]].on_the_loop else ""
        raise NotYet(seen, f"Look at `{fallen[0]}`, and at labs/traps/{TRAPS[fallen[0]][0]}.py.{why}", **numbers)
    return Seen("pass", seen, numbers=numbers)


def _met_trap(visitor: Visitor, view: str) -> Fallen:
    """Whether the view answers rightly, to somebody signed in too, and asks the database off the loop."""
    anonymous = _text(visitor, view) if view == "me" else ANONYMOUS
    way, tell = (look_signed_in, tell_signed_in) if view == "me" else (Visitor.status, tell_answer)
    values = way(visitor, f"/{view}")
    if {200} != {value for key, value in values.items() if key.endswith("status")}:
        return Fallen(tell(values), False)
    before, text, after = _asked(visitor), _text(visitor, view), _asked(visitor)
    wrong = anonymous if ANONYMOUS not in anonymous else text if TRAPS[view][1] not in text else None
    if wrong is not None:
        return Fallen(f"answers {wrong[:40]!r}", False)
    on_the_loop = after["on_the_loop"] - before["on_the_loop"]
    if on_the_loop:
        return Fallen(f"{tell(values)}, with {on_the_loop} of its queries on the loop", False, on_the_loop)
    if after["queries"] == before["queries"]:
        return Fallen(f"{tell(values)}, with 0 queries of the database", False)
    return Fallen(tell(values), True)


def _text(visitor: Visitor, view: str) -> str:
    return visitor.client.get(f"/{view}").text


def _asked(visitor: Visitor) -> Values:
    return dict(visitor.client.get("/queries").raise_for_status().json())
