"""How the exercise `traps` is checked: `TRAPS` lists its traps, each with who looks at it and tells what was met."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from bench.claims.exhibits.trap_checks import Values, Visitor, ask_signed_in, describe_answer, describe_signed_in
from bench.learn.exercises.visits import CROWDS, EARLY, NotYet, Seen, Subject, visiting
from bench.measure.database import database

PRODUCTS, PRODUCT, ADA, ANONYMOUS = '"products": 100', "<li>product 1</li>", '"name": "ada"', '"name": ""'
QUERIES, QUERY_MS = 4, 150  # no more than a pool of connections lends by its defaults
NAMES = json.dumps({"names": [f"product {number}" for number in range(1, QUERIES + 1)]})
WAIT_MS, OVERTAKEN_AFTER_S = 400, 0.1
VISITS, CLOSED_WITHIN_S, LOOK_EVERY_S = 5, 1.0, 0.02
SILENCED = "A query on the loop holds up everybody; DJANGO_ALLOW_ASYNC_UNSAFE silences Django, and mends nothing."
HELD_UP = "Who waits for threads on the event loop needs an `await`."
FOR_THE_NEXT = "Behind WSGI the thread's next visitor would find what this one has left."
FORGOTTEN = "Look at who closes them: in a thread that serves no request nobody does, unless you do."


@dataclass(frozen=True)
class Met:
    """What is seen of one trap, as the end of a sentence, and what else to say to whoever looks there."""

    told: str
    is_cured: bool = False
    why: str = ""


@dataclass(frozen=True)
class Trap:
    """Its name in labs/traps, and who looks at it."""

    name: str
    look: Callable[[Visitor], Met]


def traps(subject: Subject) -> Seen:
    """Look at each trap of the exercise and return what was met. Raises NotYet if one is not cured."""
    with database.serving_database() as asked, visiting(subject, **asked.environment) as visitor:
        _require_sign_in(visitor)
        met = {place: trap.look(visitor) for place, trap in TRAPS.items()}
        forgotten = _left_open(visitor) if met["DATABASES"].is_cured else 0
    return _seen(met, forgotten)


def _seen(met: dict[str, Met], forgotten: int) -> Seen:
    """NotYet with the first that is not cured."""
    fallen = [place for place, trap in met.items() if not trap.is_cured]
    seen = "; ".join(f"{place}: {trap.told}" for place, trap in met.items()) + "."
    numbers = {"traps": len(met), "cured": len(met) - len(fallen), "forgotten": forgotten}
    if fallen:
        first = fallen[0]
        look_at = f"Look at `{first}`, and at labs/traps/{TRAPS[first].name}.py. {met[first].why}"
        raise NotYet(seen, look_at.rstrip(), **numbers)
    if forgotten:
        return Seen("pass", f"{seen} Connections that nobody has closed: {forgotten}.", FORGOTTEN, numbers)
    return Seen("pass", seen, numbers=numbers)


def _require_sign_in(visitor: Visitor) -> None:
    """First, because settings with which no database can be asked fail every view."""
    answer = visitor.client.get("/sign_in")
    if answer.is_error:
        answer.raise_for_status()


def _look_at_answer(path: str, part: str, visitor: Visitor) -> Met:
    values = visitor.status(path)
    return (
        _met_answer(visitor, path, part, describe_answer(values)) if _is_fine(values) else Met(describe_answer(values))
    )


def _look_at_somebody(visitor: Visitor) -> Met:
    """As nobody, and then as somebody who has signed in."""
    visitor.client.cookies.clear()
    anonymous, values = visitor.client.get("/me").text, ask_signed_in(visitor, "/me")
    if not _is_fine(values):
        return Met(describe_signed_in(values))
    return (
        _met_answer(visitor, "/me", ADA, describe_signed_in(values)) if ANONYMOUS in anonymous else _answers(anonymous)
    )


def _is_fine(values: Values) -> bool:
    return {200} == {value for key, value in values.items() if key.endswith("status")}


def _answers(text: str) -> Met:
    return Met(f"answers {text[:40]!r}")


def _met_answer(visitor: Visitor, path: str, part: str, told: str) -> Met:
    """Whether the answer has this part, and asks the database for it, off the loop."""
    before, text, after = _counted(visitor), visitor.client.get(path).text, _counted(visitor)
    if part not in text:
        return _answers(text)
    on_the_loop = after["on_the_loop"] - before["on_the_loop"]
    if on_the_loop:
        return Met(f"{told}, with {on_the_loop} of its queries on the loop", why=SILENCED)
    if after["queries"] == before["queries"]:
        return Met(f"{told}, with 0 queries of the database")
    return Met(told, is_cured=True)


def _counted(visitor: Visitor) -> Values:
    return dict(visitor.client.get("/queries").raise_for_status().json())


def _look_at_queries(visitor: Visitor) -> Met:
    """The best of some visits, since a machine that is busy keeps queries apart that need not wait for each other."""
    met = _look_at_answer(f"/basket?n={QUERIES}&ms=0", NAMES, visitor)
    for _ in range(CROWDS if met.is_cured else 0):
        met, took_turns = _met_queries(visitor)
        if met.is_cured or took_turns:
            break
    return met


def _met_queries(visitor: Visitor) -> tuple[Met, bool]:
    """Whether all that it asks is with the database at once, be it one query; and whether several took turns."""
    before, others_get_in = _counted(visitor), False
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(visitor.client.get, f"/basket?n={QUERIES}&ms={QUERY_MS}")
        while not asking.done():
            others_get_in |= _counted(visitor)["slow_now"] > 0
            time.sleep(LOOK_EVERY_S)
        asking.result().raise_for_status()
    after = _counted(visitor)
    made, took_ms, most = after["slow"] - before["slow"], after["slow_ms"] - before["slow_ms"], after["slow_most"]
    took_turns = most == 1 < made
    told = f"{made} × {QUERY_MS} ms in the database, at most {most} at once"
    if not made or took_ms < EARLY * made * QUERY_MS:
        return Met(f"{told}, which take it {took_ms} ms", why="Each query is to take its `ms`."), took_turns
    if most < made:
        return Met(told), took_turns
    if not others_get_in:
        return Met(f"{told}, and no other page is answered meanwhile", why=HELD_UP), took_turns
    return Met(told, is_cured=True), took_turns


def _look_at_names(visitor: Visitor) -> Met:
    """One who says a name and has to wait, and two who come meanwhile, one of them without a name."""
    values = visitor.status("/greeting?name=Ada&ms=0")
    if not _is_fine(values):
        return Met(f"/greeting: {describe_answer(values)}")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(visitor.client.get, f"/greeting?name=Ada&ms={WAIT_MS}")
        time.sleep(OVERTAKEN_AFTER_S)
        nobody, grace = (visitor.client.get(f"/greeting?{query}ms=0").text for query in ("", "name=Grace&"))
        ada = waiting.result()
    for name, text in {"nobody": nobody, "Grace": grace, "Ada": ada.text}.items():
        if text != json.dumps({"hello": name}):
            return Met(f"/greeting: answers {text[:40]!r} to {name}")
    if ada.elapsed.total_seconds() * 1000 < EARLY * WAIT_MS:
        return Met(f"/greeting: does not wait the {WAIT_MS} ms that it is asked to")
    changed = ada.headers["X-Left-Changed"]
    if changed:
        return Met(f"/greeting: answers 200 and leaves {changed} changed", why=FOR_THE_NEXT)
    return Met("/greeting: answers 200", is_cured=True)


def _look_at_connections(visitor: Visitor) -> Met:
    before = _counted(visitor)["open"]
    for _ in range(VISITS):
        visitor.client.get("/sign_in")
    left = _left_open(visitor, before)
    return Met(f"{VISITS} visits to /sign_in leave {left} connections open", is_cured=not left)


def _left_open(visitor: Visitor, before: int = 0) -> int:
    """How many more are open than before. A request's own is closed when its answer has left, which takes a moment."""
    until_s = time.monotonic() + CLOSED_WITHIN_S
    while (left := _counted(visitor)["open"] - before) > 0 and time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
    return max(0, left)


TRAPS = {
    "products": Trap("sync_orm_in_async_view", partial(_look_at_answer, "/products", PRODUCTS)),
    "shelf": Trap("lazy_queryset_in_template", partial(_look_at_answer, "/shelf", PRODUCT)),
    "me": Trap("request_user_in_async_view", _look_at_somebody),
    "report": Trap("asyncio_run_in_sync_view", partial(_look_at_answer, "/report", PRODUCTS)),
    "basket": Trap("gather_is_serial", _look_at_queries),
    "VisitorMiddleware": Trap("context_token_across_hop", _look_at_names),
    "DATABASES": Trap("conn_max_age_leak", _look_at_connections),
}
"""By where they are in the file, in its order."""
