"""Draws what `lab try` measured of a project: each server's requests per second, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analyse.stats import describe_ratio, median_interval, median_of, ratio_interval
from bench.show.figures.bars import BAR_IN
from bench.show.figures.layout import Picture, new_page
from bench.show.figures.stack_style import INK, look_of, styled
from bench.show.tables.formatting import number

DOORS = {"asgi": "async_asgi@uvicorn"}
"""Whose colour a bar has, by the role of a server; all others are threads behind WSGI."""


@styled
def servers_side_by_side(projects: Mapping[str, Sequence[Mapping[str, Any]]]) -> Picture:
    """Draw one panel for each project, one bar for each of its servers.

    Of a server, `per_s` holds the requests per second of each restart; `role` and `name` are texts.
    """
    most = max(map(len, projects.values()))
    figure, axes = new_page(
        "; ".join(f"{name}: {_finding(arms)}" for name, arms in projects.items()),
        "requests per second of each server, as `lab try` measured them",
        panels=len(projects),
        notes=["Bars: medians over restarts. Dots: single restarts. Black: interval."],
        panel_in=BAR_IN * most + 0.2,
        left_in=1.2,
        gap_in=1.3,
        heading_in=0.32,
        axis_in=0.1,
    )
    for ax, (name, arms) in zip(axes, projects.items(), strict=True):
        _panel(ax, name, arms)
    return figure


def _finding(arms: Sequence[Mapping[str, Any]]) -> str:
    by_role = {arm["role"]: arm for arm in arms}
    ratio = ratio_interval(by_role["asgi"]["per_s"], by_role["today"]["per_s"])
    return f"ASGI answers {describe_ratio(ratio)} what today's server does"


def _panel(ax: Any, name: str, arms: Sequence[Mapping[str, Any]]) -> None:
    reach = max(value for arm in arms for value in arm["per_s"])
    ax.set(xlim=(0, reach * 1.3), ylim=(len(arms) - 0.4, -0.6), xticks=[])
    ax.set_title(name, color="#555555", size=9, parse_math=False)
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    ax.set_yticks(range(len(arms)), [arm["name"] for arm in arms])
    ax.tick_params(axis="y", length=0)
    for place, arm in enumerate(arms):
        value, colour = median_of(arm["per_s"]), look_of(DOORS.get(arm["role"], "sync_wsgi@gthread:64")).colour
        ax.barh(place, value, height=0.62, color=colour)
        ax.plot(arm["per_s"], [place + 0.2] * len(arm["per_s"]), ".", color=INK, alpha=0.35, markersize=3.5)
        if bounds := median_interval(arm["per_s"]):
            ax.plot([bounds.low, bounds.high], [place] * 2, color=INK, linewidth=1.1, solid_capstyle="butt")
        ax.annotate(number(value), (max(arm["per_s"]), place), (6, 0), textcoords="offset points", size=9, va="center")
