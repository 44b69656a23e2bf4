"""What `lab try` finds out about a project, as data. What stands under `paths`, `blocking`, ... in its JSON is this."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.analyse.stats import Interval
from bench.learn.your_project.comparing import Document, Place
from bench.trace.inside.model import Trace
from bench.trace.interpreter import Interpreter

Value = Literal["switch", "stay", "cannot tell"]
Door = Literal["wsgi", "asgi"]


@dataclass(frozen=True)
class Project:
    """A Django project and the Python that runs it.

    `root`: the folder that its modules are imported from. `settings`: their module. `wsgi`, `asgi`: its applications as
    `module:attribute`; empty where Django's own has to do.
    """

    root: Path
    settings: str
    wsgi: str
    asgi: str
    interpreter: Interpreter


@dataclass(frozen=True)
class Page:
    """A request that the answer is about. `weight`: its share of all requests, from 0 to 1."""

    path: str
    weight: float = 1.0
    method: str = "GET"

    @property
    def name(self) -> str:
        """Return the path, after its method if that is not GET."""
        return self.path if self.method == "GET" else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Notice:
    """Something about the project that bears on the answer, seen without load. `kind` is one of KINDS."""

    kind: str
    says: str
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Return `file.py:LINE`; empty where there is none."""
        return f"{self.file}:{self.line}" if self.file else ""


@dataclass(frozen=True)
class Change:
    """A setting that is another one while the project is tried, and why."""

    name: str
    to: str
    why: str


@dataclass(frozen=True)
class Refusal:
    """A connection off this machine that was refused. `place`: the project's line; `page`: what was asked then."""

    place: str
    address: str
    times: int = 1
    page: str = ""


@dataclass(frozen=True)
class Write:
    """A statement that changed the database while a page was asked for."""

    page: str
    statement: str
    place: str
    times: int = 1


@dataclass(frozen=True)
class View:
    """What answers a page. `is_async`: whether Django calls it on the event loop."""

    name: str
    file: str
    line: int
    is_async: bool


@dataclass(frozen=True)
class Expected:
    """What a page answered, for what is measured later: an answer, the places that differ, and bytes of all bodies."""

    document: Document
    masks: set[Place]
    lengths: list[int]


@dataclass(frozen=True)
class Checked:
    """A page asked behind both doors.

    `refused`: why it cannot be measured; empty where it can. `masked`: what differs between two answers of the same
    door, as `this … that`. `difference`: lines of a diff, WSGI against ASGI, of what then still differs. `expected`
    is not in the JSON.
    """

    page: Page
    status: int | None
    view: View | None = None
    refused: str = ""
    masked: list[str] = field(default_factory=list)
    difference: list[str] = field(default_factory=list)
    took_ms: dict[str, float] = field(default_factory=dict)
    expected: Expected | None = field(default=None, repr=False)

    @property
    def is_measurable(self) -> bool:
        """Return whether it is answered as it should be, and the same behind both doors."""
        return not self.refused and not self.difference


@dataclass(frozen=True)
class Traced:
    """Where a page runs behind a door; `problem` where it could not be traced."""

    page: Page
    door: Door
    trace: Trace | None = None
    problem: str = ""


@dataclass(frozen=True)
class Blocked:
    """A call that keeps the event loop from turning. `place`: `file.py:LINE` of the project; `mends`: ways out of it.

    `is_loading`: it is an import, or happens in first requests only.
    """

    page: Page
    place: str
    call: str
    ms: float
    times: int
    mends: list[str] = field(default_factory=list)
    is_loading: bool = False


@dataclass(frozen=True)
class Present:
    """How the project is served today. `place`: where that stands; empty where it is not to be read and is supposed.

    `server`: a name of SERVERS. `threads`: of each process; None where it takes no number.
    """

    server: str
    threads: int | None
    processes: int
    place: str = ""

    @property
    def door(self) -> Door:
        """Return the door that it is served by."""
        return "wsgi" if self.server in ("sync", "gthread") else "asgi"


@dataclass(frozen=True)
class Terms:
    """What the answer is for. `users`: in flight at once; `because`: where that number is from.

    `is_swept`: nobody named a number, so several were measured, and this is the largest. `threads`: the largest pool
    that would be configured. `memory_bytes`: for all processes; None where nobody said. `today`: how it is served.
    `cores`: that the server had.
    """

    users: int
    because: str
    is_swept: bool
    threads: int
    memory_bytes: int | None
    today: Present
    cores: int = 1


Role = Literal["today", "threads", "processes", "asgi", "what if"]
"""Why an arm is measured: as today, with more threads or processes, behind ASGI, with one of the lab's handlers."""


@dataclass(frozen=True)
class Arm:
    """One way to serve the project, under load: medians over restarts of the server.

    `per_s`: the requests per second of each restart, `throughput_per_s` their interval, None for fewer than three.
    Memory in bytes; `connections`: the most to its database; `cpu_us`: of a request. `cpu_share`: of the server's
    cores, `load_share`: of the load generator's. `slots`: requests that are let in at once, None for no bound.
    `other_cores`: kept busy by other programs meanwhile. `at_least`: percentiles that are lower bounds in some restart.
    """

    role: Role
    name: str
    stack: str
    users: int
    per_s: list[float]
    throughput_per_s: Interval | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    at_least: list[str] = field(default_factory=list)
    threads: int | None = None
    rss_bytes: int | None = None
    connections: int | None = None
    cpu_us: float | None = None
    cpu_share: float | None = None
    load_share: float | None = None
    slots: int | None = None
    other_cores: float | None = None
    verdict: str = "ok"
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mend:
    """Something to mend, and what that is worth in words. `gain`: times the requests per second, 1 for none known."""

    what: str
    place: str
    worth: str
    gain: float = 1.0


@dataclass(frozen=True)
class Answer:
    """The answer, and `because`, one sentence.

    `ratio`: requests per second behind ASGI, as it is, over those of today's server; `against_best`: over those of the
    best WSGI server within the terms. `limiter`: what limits today's. `instead`: what else would help. `turns`: from
    how many at once on ASGI is better, where several were measured. `sure`: how far intervals are to be trusted.
    """

    value: Value
    because: str
    ratio: Interval | None = None
    against_best: Interval | None = None
    limiter: str = ""
    instead: list[str] = field(default_factory=list)
    turns: str = ""
    mends: list[Mend] = field(default_factory=list)
    sure: str = ""


@dataclass(frozen=True)
class Examination:
    """All that was found out about a project, in the order in which it is.

    `problem`: what kept it from being measured under load; empty where nothing did.
    """

    project: Project
    pages: list[Page]
    versions: dict[str, str] = field(default_factory=dict)
    databases: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    inventory: list[Notice] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    traces: list[Traced] = field(default_factory=list)
    blocking: list[Blocked] = field(default_factory=list)
    terms: Terms | None = None
    arms: list[Arm] = field(default_factory=list)
    problem: str = ""
    not_looked_at: list[str] = field(default_factory=list)
    answer: Answer | None = None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a project was examined; `found` is what had been found out until then."""

    def __init__(self, found: Examination) -> None:
        self.found = found
        super().__init__("interrupted")
