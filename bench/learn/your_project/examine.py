"""The order in which `lab try` looks at a project: what it is, whether both doors answer the same, then how it runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from bench.learn.your_project.model import Change, Examination, Notice, Page, Project
from bench.learn.your_project.overlay import Overlay, laying_over

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What the user asked for, apart from the project and its pages."""

    allows_network: bool = False
    without: tuple[str, ...] = ()


def examine(project: Project, pages: list[Page], wishes: Wishes, say: Say = lambda line: None) -> Examination:
    """Find out all that can be found out. `say` is told what begins. Raises LabError where the project cannot run."""
    with laying_over(project, allows_network=wishes.allows_network, without=list(wishes.without)) as overlay:
        facts = overlay.run("describing", "settings")["settings"]
        say(f"Django {facts['django']}, Python {facts['python']}, settings {facts['module'] or 'of the application'}")
        versions = {"django": facts["django"], "python": facts["python"]}
        return take_inventory(Examination(project, pages, versions), overlay)


def take_inventory(so_far: Examination, overlay: Overlay) -> Examination:
    """Add what the project has, once it is loaded."""
    found: dict[str, Any] = overlay.run("describing", "inventory")
    notices = [Notice(**notice) for notice in found["notices"]]
    return replace(so_far, inventory=notices, changes=[Change(**change) for change in found["changes"]])
