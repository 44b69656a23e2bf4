"""What `lab try` finds out about a project, as data. What stands under `paths`, `blocking`, ... in its JSON is this."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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
class Checked:
    """A page asked behind both doors.

    `refused`: why it cannot be measured; empty where it can. `masked`: what differs between two answers of the same
    door, as `this … that`. `difference`: lines of a diff, WSGI against ASGI, of what then still differs.
    """

    page: Page
    status: int | None
    view: View | None = None
    refused: str = ""
    masked: list[str] = field(default_factory=list)
    difference: list[str] = field(default_factory=list)
    took_ms: dict[str, float] = field(default_factory=dict)

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
class Interval:
    """A value with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Arm:
    """One way to serve the project, under load. Memory in bytes; `connections` of the database; `cpu_us` a request."""

    name: str
    stack: str
    users: int
    throughput_per_s: Interval | None
    p50_ms: float | None
    p99_ms: float | None
    threads: int | None
    rss_bytes: int | None
    connections: int | None
    cpu_us: float | None
    verdict: str
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mend:
    """Something to mend, and what that is worth."""

    what: str
    place: str
    worth: str


@dataclass(frozen=True)
class Answer:
    """The answer. `ratio`: best ASGI throughput over that of the present server; `instead`: what else would help."""

    value: Value
    because: str
    ratio: Interval | None = None
    limiter: str = ""
    instead: str = ""
    mends: list[Mend] = field(default_factory=list)


@dataclass(frozen=True)
class Examination:
    """All that was found out about a project, in the order in which it is."""

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
    arms: list[Arm] = field(default_factory=list)
    not_looked_at: list[str] = field(default_factory=list)
    answer: Answer | None = None
