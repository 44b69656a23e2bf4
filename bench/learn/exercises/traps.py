"""How the exercise `traps` is checked: `TRAPS` lists its traps, each with the function that looks at it."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from bench.claims.exhibits.trap_checks import Values, Visitor, ask_signed_in, describe_answer, describe_signed_in
from bench.learn.exercises.visits import CROWDS, EARLY, CheckResult, Subject, result_of, serving_exercise, took_ms
from bench.measure.database import database

PRODUCTS, PRODUCT, ADA, ANONYMOUS = '"products": 100', "<li>product 1</li>", '"name": "ada"', '"name": ""'
QUERIES, QUERY_MS = 4, 150  # no more than a pool of connections lends by its defaults
NAMES = json.dumps({"names": [f"product {number}" for number in range(1, QUERIES + 1)]})
WAIT_MS = 400
VISITS, CLOSED_WITHIN_S, LOOK_EVERY_S = 5, 3.0, 0.02
SILENCED = "A query on the event loop holds up everybody; DJANGO_ALLOW_ASYNC_UNSAFE only silences Django."
HELD_UP = "A wait for threads on the event loop needs an `await`."
FOR_THE_NEXT = "Behind WSGI the thread's next visitor would find what this one has left."
FORGOTTEN = "Look at what closes them: in a thread that serves no request nothing does, unless you do."


class Met(NamedTuple):
    """What was seen of one trap, as the end of a sentence, and what else to say if the learner has to look there."""

    seen: str
    is_cured: bool = False
    why: str = ""


class Trap(NamedTuple):
    """Its name in labs/traps, and the function that looks at it."""

    name: str
    look: Callable[[Visitor], Met]


def traps(subject: Subject) -> CheckResult:
    """Look at each trap of the exercise. Not yet if one is not cured: the result names the first."""
    with database.serving_database() as served, serving_exercise(subject, **served.environment) as visitor:
        sign_in = visitor.client.get("/sign_in")  # first: without a database every view fails
        if sign_in.is_error:
            sign_in.raise_for_status()
        met = {place: trap.look(visitor) for place, trap in TRAPS.items()}
        forgotten = _left_open(visitor) if met["DATABASES"].is_cured else 0
    uncured = [place for place, trap in met.items() if not trap.is_cured]
    seen = "; ".join(f"{place}: {trap.seen}" for place, trap in met.items()) + "."
    numbers = {"traps": len(met), "cured": len(met) - len(uncured), "forgotten": forgotten}
    if uncured:
        first = uncured[0]
        look_at = f"Look at `{first}`, and at labs/traps/{TRAPS[first].name}.py. {met[first].why}"
        return result_of(seen, numbers, look_at.rstrip())
    if forgotten:
        return CheckResult("pass", f"{seen} Connections that nobody has closed: {forgotten}.", FORGOTTEN, numbers)
    return result_of(seen, numbers, "")


def _look_at_answer(path: str, part: str, visitor: Visitor) -> Met:
    values = visitor.status(path)
    return (
        _look_at_body(visitor, path, part, describe_answer(values))
        if _is_fine(values)
        else Met(describe_answer(values))
    )


def _look_at_user(visitor: Visitor) -> Met:
    """Request the page as an anonymous visitor, then signed in."""
    visitor.client.cookies.clear()
    anonymous, values = visitor.client.get("/me").text, ask_signed_in(visitor, "/me")
    if not _is_fine(values):
        return Met(describe_signed_in(values))
    if ANONYMOUS not in anonymous:
        return _wrong_answer(anonymous)
    return _look_at_body(visitor, "/me", ADA, describe_signed_in(values))


def _is_fine(values: Values) -> bool:
    return {200} == {value for key, value in values.items() if key.endswith("status")}


def _wrong_answer(text: str) -> Met:
    return Met(f"answers {text[:40]!r}")


def _look_at_body(visitor: Visitor, path: str, part: str, seen: str) -> Met:
    """Cured if the answer has this part, and the view queries the database for it, off the event loop."""
    before, text, after = _count(visitor), visitor.client.get(path).text, _count(visitor)
    on_the_loop, queries = (after[name] - before[name] for name in ("on_the_loop", "queries"))
    if part not in text:
        return _wrong_answer(text)
    if on_the_loop:
        return Met(f"{seen}, with {on_the_loop} of its queries on the loop", why=SILENCED)
    return Met(seen, is_cured=True) if queries else Met(f"{seen}, with 0 queries of the database")


def _count(visitor: Visitor) -> Values:
    return dict(visitor.client.get("/queries").raise_for_status().json())


def _look_at_queries(visitor: Visitor) -> Met:
    """The best of several visits, because a busy machine separates queries that need not wait for each other."""
    met = _look_at_answer(f"/basket?n={QUERIES}&ms=0", NAMES, visitor)
    for _ in range(CROWDS if met.is_cured else 0):
        met, took_turns = _visit_basket(visitor)
        if met.is_cured or took_turns:
            break
    return met


def _visit_basket(visitor: Visitor) -> tuple[Met, bool]:
    """Cured if all its queries are with the database at once, also if it is one query. And whether they took turns."""
    before, others_get_in = _count(visitor), False
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(visitor.client.get, f"/basket?n={QUERIES}&ms={QUERY_MS}")
        while not asking.done():
            others_get_in |= _count(visitor)["slow_now"] > 0
            time.sleep(LOOK_EVERY_S)
        asking.result().raise_for_status()
    after = _count(visitor)
    made, slow_ms, most = after["slow"] - before["slow"], after["slow_ms"] - before["slow_ms"], after["slow_most"]
    seen = f"{made} × {QUERY_MS} ms in the database, at most {most} at once"
    met = Met(seen, is_cured=True)
    if not made or slow_ms < EARLY * made * QUERY_MS:
        met = Met(f"{seen}, which take it {slow_ms} ms", why="Each query has to take its `ms`.")
    elif most < made:
        met = Met(seen)
    elif not others_get_in:
        met = Met(f"{seen}, and no other page is answered meanwhile", why=HELD_UP)
    return met, most == 1 < made


def _look_at_names(visitor: Visitor) -> Met:
    """One visitor gives a name and has to wait; meanwhile two others come, one of them without a name."""
    values = visitor.status("/greeting?name=Ada&ms=0")
    if not _is_fine(values):
        return Met(f"/greeting: {describe_answer(values)}")
    inside = visitor.census()["inside_now"]  # what never ends elsewhere
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(visitor.client.get, f"/greeting?name=Ada&ms={WAIT_MS}")
        while visitor.census()["inside_now"] <= inside and not waiting.done():
            time.sleep(LOOK_EVERY_S)
        nobody, grace = (visitor.client.get(f"/greeting?{query}ms=0").text for query in ("", "name=Grace&"))
        ada = waiting.result()
    for name, text in {"nobody": nobody, "Grace": grace, "Ada": ada.text}.items():
        if text != json.dumps({"hello": name}):
            return Met(f"/greeting: answers {text[:40]!r} to {name}")
    if took_ms(ada) < EARLY * WAIT_MS:
        return Met(f"/greeting: does not wait the {WAIT_MS} ms that its URL says")
    changed = ada.headers["X-Left-Changed"]
    if changed:
        return Met(f"/greeting: answers 200 and leaves {changed} changed", why=FOR_THE_NEXT)
    return Met("/greeting: answers 200", is_cured=True)


def _look_at_connections(visitor: Visitor) -> Met:
    before = _count(visitor)["open"]
    for _ in range(VISITS):
        visitor.client.get("/sign_in")
    left = _left_open(visitor, before)
    return Met(f"{VISITS} visits to /sign_in leave {left} connections open", is_cured=not left)


def _left_open(visitor: Visitor, before: int = 0) -> int:
    """How many more are open than before. A request's own connection closes shortly after its answer has left."""
    until_s = time.monotonic() + CLOSED_WITHIN_S
    while (left := _count(visitor)["open"] - before) > 0 and time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
    return max(0, left)


TRAPS = {
    "products": Trap("sync_orm_in_async_view", partial(_look_at_answer, "/products", PRODUCTS)),
    "shelf": Trap("lazy_queryset_in_template", partial(_look_at_answer, "/shelf", PRODUCT)),
    "me": Trap("request_user_in_async_view", _look_at_user),
    "report": Trap("asyncio_run_in_sync_view", partial(_look_at_answer, "/report", PRODUCTS)),
    "basket": Trap("gather_is_serial", _look_at_queries),
    "VisitorMiddleware": Trap("context_token_across_hop", _look_at_names),
    "DATABASES": Trap("conn_max_age_leak", _look_at_connections),
}
"""By their names in the exercise's file, in its order."""
