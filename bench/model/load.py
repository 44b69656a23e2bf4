"""The load of a trial: who asks the stack, in one of eight kinds, each with its own fields and a text for people."""

from dataclasses import dataclass
from typing import Any

STORED = (
    *("users", "rate_per_s", "capacity_share", "connections", "max_connections"),
    *("visitors", "slow_over_s", "leaving"),
)
"""The fields of a load that run.json and the selectors of assertions have. When clients leave is not among them."""


@dataclass(frozen=True)
class Closed:
    """A closed loop: `users` at once, each of whom asks again as soon as the answer is there."""

    users: int

    @property
    def text(self) -> str:
        """`1 user`, `1,000 users`."""
        return f"{self.users:,} user{'' if self.users == 1 else 's'}"


@dataclass(frozen=True)
class Paced:
    """A closed loop whose users are held back, all together, to `rate_per_s`."""

    users: int
    rate_per_s: float

    @property
    def text(self) -> str:
        """`10 users held to 100/s`."""
        return f"{Closed(self.users).text} held to {self.rate_per_s:,.4g}/s"


@dataclass(frozen=True)
class Open:
    """An open loop: requests on a schedule, whatever happens.

    With `capacity_share` the rate is that share of what the stack was measured to do in the same run, and is None until
    then.
    """

    rate_per_s: float | None = None
    capacity_share: float | None = None

    @property
    def text(self) -> str:
        """`50 % of capacity`, `100 requests/s`."""
        if self.capacity_share is not None:
            return f"{100 * self.capacity_share:.0f} % of capacity"
        return f"{self.rate_per_s:,.4g} requests/s" if self.rate_per_s else "no load"


@dataclass(frozen=True)
class Held:
    """`connections` opened one after the other and held open."""

    connections: int

    @property
    def text(self) -> str:
        """`1 connection`, `9 connections`."""
        return f"{self.connections:,} connection{'' if self.connections == 1 else 's'}"


@dataclass(frozen=True)
class Leaving:
    """`connections` whose clients leave `leave_after_s` after they asked, but for `staying` of them."""

    connections: int
    leave_after_s: float
    staying: int = 0

    @property
    def text(self) -> str:
        """As for connections that are held."""
        return Held(self.connections).text


@dataclass(frozen=True)
class Waves:
    """Two waves of as many requests as `connections`, at a database that allows `max_connections` and no more."""

    connections: int
    max_connections: int

    @property
    def text(self) -> str:
        """`40 requests, 20 connections allowed`."""
        return f"{self.connections:,} requests, {self.max_connections:,} connections allowed"


@dataclass(frozen=True)
class Slow:
    """`connections` slow clients at once, beside `visitors` who ask for `hello` before them and while they are there.

    Each takes `slow_over_s` to send the body of its request, or to read the answer.
    """

    connections: int
    visitors: int
    slow_over_s: float

    @property
    def text(self) -> str:
        """`16 slow clients beside 4 visitors`."""
        clients, visitors = (
            f"{count:,} {what}{'' if count == 1 else 's'}"
            for count, what in ((self.connections, "slow client"), (self.visitors, "visitor"))
        )
        return f"{clients} beside {visitors}"


@dataclass(frozen=True)
class Streams:
    """`connections` streams at once, read part by part; the clients of `leaving` of them leave half way."""

    connections: int
    leaving: int

    @property
    def text(self) -> str:
        """`50 streams (10 left half way)`."""
        streams = f"{self.connections:,} stream{'' if self.connections == 1 else 's'}"
        return f"{streams} ({self.leaving:,} left half way)"


WindowLoad = Closed | Paced | Open
"""Measured in a window, by the second."""
ConnectionLoad = Held | Leaving | Waves | Slow | Streams
"""Measured in phases, by the connection."""
Load = WindowLoad | ConnectionLoad


def load_of(
    users: int | None = None,
    rate_per_s: float | None = None,
    capacity_share: float | None = None,
    connections: int | None = None,
    max_connections: int | None = None,
    visitors: int | None = None,
    slow_over_s: float | None = None,
    leaving: int | None = None,
) -> Load:
    """The load that these stored fields describe. Clients that leave come back as connections that are held."""
    if connections is not None and leaving is not None:
        return Streams(connections, leaving)
    if connections is not None and visitors is not None:
        return Slow(connections, visitors, slow_over_s or 0.0)
    if connections is not None:
        return Held(connections) if max_connections is None else Waves(connections, max_connections)
    if users is None:
        return Open(rate_per_s, capacity_share)
    return Closed(users) if rate_per_s is None else Paced(users, rate_per_s)


def stored_fields(load: Load) -> dict[str, Any]:
    """The fields of the load that a run keeps, by name."""
    return {name: getattr(load, name) for name in STORED if hasattr(load, name)}
