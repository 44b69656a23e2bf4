"""Draws a burst: one bar for each request, from its start to its answer."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from matplotlib.axes import Axes

from bench.show.figures.layout import Picture, new_page
from bench.show.figures.stack_style import FAILED, look_of, styled
from bench.show.tables.formatting import number


class Answer(Protocol):
    """One request of a burst: seconds from the burst's start, and whether the answer was right."""

    @property
    def start_s(self) -> float:
        """Return when it was sent, in seconds from the burst's start."""

    @property
    def end_s(self) -> float:
        """Return when its answer came, in seconds from the burst's start."""

    @property
    def ok(self) -> bool:
        """Return whether the answer was right."""


@styled
def burst_timeline(bursts: Mapping[str, Sequence[Answer]], title: str | None = None) -> Picture:
    """Draw one bar for each request from its start to its answer; stacks below each other on one time axis.

    `bursts` has the answers of each stack. Without a `title` it says how many waves each stack needed.
    """
    most = max((len(answers) for answers in bursts.values()), default=1)
    figure, axes = new_page(
        title or burst_title(bursts),
        "each bar is one request, from start to answer",
        rows=max(1, len(bursts)),
        panel_in=min(3.2, 0.5 + 0.055 * most),
        left_in=0.3,
        notes=["Red: no right answer."] if any(not answer.ok for it in bursts.values() for answer in it) else [],
    )
    last_ms = max((1000 * answer.end_s for answers in bursts.values() for answer in answers), default=1.0)
    for ax, (stack, answers) in zip(axes, bursts.items(), strict=False):
        _burst_panel(ax, stack, answers, last_ms)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("ms since the burst began")
    return figure


def _burst_panel(ax: Axes, stack: str, answers: Sequence[Answer], last_ms: float) -> None:
    look = look_of(stack)
    ordered = sorted(answers, key=lambda answer: (round(answer.start_s, 3), answer.start_s, answer.end_s))
    for place, answer in enumerate(ordered):
        colour = look.colour if answer.ok else FAILED
        length_ms = 1000 * (answer.end_s - answer.start_s)
        ax.barh(place, length_ms, left=1000 * answer.start_s, height=0.72, color=colour)
    ax.set(xlim=(0, last_ms * 1.03), ylim=(len(ordered) - 0.4, -0.6), yticks=[])
    ax.grid(visible=True, axis="x")
    ax.set_title(f"{stack}   {_waves_text(answers)}", color=look.text_colour, size=9.5, parse_math=False)


def burst_title(bursts: Mapping[str, Sequence[Answer]]) -> str:
    """Say for each stack how many waves it needed, and when its last answer came."""
    texts = [f"{stack} answers {_waves_text(answers)}" for stack, answers in bursts.items() if answers]
    most = max((len(answers) for answers in bursts.values()), default=0)
    return f"{most} requests at once: {'; '.join(texts)}" if texts else "No request was sent"


def _waves_text(answers: Sequence[Answer]) -> str:
    right = [answer for answer in answers if answer.ok]
    if not right:
        return "none rightly"
    count, last_ms = waves_of(right), 1000 * max(answer.end_s for answer in right)
    return f"in {count} wave{'' if count == 1 else 's'}, the last after {number(last_ms)} ms"


def waves_of(answers: Sequence[Answer]) -> int:
    """Count the groups of answers that are apart by more than half of the quickest request."""
    ends = sorted(answer.end_s for answer in answers)
    pause_s = min(answer.end_s - answer.start_s for answer in answers) / 2
    return 1 + sum(after - before > pause_s for before, after in pairwise(ends))
