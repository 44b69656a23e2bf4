"""The order in which `lab try` looks at a project: what it is, whether both doors answer the same, then how it runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.base.errors import LabError, SecondInterrupt
from bench.learn.your_project.answer import answer_of, not_looked_at
from bench.learn.your_project.databases import Copies, Wanted, copying
from bench.learn.your_project.equality import check_equality
from bench.learn.your_project.load import Wanted as WantedLoad
from bench.learn.your_project.load import apply_load
from bench.learn.your_project.media import MOST_FILES, link_media
from bench.learn.your_project.model import (
    Blocked,
    Change,
    Door,
    Examination,
    Interrupted,
    Notice,
    Page,
    Project,
    Traced,
)
from bench.learn.your_project.overlay import Overlay, laying_over
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.tracer import TIME_LIMIT_S, find_blocking, trace_application

Say = Callable[[str], None]
LOCALHOST = "localhost"
EMPTY = "pages with data: the tables of {} are new and empty here; --fixtures FILE fills them"


@dataclass(frozen=True)
class Wishes:
    """What the user asked for, apart from the project and its pages."""

    allows_network: bool = False
    without: tuple[str, ...] = ()
    databases: Wanted = field(default_factory=Wanted)
    login: str | None = None
    blocking_ms: float = 20.0
    headers: tuple[tuple[str, str], ...] = ()
    load: WantedLoad = field(default_factory=WantedLoad)


@dataclass(frozen=True)
class Session:
    """A project that can be run: with a plan, copies of its databases, and the headers of every request.

    `facts`: what its settings say, as `trace/inside/overlay/describing.py` writes it. `began_s`: monotonic seconds.
    """

    overlay: Overlay
    copies: Copies
    headers: Sequence[tuple[str, str]]
    facts: dict[str, Any]
    wishes: Wishes
    began_s: float

    @property
    def versions(self) -> dict[str, str]:
        """Return the versions of Python and Django."""
        return {name: self.facts[name] for name in ("python", "django")}

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """Return the headers with the cookie of the session."""
        return self.copies.cookies_in(self.headers)


def examine(project: Project, pages: list[Page], wishes: Wishes, say: Say = lambda line: None) -> Examination:
    """Find out all that can be found out. `say` is told what begins. Raises LabError where the project cannot run."""
    with opening(project, wishes, say) as session:
        so_far = Examination(
            project, pages, session.versions, session.copies.says, not_looked_at=list(unlike_theirs(session))
        )
        for step in STEPS:
            so_far = take(step, so_far, session, say)
    return replace(so_far, answer=answer_of(so_far), not_looked_at=[*so_far.not_looked_at, *not_looked_at(so_far)])


def take(step: "Step", so_far: Examination, session: Session, say: Say) -> Examination:
    """Take a step. Raises Interrupted with what had been found before it, and with what was left to do."""
    try:
        say(step.says)
        return step.take(so_far, session, say)
    except SecondInterrupt:
        raise
    except KeyboardInterrupt as interruption:
        found = interruption.found if isinstance(interruption, Interrupted) else so_far
        left = [one.says for one in STEPS[STEPS.index(step) :]]
        undone = f"interrupted, so these steps were not finished: {', '.join(left)}"
        raise Interrupted(replace(found, not_looked_at=[*found.not_looked_at, undone])) from None


def unlike_theirs(session: Session) -> Iterator[str]:
    """Yield what the project has here otherwise than where it runs: files that are not linked, tables without rows."""
    if session.facts["media_root"] and not session.overlay.plan.media:
        yield f"MEDIA_ROOT has more than {MOST_FILES:,} files: pages write there."
    empty = [alias for alias, master in session.copies.masters.items() if master.is_new]
    if empty and not session.wishes.databases.fixtures:
        yield EMPTY.format(", ".join(empty))


@contextmanager
def opening(project: Project, wishes: Wishes, say: Say = lambda line: None) -> Iterator[Session]:
    """Read the settings and copy the databases; all of it is gone afterwards. Raises LabError where that fails."""
    began_s = time.monotonic()
    planned: dict[str, Any] = {"allows_network": wishes.allows_network, "logs_in": bool(wishes.login)}
    with laying_over(project, without=list(wishes.without), **planned) as overlay:
        facts = overlay.run("describing", "settings")["settings"]
        say(f"Django {facts['django']}, Python {facts['python']}, settings {facts['module'] or 'of the application'}")
        theirs = facts["media_root"]
        overlay = overlay.planned(media=link_media(theirs, overlay.folder / "media") if theirs else "")
        say("copying its databases")
        with copying(overlay, facts["databases"], wishes.databases, wishes.login) as copies:
            headers = [("Host", host_of(facts["allowed_hosts"])), *wishes.headers]
            yield Session(overlay, copies, headers, facts, wishes, began_s)


def host_of(allowed: Sequence[str]) -> str:
    """Return a host that the project answers to: the first that ALLOWED_HOSTS names, else this machine."""
    named = [host.lstrip(".") for host in allowed if "*" not in host]
    return named[0] if named else LOCALHOST


def take_inventory(so_far: Examination, session: Session, say: Say) -> Examination:
    """Add what the project has, once it is loaded."""
    with session.copies.anew() as databases:
        found = session.overlay.planned(databases=databases).run("describing", "inventory")
    notices = [Notice(**notice) for notice in found["notices"]]
    return replace(so_far, inventory=notices, changes=[Change(**change) for change in found["changes"]])


def compare_doors(so_far: Examination, session: Session, say: Say) -> Examination:
    """Add whether both doors answer the same, and what pages write and connect to."""
    found = check_equality(session.overlay, session.copies, so_far.pages, session.headers)
    refused = {refusal.page for refusal in found.refusals}
    told = [
        f"{one.page.name} answers well without the connections that were refused: so it is measured."
        for one in found.checked
        if one.is_measurable and one.page.name in refused
    ]
    seen = replace(so_far, checked=found.checked, writes=found.writes, refusals=found.refusals)
    return replace(seen, not_looked_at=[*so_far.not_looked_at, *told])


def trace_pages(so_far: Examination, session: Session, say: Say) -> Examination:
    """Add a trace of each page that can be measured, behind both doors."""
    doors: tuple[Door, ...] = ("wsgi", "asgi")
    measurable = [one.page for one in so_far.checked if one.is_measurable]
    return replace(so_far, traces=[trace_page(session, page, door) for page in measurable for door in doors])


def trace_page(session: Session, page: Page, door: Door) -> Traced:
    """Trace a page behind a door, with databases anew."""
    with asking(session, page, door) as (spec, where):
        try:
            return Traced(page, door, trace_application(spec, **where))
        except LabError as error:
            return Traced(page, door, problem=str(error))


@contextmanager
def asking(session: Session, page: Page, door: Door, **more: Any) -> Iterator[tuple[RequestSpec, dict[str, Any]]]:
    """Yield a request of a page, and where it is sent, with databases anew; `more` are fields of RequestSpec."""
    with session.copies.anew() as databases:
        overlay = session.overlay.planned(databases=databases)
        yield (
            RequestSpec(overlay.application(door), page.path, page.method, session.all_headers, **more),
            {
                "environment": overlay.environment,
                "folder": overlay.project.root,
                "within_s": TIME_LIMIT_S,
                "interpreter": overlay.project.interpreter,
            },
        )


def look_for_blocking(so_far: Examination, session: Session, say: Say) -> Examination:
    """Add what keeps the event loop from turning in each page that can be measured, the longest first."""
    blocked: list[Blocked] = []
    for page in (one.page for one in so_far.checked if one.is_measurable):
        with asking(session, page, "asgi", blocking_ms=session.wishes.blocking_ms) as (spec, where):
            try:
                blocked += [_blocked(page, finding) for finding in find_blocking(spec, **where)["blocking"]]
            except LabError as error:
                so_far = replace(so_far, not_looked_at=[*so_far.not_looked_at, f"What blocks in {page.name}: {error}"])
    return replace(so_far, blocking=sorted(blocked, key=lambda one: -one.ms))


def _blocked(page: Page, finding: dict[str, Any]) -> Blocked:
    return Blocked(
        page,
        finding["where"],
        finding["call"],
        finding["ms"],
        finding["times"],
        [way["do"] for way in finding["mend"]],
        finding["first_time"] or finding["import"],
    )


def measure_load(so_far: Examination, session: Session, say: Say) -> Examination:
    """Add how the project serves its pages in several ways, under load."""
    how = (session.all_headers, session.wishes.load, say, session.began_s)
    return apply_load(so_far, session.overlay, session.copies, *how)


@dataclass(frozen=True)
class Step:
    """A part of the examination. `says`: what it does; `take` adds what it finds."""

    says: str
    take: Callable[[Examination, Session, Say], Examination]


STEPS = (
    Step("loading it behind both doors", take_inventory),
    Step("asking each page behind both doors", compare_doors),
    Step("tracing each page", trace_pages),
    Step("looking for what blocks the event loop", look_for_blocking),
    Step("measuring it under load", measure_load),
)
