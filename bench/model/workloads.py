"""The one list of workloads: for each its parameters, its right answer, and how long a request must wait.

To add a workload, add its entry here and its view to labs/sync_wsgi and labs/async_asgi. `wait?ms=10` is the
notation for a workload with parameters; parameters left out have their defaults. Nothing else takes it apart.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl

from bench.base.errors import UsageError, nearest
from bench.model.load import ConnectionLoad, Held, Leaving, Slow, Streams, Waves
from bench.model.servers import Views
from bench.model.stacks import Lab, Stack

Parameters = Mapping[str, int]


@dataclass(frozen=True)
class Workload:
    """What one request does. `io_wait_s` is L, the wait that no amount of CPU can shorten, in a given lab.

    `body` gives the one right answer; None where each answer differs. A `feed` is no JSON but a stream of events.
    `quick`: the parameters of a request of the same kind that is over soon, where they are not the defaults.
    `connection_loads`: the loads by the connection that such requests can make.
    `in_bare`: the bare callables answer it too. `blocks_loop`: in an async view nothing else runs meanwhile.
    `pays`: each request moves one coin between two accounts. `may_tear`: a bad example, whose payments may be left
    half done; any other workload that leaves one makes its trial invalid.
    `sends`: how many bytes of body a slow client sends; any other request has none, and `body` answers that one.
    `overlapping_views`: the views in which parts of a request wait while others compute, so that it takes less than
    L + S.
    `async_packages`: the packages that the async view imports, beside those of its lab.
    """

    name: str
    does: str
    body: Callable[[Parameters], bytes] | None
    io_wait_s: Callable[[Parameters, Lab], float]
    defaults: Parameters = field(default_factory=dict)
    quick: Parameters = field(default_factory=dict)
    connection_loads: tuple[type[ConnectionLoad], ...] = ()
    in_bare: bool = False
    needs_upstream: bool = False
    needs_database: bool = False
    blocks_loop: bool = False
    pays: bool = False
    may_tear: bool = False
    sends: Callable[[Parameters], int] | None = None
    overlapping_views: tuple[Views, ...] = ()
    async_packages: tuple[str, ...] = ()
    content_type: str = "application/json"


def _no_wait(parameters: Parameters, lab: Lab) -> float:
    return 0.0


def _one_wait(parameters: Parameters, lab: Lab) -> float:
    return parameters["ms"] / 1000


def _fan_out_wait(parameters: Parameters, lab: Lab) -> float:
    calls_in_a_row = parameters["n"] if lab.views == "sync" else 1
    return calls_in_a_row * parameters["ms"] / 1000


def _stream_wait(parameters: Parameters, lab: Lab) -> float:
    return (parameters["n"] - 1) * parameters["ms"] / 1000


def _waits_in_a_row(parameters: Parameters, lab: Lab) -> float:
    """Return n times ms: Django's ORM runs the queries of a request one after the other, even if they are gathered."""
    waits_in_a_row = 1 if "gathered" in lab.overlapping else parameters["n"]
    return waits_in_a_row * parameters["ms"] / 1000


def _json(answer: Callable[[Parameters], dict[str, object]]) -> Callable[[Parameters], bytes]:
    return lambda parameters: json.dumps(answer(parameters)).encode()


@_json
def _fan_out_answer(parameters: Parameters) -> dict[str, object]:
    return {"calls": parameters["n"], "waited_ms": parameters["n"] * parameters["ms"]}


@_json
def _one_product(parameters: Parameters) -> dict[str, object]:
    return {"names": ["product 1"] * parameters.get("n", 1)}


def _events(name: bytes) -> Callable[[Parameters], bytes]:
    return lambda parameters: b"".join(b"event: %s\ndata: %d\n\n" % (name, it) for it in range(parameters["n"]))


_passed_on = partial(
    Workload,
    body=_events(b"token"),
    io_wait_s=_stream_wait,
    defaults={"n": 20, "ms": 50},
    quick={"n": 2, "ms": 10},
    connection_loads=(Streams,),
    needs_upstream=True,
    content_type="text/event-stream",
)


_payment = partial(
    Workload,
    body=_json(lambda p: {"paid": 1}),
    io_wait_s=_one_wait,
    defaults={"ms": 0},
    quick={"ms": 1},
    connection_loads=(Leaving,),
    needs_database=True,
    pays=True,
)
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hello", "nothing", _json(lambda p: {"message": "hello"}), _no_wait, in_bare=True),
        Workload(
            "wait",
            "sleeps ms milliseconds",
            _json(lambda p: {"waited_ms": p["ms"]}),
            _one_wait,
            {"ms": 100},
            quick={"ms": 10},
            connection_loads=(Leaving,),
            in_bare=True,
        ),
        Workload(
            "blocking_wait",
            "sleeps with time.sleep, also in an async view",
            _json(lambda p: {"waited_ms": p["ms"]}),
            _one_wait,
            {"ms": 100},
            blocks_loop=True,
        ),
        Workload(
            "fan_out",
            "n upstream calls of ms: one after another in sync code, gathered in async code",
            _fan_out_answer,
            _fan_out_wait,
            {"n": 5, "ms": 100},
            needs_upstream=True,
            overlapping_views=("async",),
        ),
        Workload(
            "fan_out_threads",
            "n upstream calls of ms at once, in n threads",
            _fan_out_answer,
            _one_wait,
            {"n": 5, "ms": 100},
            needs_upstream=True,
            overlapping_views=("sync", "async"),
        ),
        Workload(
            "burn",
            "ms milliseconds of CPU",
            _json(lambda p: {"burned_ms": p["ms"]}),
            _no_wait,
            {"ms": 10},
            quick={"ms": 1},
            connection_loads=(Leaving,),
        ),
        Workload(
            "wait_and_burn",
            "sleeps ms milliseconds, then spends cpu milliseconds of CPU time",
            _json(lambda p: {"waited_ms": p["ms"], "burned_ms": p["cpu"]}),
            _one_wait,
            {"ms": 100, "cpu": 10},
            quick={"ms": 10, "cpu": 2},
        ),
        Workload(
            "feed",
            "server-sent events: n of them, ms apart, and between them what is published",
            _events(b"tick"),
            _stream_wait,
            {"n": 10, "ms": 1000},
            quick={"n": 2, "ms": 10},
            connection_loads=(Held,),
            content_type="text/event-stream",
        ),
        _passed_on("tokens", "passes on what an upstream writes in n parts, ms apart, read with httpx"),
        _passed_on(
            "tokens_lean",
            "the same, read with http.client in sync code and aiohttp in async code",
            async_packages=("aiohttp",),
        ),
        Workload(
            "poll",
            "answers when something is published, at the latest after ms",
            _json(lambda p: {"news": None}),
            _one_wait,
            {"ms": 100},
        ),
        Workload(
            "rows",
            "one query, n rows",
            _json(lambda p: {"names": [f"product {pk}" for pk in range(1, p["n"] + 1)]}),
            _no_wait,
            {"n": 20},
            needs_database=True,
        ),
        Workload("slow_rows", "one query that takes ms", _one_product, _one_wait, {"ms": 100}, needs_database=True),
        Workload(
            "crud",
            "creates, reads, updates and deletes a row: four queries",
            _json(lambda p: {"read": "created", "saved": "updated", "deleted": 1}),
            _no_wait,
            needs_database=True,
        ),
        Workload(
            "gathered",
            "n queries of ms in one request, gathered in async code",
            _one_product,
            _waits_in_a_row,
            {"n": 5, "ms": 20},
            needs_database=True,
        ),
        Workload(
            "gathered_threads",
            "the same in n threads, each with a connection of its own",
            _one_product,
            _one_wait,
            {"n": 5, "ms": 20},
            needs_database=True,
            overlapping_views=("sync", "async"),
        ),
        Workload(
            "hold",
            "a query at once, then waits ms for something else",
            _one_product,
            _one_wait,
            {"ms": 100},
            quick={"ms": 1},
            connection_loads=(Waves,),
            needs_database=True,
        ),
        _payment("checkout", "a payment: two rows in one transaction, ms between them; in async code one hop"),
        _payment("checkout_in_halves", "the same without a transaction: a bad example", may_tear=True),
        _payment(
            "checkout_across_hops",
            "the same, in async code with a transaction open across hops: a bad example",
            may_tear=True,
        ),
        Workload(
            "upload",
            "reads the body of the request, n kB from a slow client",
            _json(lambda p: {"received": 0}),
            _no_wait,
            {"n": 10},
            connection_loads=(Slow,),
            sends=lambda p: 1000 * p["n"],
        ),
        Workload(
            "download",
            "answers n times 80 kB",
            lambda p: b"x" * (80_000 * p["n"]),
            _no_wait,
            {"n": 1},
            connection_loads=(Slow,),
            content_type="application/octet-stream",
        ),
        Workload("whoami", "thread, loop and callers inside", None, _no_wait),
    )
}

BOUNDS = {"ms": (0, 10_000), "n": (1, 100), "cpu": (0, 1000)}


def request_name(workload: str, parameters: Parameters) -> str:
    """The notation `workload[?name=value&...]`, which `parse_request` reads back."""
    query = "&".join(f"{key}={value}" for key, value in parameters.items())
    return workload + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Request:
    """A workload with its parameters: what every user of a trial asks for."""

    workload: Workload
    parameters: Parameters

    @property
    def name(self) -> str:
        """Return the notation that `parse_request` reads."""
        return request_name(self.workload.name, self.parameters)

    @property
    def path(self) -> str:
        """Return path and query, such as `/wait?ms=100`."""
        return "/" + self.name

    @property
    def body(self) -> bytes | None:
        """Return the exact bytes of a right answer; None if each answer differs (whoami)."""
        return None if self.workload.body is None else self.workload.body(self.parameters)

    @property
    def quick(self) -> "Request":
        """A request of the same kind that is over soon."""
        return Request(self.workload, {**self.workload.defaults, **self.workload.quick})

    def packages_in(self, stack: Stack) -> tuple[str, ...]:
        """Return what the view imports in that stack, beside what its lab does."""
        return self.workload.async_packages if stack.lab.views == "async" else ()

    def io_wait_s(self, stack: Stack) -> float:
        """Return L of this request in that stack, in s: its own waits, and one answer of a database that is away."""
        way_s = stack.database_ms / 1000 if self.workload.needs_database else 0.0
        return self.workload.io_wait_s(self.parameters, stack.lab) + way_s

    def overlaps_in(self, stack: Stack) -> bool:
        """Return whether parts of this request wait while others compute, in that stack."""
        return stack.lab.views in self.workload.overlapping_views or self.workload.name in stack.lab.overlapping

    def slots(self, stack: Stack) -> int | None:
        """Return W, how many of these requests can wait in the stack at once; None if there is no bound."""
        if self.workload.blocks_loop and stack.lab.interface == "asgi" and stack.lab.views == "async":
            return stack.budget.processes
        return stack.request_slots

    def is_answered_by(self, stack: Stack) -> bool:
        """Return whether the stack's lab has this workload."""
        lab = stack.lab
        has_it = self.workload.name in lab.answers if lab.answers else lab.is_django or self.workload.in_bare
        return lab.has_workloads and has_it


def parse_request(text: str) -> Request:
    """Read `workload[?name=value&...]`. Raises UsageError if a name is unknown or a value out of bounds."""
    name, _, query = text.partition("?")
    workload = WORKLOADS.get(name)
    if workload is None:
        raise UsageError(f"Unknown workload {name!r}: {nearest(name, WORKLOADS)}")
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [key for key in given if key not in workload.defaults]
    if unknown:
        takes = ", ".join(workload.defaults) or "no parameters"
        raise UsageError(f"Workload {name} has no parameter {unknown[0]!r}: it takes {takes}.")
    return Request(
        workload,
        {key: _number(text, key, given.get(key), default) for key, default in workload.defaults.items()},
    )


def _number(text: str, key: str, given: str | None, default: int) -> int:
    if given is None:
        return default
    low, high = BOUNDS[key]
    if not (given.isascii() and given.isdigit() and low <= int(given) <= high):
        raise UsageError(f"{key} in {text!r} must be a whole number from {low} to {high}.")
    return int(given)
