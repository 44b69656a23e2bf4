"""Sliders for a decision, if the notebook has a front end that can move them; otherwise the decision is shown once.

Widgets have ids that differ from run to run, so none may be in a notebook that is built to be always the same.
"""

import os
from collections.abc import Callable
from typing import Any

from bench.analyse.stack_choice import MOST_USERS, Case

FRONT_END, ASKED_FOR = "JPY_SESSION_NAME", "LAB_SLIDERS"
"""Jupyter's server sets the first in the kernel of an open notebook; readers with another front end set the second."""
MEGABYTES = (64, 96, 128, 192, 256, 512, 1024, 2048, 4096)


def has_front_end() -> bool:
    """True if a reader can move a slider."""
    return bool(os.environ.get(FRONT_END) or os.environ.get(ASKED_FOR))


def explore(show: Callable[[Case], None], start: Case) -> None:
    """Show the case, and again whenever a slider moves; only once without a front end."""
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
    """The case that the sliders show."""
    return Case(wait_ms / 1000, own_ms / 1000, round(users), with_seven, round(threads), 1e6 * megabytes)


def _controls(widgets: Any, start: Case) -> dict[str, Any]:
    """One slider for each number of a case. Drawing takes a moment, so a slider reports only when it is released."""
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
