"""Examinations as `lab try` could have made them, for tests of what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.learn.your_project.load import arm_interval
from bench.learn.your_project.model import Arm, Checked, Examination, Page, Present, Project, Role, Terms, Traced
from bench.trace.inside.model import Hop, Trace
from bench.trace.interpreter import OURS

HOME = Page("/", 1.0)
TODAY = Present("gthread", 8, 1, "Procfile:1")
USERS = 64
NAMES = {"today": "today", "threads": "64 threads", "processes": "3 processes", "asgi": "ASGI as it is"}


def arm(role: Role, *per_s: float, users: int = USERS, **more: Any) -> Arm:
    """An arm with these requests per second, one for each restart."""
    slots = {"today": 8, "threads": 64, "processes": 24}.get(role)
    stack = f"mysite@gthread:{slots}" if slots else "mysite@uvicorn"
    known = {"slots": slots, "cpu_us": 500.0, "cpu_share": 0.4, "rss_bytes": 90_000_000, "load_share": 0.2}
    name = NAMES.get(role, "ASGI with zero_hop")
    return Arm(role, name, stack, users, list(per_s), arm_interval(per_s), **{**known, **more})


def examined(*arms: Arm, checked: Sequence[Checked] = (), today: Present = TODAY, **more: Any) -> Examination:
    """An examination of one page, served in these ways."""
    project = Project(Path("/srv/mysite"), "mysite.settings", "", "", OURS)
    pages = list(checked) or [Checked(HOME, 200)]
    terms = Terms(USERS, "as --users says", False, 64, None, today)
    found = Examination(project, [one.page for one in pages], checked=pages, terms=terms, arms=list(arms))
    return replace(found, **more)


def traced(*causes: str, page: Page = HOME) -> Traced:
    """A trace behind ASGI with a hop for each cause."""
    hops = [
        Hop(number, "sync_to_async", "call", "file.py:1 call", 0, 1, 0.0, 1.0, 2.0, 3.0, cause=cause)
        for number, cause in enumerate(causes)
    ]
    return Traced(page, "asgi", Trace("app", "asgi", "GET", page.path, 200, 9.0, 8.0, ["event loop"], hops))
