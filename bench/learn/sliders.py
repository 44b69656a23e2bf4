"""Sliders over a decision where a notebook has a front end to move them in; elsewhere it is shown once, standing still.

Widgets have ids that differ from run to run, so none of them may be in a notebook that is made the same every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench.analyse.stack_choice import MOST_USERS, Case

FRONT_END, ASKED_FOR = "JPY_SESSION_NAME", "LAB_SLIDERS"
"""Set by Jupyter's server in the kernel of a notebook that somebody has opened; set by readers of another front end."""
MEGABYTES = (64, 96, 128, 192, 256, 512, 1024, 2048, 4096)


def has_front_end() -> bool:
    """True where somebody can move a slider."""
    return bool(os.environ.get(FRONT_END) or os.environ.get(ASKED_FOR))


def explore(show: Callable[[Case], None], start: Case) -> None:
    """Show the case, again for every move of a slider; once where there is nobody to move one."""
    if not has_front_end():
        show(start)
        return
    import ipywidgets  # type: ignore[import-untyped]
    from IPython.display import display

    controls = _controls(ipywidgets, start)
    output = ipywidgets.interactive_output(lambda **values: show(case_of(**values)), controls)
    left, right = list(controls.values())[:3], list(controls.values())[3:]
    display(ipywidgets.VBox([ipywidgets.HBox([ipywidgets.VBox(left), ipywidgets.VBox(right)]), output]))


def case_of(*, wait_ms: float, own_ms: float, users: float, with_seven: bool, threads: float, megabytes: int) -> Case:
    """The case that the sliders stand at."""
    return Case(wait_ms / 1000, own_ms / 1000, round(users), with_seven, round(threads), 1e6 * megabytes)


def _controls(widgets: Any, start: Case) -> dict[str, Any]:
    """One slider for each number of a case; drawing takes a moment, so they tell where they are let go."""
    how: dict[str, Any] = {
        "style": {"description_width": "13em"},
        "layout": widgets.Layout(width="33em"),
        "continuous_update": False,
    }
    boxed = {"style": how["style"], "layout": how["layout"]}
    tall = how | {"base": 10, "step": 0.05, "readout_format": ".0f"}
    megabytes = min(MEGABYTES, key=lambda size: abs(1e6 * size - start.memory_bytes))
    return {
        "wait_ms": widgets.FloatLogSlider(
            value=start.wait_s * 1000, min=0, max=5, description="a request waits, ms", **tall
        ),
        "own_ms": widgets.FloatSlider(
            value=start.own_cpu_s * 1000, min=0, max=50, step=0.5, description="it computes, ms", **how
        ),
        "users": widgets.FloatLogSlider(
            value=start.users, min=0, max=len(str(MOST_USERS)) - 1, description="in flight at once", **tall
        ),
        "with_seven": widgets.Checkbox(value=start.with_seven, description="under the seven middlewares", **boxed),
        "threads": widgets.FloatLogSlider(
            value=start.threads, min=0, max=3, description="largest pool of threads", **tall
        ),
        "megabytes": widgets.SelectionSlider(options=MEGABYTES, value=megabytes, description="memory, MB", **how),
    }
