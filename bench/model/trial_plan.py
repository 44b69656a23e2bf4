"""What one trial is to be, decided before it starts."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from bench.model.load import Closed, Load, Paced, stored_fields
from bench.model.servers import HOST, LOOPBACK
from bench.model.stacks import Stack
from bench.model.trial_record import Trial
from bench.model.workloads import Request

MASTER_PORT = 5557  # Locust's own, where workers on other machines look for their master


Program = Literal["locust", "wrk"]
PROGRAMS: tuple[Program, ...] = ("locust", "wrk")
"""Load generators of a closed loop. wrk is written in C and makes several times the rate, on this machine alone."""


@dataclass(frozen=True)
class Engine:
    """Who makes the load: processes here, and workers expected from other machines, who find us at `bind` and `port`.

    Alone it is one process; otherwise a Locust master, who makes no load, and its workers. `program`: that of a closed
    loop; the open loop and connections have drivers of their own.
    """

    processes: int = 1
    expect_workers: int = 0
    bind: str = HOST
    port: int = MASTER_PORT
    program: Program = "locust"

    @property
    def recordings(self) -> int:
        """How many processes hand in a recording."""
        return self.processes + self.expect_workers

    @property
    def is_distributed(self) -> bool:
        """Return whether more than one process makes load."""
        return self.expect_workers > 0 or self.processes > 1


class Freeze(NamedTuple):
    """A pause of the server that the experiment asks for, in seconds from the window's start."""

    at_s: float
    for_s: float


class Outage(NamedTuple):
    """The database away for a while, as the experiment asks, in seconds from the window's start."""

    at_s: float
    for_s: float


FIRST_REQUEST_S = 0.005  # of a user: its connection, its thread, its place in the queue
MAX_ROUND_S = 5.0  # beyond it a trial is left to be called unsteady


@dataclass(frozen=True)
class TrialPlan:
    """What one trial is to be, decided before it starts.

    `outage`: when the database goes away, and for how long. `target` is the address of a server that is there already;
    without it each trial starts its own. `count_hops`: trace one request of it before the server starts.
    `server_cores`: how many the server gets; None is one for each process. `restarts`: how often the trial is made.
    """

    stack: Stack
    request: Request
    load: Load
    repeat: int
    middleware: tuple[str, ...]
    warmup_s: float
    duration_s: float
    schedule: str = "poisson"
    seed: int = 0
    freeze: Freeze | None = None
    engine: Engine = field(default_factory=Engine)
    target: str | None = None
    count_hops: bool = False
    outage: Outage | None = None
    server_cores: int | None = None
    restarts: int = 1

    @property
    def users(self) -> int:
        """N of a closed loop, 0 for any other load."""
        return self.load.users if isinstance(self.load, Closed | Paced) else 0

    @property
    def full_warmup_s(self) -> float:
        """The warm-up, with time for every user's first request, and one round where users queue for slots, N L / W.

        Until everybody has been served once, connections and threads are being made and the queue still grows.
        """
        slots, users = self.request.slots(self.stack), self.users
        round_s = users * self.request.io_wait_s(self.stack) / slots if slots and slots < users else 0.0
        return self.warmup_s + users * FIRST_REQUEST_S + min(round_s, MAX_ROUND_S)

    @property
    def arrive_within_s(self) -> float:
        """Users arrive at random in the first half of the warm-up: in step they would come in waves for ever."""
        return self.warmup_s / 2

    @property
    def drives_others(self) -> bool:
        """True where the load goes to an address that is not loopback."""
        host = urlsplit(self.target).hostname if self.target else self.engine.bind
        return host not in LOOPBACK


def planned_trial(plan: TrialPlan) -> Trial:
    """The trial as planned, not run."""
    return Trial(
        stack=plan.stack.name,
        workload=plan.request.workload.name,
        parameters=dict(plan.request.parameters),
        middleware=list(plan.middleware),
        repeat=plan.repeat,
        io_wait_s=plan.request.io_wait_s(plan.stack),
        overlaps=plan.request.overlaps_in(plan.stack),
        slots=plan.request.slots(plan.stack),
        server_cores=plan.server_cores,
        **({"users": None} | stored_fields(plan.load)),
    )
