"""A trial of a user's project: a stack whose server runs in the project's environment, and a load of its pages.

Everything else is that of any trial: see `measure/trial.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import psutil

from bench.analyse.stats import median_of
from bench.base.bounded_http import ask
from bench.learn.your_project import comparing
from bench.learn.your_project.comparing import Document
from bench.learn.your_project.model import Checked, Expected
from bench.learn.your_project.overlay import PACKAGE, Overlay
from bench.measure.contract import ContractBroken
from bench.measure.cpu_placement import CpuPlan
from bench.measure.database.database import Database
from bench.measure.load.launcher import LoadSpec, RunningLoad
from bench.measure.load.mix import MOST_BYTES, Mix, MixedRequest
from bench.measure.monitor import WindowEvidence
from bench.measure.readiness import RunningServer
from bench.measure.services import Services
from bench.measure.window_trial import WindowTrial
from bench.model.servers import HOST, SERVERS, Budget, Interface
from bench.model.stacks import Lab, Stack
from bench.model.trial_record import DatabaseUse, Trial
from bench.model.workloads import Request, Workload
from bench.trace.inside import bootstrap
from bench.trace.inside.overlay.ready import READY_PATH

PAGES = Request(Workload("pages", "the project's pages, by their weights", None, lambda parameters, lab: 0.0), {})
"""What a trial of a project asks for. How long a page waits is not known, so no limit is computed from it."""
MORE_ARGUMENTS = {"uvicorn": ("--lifespan", "auto")}
"""By program: the project may have a lifespan, or none."""
FOREIGN = ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "UVICORN_", "GUNICORN_")
"""Variables that would change a server behind our back."""
WARM_UP = 2
"""How often each page is asked for before it is compared: a first answer may still load something."""
ASKED_WITHIN_S = 30.0
LONGEST_SAID = 300
SLACK_BYTES, SLACK_SHARE = 16, 0.05
"""By how much a body may be longer or shorter than those that were compared: `9 minutes ago`, `10 minutes ago`."""
MASKED_SLACK = 2.0
"""Where something differs from answer to answer: up to so many times as long, or as short."""


@dataclass(frozen=True, kw_only=True)
class ProjectStack(Stack):
    """The project behind a server: its own Python, folder and settings, with the plan of `overlay` laid over them."""

    overlay: Overlay

    @property
    def folder(self) -> Path:
        """Where the project's modules are imported from."""
        return self.overlay.project.root

    @property
    def ready_path(self) -> str:
        """Where the door answers that it is ready."""
        return READY_PATH

    @property
    def variables(self) -> dict[str, str]:
        """The user's variables, which settings may ask for, without those of servers."""
        return {name: value for name, value in self.overlay.environment.items() if not name.startswith(FOREIGN)}

    def require_installed(self, *more: str) -> None:
        """Nothing of ours is asked for: a server that is missing says so where it is started."""

    def command(self, port: int, *, host: str = HOST, reload: bool = False) -> list[str]:
        """The server's command, within the project's Python."""
        server, interface = self.server, self.lab.interface
        config = ("--config", str(self.overlay.folder / "gunicorn.py")) if server.program == "gunicorn" else ()
        return bootstrap.command(
            self.overlay.project.interpreter.program,
            *("overlay.serving", "main", server.program),
            *config,  # else gunicorn reads the project's own
            *server.arguments(self.budget, interface, ()),
            *MORE_ARGUMENTS.get(server.program, ()),
            *(word.format(host=host, port=port) for word in server.bind),
            f"{PACKAGE}.ready:{interface}",
        )


def stack_of(name: str, server: str, budget: Budget, overlay: Overlay) -> ProjectStack:
    """Make the stack, and an empty configuration for gunicorn. `name`: the project's, to be shown."""
    kind = SERVERS[server]
    interface: Interface = kind.interfaces[0]
    (overlay.folder / "gunicorn.py").touch()
    return ProjectStack(Lab(name, "", "sync", interface, "a project"), kind, budget, overlay=overlay)


@dataclass(frozen=True)
class CountedDatabase:
    """The project's database, as far as a window looks at it: its connections, and no process of ours."""

    connections: Callable[[], int]

    def family(self) -> list[psutil.Process]:
        """Return the processes whose CPU time counts: none, for others may use it too."""
        return []


@dataclass(frozen=True)
class PageTrial(WindowTrial):
    """A window in which pages are asked for by their weights, and compared with what they answered before.

    `connections` counts those to the project's database.
    """

    pages: Sequence[Checked] = ()
    headers: Sequence[tuple[str, str]] = ()
    connections: Callable[[], int] | None = None

    def watch(self, server: RunningServer | None, driver: RunningLoad, services: Services) -> WindowEvidence:
        """Watch the window, and count the connections to the project's database if they can be counted."""
        counted = cast("Database", CountedDatabase(self.connections)) if self.connections else None
        return super().watch(server, driver, replace(services, database=counted))

    def judge(self, trial: Trial, seen: WindowEvidence, where: CpuPlan) -> Trial:
        """Judge as any trial, and keep the most connections."""
        use = None if seen.open_max is None else DatabaseUse("postgresql", seen.open_max, 0)
        return super().judge(replace(trial, database=use), seen, where)

    def spec(self, url: str) -> LoadSpec:
        """What the load is to do: the mix of pages."""
        return replace(super().spec(url), mix=Mix([mixed_request(page) for page in self.pages], self.headers))

    def check(self, url: str) -> None:
        """Raise ContractBroken where a page is not answered as it was before."""
        for checked in self.pages:
            for _ in range(WARM_UP):
                differs = self.difference(url, checked)
            if differs:
                raise ContractBroken(
                    f"{checked.page.name} is answered otherwise than before: {' '.join(differs)[:300]}"
                )

    def difference(self, url: str, checked: Checked) -> list[str]:
        """Ask for a page, and return what differs from what it answered before."""
        expected = checked.expected
        assert expected
        headers: Mapping[str, str] = dict(self.headers)
        page = checked.page
        try:
            answer = ask(url, page.path, ASKED_WITHIN_S, method=page.method, headers=headers, most_bytes=MOST_BYTES)
        except OSError as error:
            return [f"no answer ({error})"]
        document = Document(answer.status, [list(header) for header in answer.headers.items()], answer.body)
        return comparing.difference(expected.document, document, expected.masks)


def mixed_request(checked: Checked) -> MixedRequest:
    """Return the page as the load asks for it."""
    least, most = body_bounds(checked.expected) if checked.expected else (0, None)
    return MixedRequest(checked.page.path, checked.page.weight, checked.page.method, least, most)


def body_bounds(expected: Expected) -> tuple[int, int]:
    """Return how short and how long the body of a right answer may be."""
    least, most = min(expected.lengths), max(expected.lengths)
    if expected.masks:
        return int(least / MASKED_SLACK), int(most * MASKED_SLACK) + SLACK_BYTES
    slack = max(SLACK_BYTES, int(SLACK_SHARE * median_of(expected.lengths)))
    return max(0, least - slack), most + slack
