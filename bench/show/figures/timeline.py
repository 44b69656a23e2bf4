"""Draws a trial's window over time: answers, CPU, threads and the accept queue, with its events shaded and named.

It is the figure for a freeze, a gap, a restart; also for an `invalid` trial, which has events but no numbers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.analyse.rows import rows_of
from bench.model.run_record import Run
from bench.model.trial_record import ASKED_FOR, Event, Trial
from bench.show.figures.layout import Picture, new_page, text_width_in
from bench.show.figures.stack_style import FAILED, GREY, INK, look_of, styled

MOST = 6
NAMES = {
    "server-restarted": "a server process ended or started",
    "restarted-early": "a server process ended in the warm-up",
    "server-gap": "no answer",
    "server-busy": "busy, no answer",
    "client-gap": "load generator held up",
    "lab-gap": "lab held up",
    "clock-stepped": "wall clock stepped",
    "frozen": "server frozen",
    "database-away": "database away",
    "recovered": "right answers again",
    "not-recovered": "no right answer any more",
}
"""What each event is called, the worst first."""
COLOURS = {"server-gap": FAILED, "server-busy": FAILED, "server-restarted": FAILED, "client-gap": "#7a5c00"}
PLANNED = "frozen"
ASKED = (*ASKED_FOR, "recovered")
PANELS, RATIOS = 3, (2.0, 0.8, 0.8)
LANE_IN, LANES = 0.17, 4
KEY = (
    "Answers: right ones a second. CPU: cores of the server's processes. Shaded: how long an "
    "event lasted; a line: a moment."
)
NO_NUMBER = "An invalid trial gives no numbers: this shows only what happened."


@styled
def timeline(trials: Sequence[Trial], title: str | None = None) -> Picture:
    """Draw answers per second, CPU, threads and the accept queue of each trial, below each other on one time axis."""
    invalid = [NO_NUMBER] if any(trial.verdict == "invalid" for trial in trials) else []
    figure, axes = new_page(
        title or _timeline_title(trials),
        " · ".join([trials[0].stack, trials[0].request, "seconds into the measured window"]),
        rows=PANELS * len(trials),
        ratios=RATIOS * len(trials),
        panel_in=0.95,
        row_gap_in=0.3,
        left_in=0.8,
        notes=[KEY, *invalid],
        heading_in=0.25,
    )
    last_s = max(max([trial.duration_s, *(event.at_s + event.for_s for event in trial.events)]) for trial in trials)
    for place, trial in enumerate(trials):
        _draw_trial(figure, axes[PANELS * place : PANELS * (place + 1)], trial, last_s)
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("seconds since the window began")
    return figure


def _timeline_title(trials: Sequence[Trial]) -> str:
    """Name the trial's events; of two loops through a freeze, how many requests each went on to send."""
    frozen = [f"{event.for_s:.1f} s" for trial in trials for event in trial.events if event.code == PLANNED]
    if len(trials) > 1 and frozen:
        sent = ", ".join(f"{_sender_text(trial)} {trial.issued:,}" for trial in trials)
        length = f"{trials[0].duration_s:g} s"
        still = " and ".join(dict.fromkeys(frozen))
        return f"Requests in one window of {length} while the server stands still for {still}: {sent}"
    trial = trials[0]
    if _is_outage(trial):
        texts = [_event_text(event) for event in trial.events if event.code in ASKED]
        return f"{trial.stack} at {trial.load_text}: {'; '.join(texts)}"
    codes = [*NAMES, *(event.code for event in trial.events)]
    first, *others = sorted(trial.events, key=lambda event: (codes.index(event.code), event.at_s))
    more = f", and {len(others)} more event{'' if len(others) == 1 else 's'}" if others else ""
    return f"{trial.stack} at {trial.load_text}, {trial.verdict}: {_event_text(first)} at {first.at_s:.1f} s{more}"


def _sender_text(trial: Trial) -> str:
    return f"a schedule of {trial.rate_per_s:,.4g}/s sends" if trial.is_open else f"{trial.load_text} send"


def _event_text(event: Event) -> str:
    """Name an event and how long it lasted: `server frozen, 3.0 s`."""
    return NAMES.get(event.code, event.code) + (f", {event.for_s:.1f} s" if event.for_s else "")


def _draw_trial(figure: Picture, axes: Sequence[Axes], trial: Trial, last_s: float) -> None:
    answers, cpu, counts = axes
    for ax in axes:
        ax.set_xlim(-0.01 * last_s, last_s * 1.01)
        for event in trial.events:
            _mark(ax, event)
    loop = "open loop" if trial.is_open else "closed loop"
    heading = f"{loop}, {trial.load_text}, restart {trial.repeat + 1}: {trial.verdict}"
    answers.set_title(heading, color=look_of(trial.stack).text_colour, size=9.5, parse_math=False)
    _answers(answers, trial)
    _label_events(figure, answers, trial.events, last_s)
    cpu.plot(trial.samples.at_s, trial.samples.cpu_share, color=look_of(trial.stack).colour, linewidth=1.3, label="cpu")
    cpu.set_ylim(0, 1.15 * max(trial.samples.cpu_share, default=1.0) or 1.0)
    _tidy(cpu, "CPU, cores")
    _counts(counts, trial)


def _answers(ax: Axes, trial: Trial) -> None:
    """Draw answers per second as steps; the last one may be shorter, up to the window's end."""
    edges = [place * trial.answered_every_s for place in range(len(trial.answered))]
    edges = [*edges, max(trial.duration_s, edges[-1] + 1e-3)] if edges else [0.0, 1.0]
    rates = [count / (until - since) for count, since, until in zip(trial.answered, edges, edges[1:], strict=False)]
    colour = look_of(trial.stack).colour
    ax.stairs(rates or [0.0], edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    ax.stairs(rates or [0.0], edges, color=colour, linewidth=1.2, label="answers")
    ax.set_ylim(0, 1.1 * max(rates, default=1.0) or 1.0)
    _tidy(ax, "answers/s")


def _tidy(ax: Axes, label: str) -> None:
    ax.set_ylabel(label, labelpad=4)
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=label != "CPU, cores"))
    ax.yaxis.set_label_coords(-0.055, 0.5)


def _counts(ax: Axes, trial: Trial) -> None:
    """Draw threads, and connections that wait to be accepted, on one scale."""
    samples, colour = trial.samples, look_of(trial.stack).colour
    lines = [
        *ax.plot(samples.at_s, samples.accept_queue, "-", color=colour, linewidth=1.3, label="waiting to be accepted"),
        *ax.plot(samples.at_s, samples.threads, "--", color=colour, linewidth=1.2, label="threads"),
    ]
    ax.set_ylim(0, 1.3 * max([*samples.threads, *samples.accept_queue], default=1) or 1.0)
    _tidy(ax, "count")
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 0.98), "borderaxespad": 0.0}
    ax.legend(handles=lines, ncols=2, frameon=False, fontsize=8, **where)


def _mark(ax: Axes, event: Event) -> None:
    colour = COLOURS.get(event.code, GREY)
    if event.for_s:
        ax.axvspan(event.at_s, event.at_s + event.for_s, color=colour, alpha=0.16, linewidth=0, label=event.code)
    else:
        ax.axvline(event.at_s, color=colour, linewidth=1.2, label=event.code)


class Label(NamedTuple):
    """An event's label: its lane, and from when to when it reaches, in seconds."""

    event: Event
    lane: int
    at_s: float
    until_s: float


def _label_events(figure: Picture, ax: Axes, events: Sequence[Event], last_s: float) -> None:
    """Label events above the data, in as many lanes as they need; an event without a free lane has no label."""
    height_in = ax.get_window_extent().height / figure.dpi
    s_per_in = last_s * 1.02 / (ax.get_window_extent().width / figure.dpi)
    labels = lanes_of(events, [text_width_in(figure, _event_text(event), 8) * s_per_in for event in events], last_s)
    lanes = max((label.lane + 1 for label in labels), default=0)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high / max(0.4, 1 - lanes * LANE_IN / height_in))
    for label in labels:
        _write_label(ax, label, 1 - (label.lane + 0.5) * LANE_IN / height_in)


def _write_label(ax: Axes, label: Label, height: float) -> None:
    colour = COLOURS.get(label.event.code, INK)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    how: dict[str, Any] = {"size": 8, "color": colour, "va": "center", "parse_math": False, "bbox": box, "zorder": 5}
    words = _event_text(label.event)
    ax.annotate(
        words, (label.at_s, height), (2, 0), xycoords=ax.get_xaxis_transform(), textcoords="offset points", **how
    )


def lanes_of(events: Sequence[Event], lengths_s: Sequence[float], last_s: float) -> list[Label]:
    """Place each label at its event, moved left where the axis ends, in the first lane where it touches no other."""
    placed: list[Label] = []
    for event, length_s in sorted(zip(events, lengths_s, strict=True), key=lambda pair: pair[0].at_s):
        at_s = max(0.0, min(event.at_s, last_s - length_s))
        taken = {label.lane for label in placed if label.until_s > at_s and label.at_s < at_s + length_s}
        free = [lane for lane in range(LANES) if lane not in taken]
        if free:
            placed.append(Label(event, free[0], at_s, at_s + length_s + 0.01 * last_s))
    return placed


def eventful(run: Run) -> list[Trial]:
    """Return at most MOST trials with unplanned events: invalid ones first, then by how long the events lasted.

    A freeze that the experiment plans is shown beside the other loop (`frozen_pairs`), an outage that it plans once
    for each row (`outages`).
    """

    def order(trial: Trial) -> tuple[bool, float]:
        return (trial.verdict != "invalid", -sum(event.for_s for event in trial.events))

    trials = [trial for trial in run.trials if any(event.code not in ASKED for event in trial.events)]
    return sorted(trials, key=order)[:MOST]


def outages(run: Run) -> list[Trial]:
    """Return the first restart of each row whose database was taken away."""
    return [trial for row in rows_of(run) for trial in row.trials[:1] if _is_outage(trial)]


def _is_outage(trial: Trial) -> bool:
    return any(event.code == "database-away" for event in trial.events)


def frozen_pairs(run: Run) -> list[list[Trial]]:
    """Return, for each stack x request that was frozen, its first open and its first closed trial, if there is one."""
    groups: dict[tuple[str, str, tuple[str, ...]], dict[bool, Trial]] = {}
    for row in sorted(rows_of(run), key=lambda row: not row.is_open):
        for trial in filter(_is_frozen, row.trials):
            groups.setdefault((row.stack, row.request, row.middleware), {}).setdefault(row.is_open, trial)
    return [list(first.values()) for first in groups.values()]


def _is_frozen(trial: Trial) -> bool:
    return any(event.code == PLANNED for event in trial.events)
