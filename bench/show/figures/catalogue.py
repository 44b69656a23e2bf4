"""The figures of a run, one function each, titled with what their data say; `figures_for` picks what fits.

How a stack looks is in `stack_style.py`, what all figures share (the page, scales, lines of rows) in `layout.py`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from bench.analyse.rows import rows_of
from bench.model.load import Closed
from bench.model.run_record import Run
from bench.model.trial_record import Trial
from bench.show.figures import connections, database, middleware_ladder, open_loop, timeline
from bench.show.figures.latency_curve import CLOSED_KEY, OPEN_KEY, distributions
from bench.show.figures.layout import Picture
from bench.show.figures.resources import cpu_per_request, threads_and_memory
from bench.show.figures.series import THREADS, levels_of, rows_for, rows_with
from bench.show.figures.stack_style import styled
from bench.show.figures.throughput import throughput_vs_users, waits_s


@styled
def latency_distributions(run: Run, request: str, users: int) -> Picture:
    """Latency in ms at each percentile for every stack in the closed loop of so many users; the tail is stretched."""
    rows = [row for row in rows_for(run, request) if row.users == users]
    return distributions(rows, CLOSED_KEY)


class Drawn(NamedTuple):
    """A figure with a name for files and anchors, and a line on how to read it."""

    slug: str
    figure: Picture
    caption: str


def figures_for(run: Run) -> list[Drawn]:
    """Every figure for which the run has numbers, request by request, then the windows that something befell."""
    requests = dict.fromkeys(row.request for row in rows_of(run) if row.measured)
    return [
        *_side_by_side(run),
        *(drawn for request in requests for drawn in _figures_for(run, request)),
        *(_timeline(place, trials) for place, trials in enumerate(timeline.frozen_pairs(run), start=1)),
        *(_timeline(f"outage-{place}", [trial]) for place, trial in enumerate(timeline.outages(run), start=1)),
        *(_timeline(f"event-{place}", [trial]) for place, trial in enumerate(timeline.eventful(run), start=1)),
    ]


def _side_by_side(run: Run) -> list[Drawn]:
    """Figures that show several requests at once."""
    figures = []
    if database.sided_rows(run):
        caption = "Every request on every stack: how long it takes, and what it takes up."
        figures.append(Drawn("side-by-side", database.sided(run), caption))
    if database.torn_rows(run):
        caption = "Payments while clients leave: coins that are gone, and who got an error."
        figures.append(Drawn("torn", database.torn(run), caption))
    if database.away_rows(run):
        caption = "The database taken away for a while: who refuses what, and when all is well again."
        figures.append(Drawn("away", database.away(run), caption))
    return figures


def _timeline(name: object, trials: Sequence[Trial]) -> Drawn:
    trial = trials[0]
    caption = f"{trial.request}: what befell the window of {trial.stack}, {trial.load_text}, marked on the timeline."
    return Drawn(f"timeline-{name}", timeline.timeline(trials), caption)


def _figures_for(run: Run, request: str) -> list[Drawn]:
    rows = rows_for(run, request)
    closed = _closed_figures(run, request) if any(row.measured for row in rows) else []
    return [*_open_figures(run, request), *closed, *_connection_figures(run, request)]


def _slug(request: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", request.lower()).strip("-")


def _open_figures(run: Run, request: str) -> list[Drawn]:
    """Latency against load where there are several loads, both loops where they can be set side by side."""
    rows, slug = open_loop.open_rows_for(run, request), _slug(request)
    measured = [row for row in rows if row.values("latency_us.p99")]
    pairs = open_loop.telling_pairs(run, request)
    figures = []
    if len(open_loop.loads_of(measured)) > 1:
        caption = f"{request}: open loop, latency against the load asked for."
        figures.append(Drawn(f"load-{slug}", open_loop.latency_against_load(run, request), caption))
    elif measured and not pairs:
        caption = f"{request}: open loop, latency at {measured[0].load_text}."
        figures.append(Drawn(f"open-{slug}", distributions(rows, OPEN_KEY), caption))
    for place, pair in enumerate(pairs, start=1):
        caption = f"{request}: {pair.open.stack}, both loops asked for {pair.open.load_text}."
        figures.append(
            Drawn(f"loops-{place}-{slug}", open_loop.both_distributions(run, request, pair.open.stack), caption)
        )
    return figures


def _connection_figures(run: Run, request: str) -> list[Drawn]:
    slug, figures = _slug(request), []
    if rows_with(run, request, connections.SERVED):
        caption = f"{request}: what is served, and what holding costs, against open connections."
        figures.append(Drawn(f"held-{slug}", connections.held(run, request), caption))
    for allowed in dict.fromkeys(map(database.allowed_of, rows_with(run, request, database.LEFT_OPEN))):
        caption = f"{request}: connections open while requests come and go, {allowed} allowed."
        figures.append(Drawn(f"waves-{allowed}-{slug}", database.waves(run, request, allowed), caption))
    if rows_with(run, request, connections.IN_VAIN) and not database.torn_rows(run):
        caption = f"{request}: what is done for clients that have left, and how long the next one waits."
        figures.append(Drawn(f"gone-{slug}", connections.gone(run, request), caption))
    return figures


def _ladder_figures(run: Run, request: str) -> list[Drawn]:
    caption = f"{request}: what each middleware adds."
    figures = [Drawn(f"ladder-{_slug(request)}", middleware_ladder.ladder(run, request), caption)]
    if middleware_ladder.has_places(rows_for(run, request)):
        caption = f"{request}: what the place of one middleware does."
        figures.append(Drawn(f"places-{_slug(request)}", middleware_ladder.positions(run, request), caption))
    return figures


def _closed_figures(run: Run, request: str) -> list[Drawn]:
    rows, slug = rows_for(run, request), _slug(request)
    if middleware_ladder.is_ladder(rows):
        return _ladder_figures(run, request)
    users = max(row.users for row in rows if row.measured)
    is_sweep, waits = len(levels_of(rows)) > 1, bool(waits_s(rows))
    figures = []
    if is_sweep:
        caption = f"{request}: throughput against users, with the limits."
        figures.append(Drawn(f"throughput-{slug}", throughput_vs_users(run, request), caption))
    if not is_sweep or not waits:
        caption = f"{request}: throughput, and what a request costs."
        figures.append(Drawn(f"cpu-{slug}", cpu_per_request(run, request), caption))
    if any(row.values("latency_us.p99") for row in rows if row.users == users):
        caption = f"{request}: latency in the closed loop of {Closed(users).text}."
        figures.append(Drawn(f"latency-{slug}", latency_distributions(run, request, users), caption))
    if any(row.values(THREADS.path) for row in rows):
        caption = f"{request}: what the server takes beside what it answers."
        figures.append(Drawn(f"threads-{slug}", threads_and_memory(run, request), caption))
    return figures
