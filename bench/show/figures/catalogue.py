"""Chooses the figures of a run: `figures_for` names every figure for which the run has numbers.

How a stack looks is in `stack_style.py`, what all figures share (the page, scales, lines of rows) in `layout.py`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from bench.analyse.rows import Row, rows_of
from bench.model.load import Closed
from bench.model.run_record import Run
from bench.model.trial_record import Trial
from bench.show.figures import connections, database, distance, memory, middleware_ladder, open_loop, timeline
from bench.show.figures.latency_curve import CLOSED_KEY, OPEN_KEY, distributions
from bench.show.figures.layout import Picture
from bench.show.figures.resources import cpu_per_request, threads_and_memory
from bench.show.figures.series import THREADS, levels_of, rows_for, rows_with
from bench.show.figures.throughput import throughput_vs_users, waits_s

Draw = Callable[[], Picture]


@dataclass(frozen=True)
class Drawn:
    """A figure with a name for files and anchors, and a line on how to read it; it is drawn when first asked for."""

    slug: str
    draw: Draw
    caption: str

    @cached_property
    def figure(self) -> Picture:
        """The picture."""
        return self.draw()


def figures_for(run: Run) -> list[Drawn]:
    """Name every figure for which the run has numbers, request by request; then windows with events."""
    requests = dict.fromkeys(row.request for row in rows_of(run) if row.measured)
    return [
        *_figures_of_all_requests(run),
        *(drawn for request in requests for drawn in _figures_of_request(run, request)),
        *(_timeline(place, trials) for place, trials in enumerate(timeline.frozen_pairs(run), start=1)),
        *(_timeline(f"outage-{place}", [trial]) for place, trial in enumerate(timeline.outages(run), start=1)),
        *(_timeline(f"event-{place}", [trial]) for place, trial in enumerate(timeline.eventful(run), start=1)),
    ]


def _figures_of_all_requests(run: Run) -> Iterator[Drawn]:
    if database.sided_rows(run):
        caption = "Every request on every stack: how long it takes, and what it takes up."
        yield Drawn("side-by-side", partial(database.sided, run), caption)
    if database.torn_rows(run):
        caption = "Payments while clients leave: coins that are lost, and who got an error."
        yield Drawn("torn", partial(database.torn, run), caption)
    if database.away_rows(run):
        caption = "The database taken away for a while: which requests fail, and when all is well again."
        yield Drawn("away", partial(database.away, run), caption)


def _timeline(name: object, trials: Sequence[Trial]) -> Drawn:
    trial = trials[0]
    caption = f"{trial.request}: what happened in the window of {trial.stack}, {trial.load_text}, on a timeline."
    return Drawn(f"timeline-{name}", partial(timeline.timeline, trials), caption)


def _figures_of_request(run: Run, request: str) -> Iterator[Drawn]:
    """Name each figure of a request after its kind and the request."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.lower()).strip("-")
    rows = rows_for(run, request)
    draw_closed = _ladder_figures if middleware_ladder.is_ladder(rows) else _closed_figures
    for kind, draw, what in (
        *_open_figures(run, request),
        *draw_closed(run, request, rows),
        *_connection_figures(run, request),
        *_slow_figures(run, request),
        *_stream_figures(run, request),
    ):
        yield Drawn(f"{kind}-{slug}", draw, f"{request}: {what}")


def _open_figures(run: Run, request: str) -> Iterator[tuple[str, Draw, str]]:
    """Name latency against load where there are several loads, and both loops where they can be compared."""
    rows = open_loop.open_rows_for(run, request)
    measured = [row for row in rows if row.values("latency_us.p99")]
    pairs = open_loop.telling_pairs(run, request)
    if len(open_loop.loads_of(measured)) > 1:
        yield (
            "load",
            partial(open_loop.latency_against_load, run, request),
            "open loop, latency against the offered load.",
        )
    elif measured and not pairs:
        yield "open", partial(distributions, rows, OPEN_KEY), f"open loop, latency at {measured[0].load_text}."
    for place, pair in enumerate(pairs, start=1):
        draw = partial(open_loop.both_distributions, run, request, pair.open.stack)
        yield f"loops-{place}", draw, f"{pair.open.stack}, both loops at {pair.open.load_text}."


def _connection_figures(run: Run, request: str) -> Iterator[tuple[str, Draw, str]]:
    if rows_with(run, request, connections.SERVED):
        yield (
            "held",
            partial(connections.held, run, request),
            "what is served, and what holding costs, against open connections.",
        )
    for allowed in dict.fromkeys(map(database.allowed_of, rows_with(run, request, database.LEFT_OPEN))):
        what = f"connections open while requests come and go, {allowed} allowed."
        yield f"waves-{allowed}", partial(database.waves, run, request, allowed), what
    if rows_with(run, request, connections.IN_VAIN) and not database.torn_rows(run):
        what = "what is done for clients that have left, and how long the next one waits."
        yield "gone", partial(connections.gone, run, request), what


def _slow_figures(run: Run, request: str) -> Iterator[tuple[str, Draw, str]]:
    if rows_with(run, request, connections.KEPT):
        yield (
            "slow",
            partial(connections.slow, run, request),
            "what slow clients leave for others, with and without a front.",
        )


def _stream_figures(run: Run, request: str) -> Iterator[tuple[str, Draw, str]]:
    if rows_with(run, request, connections.CARRIED):
        yield "streams", partial(connections.streams, run, request), "which streams are carried, and at what price."


def _ladder_figures(run: Run, request: str, rows: Sequence[Row]) -> Iterator[tuple[str, Draw, str]]:
    yield "ladder", partial(middleware_ladder.ladder, run, request), "what each middleware adds."
    if middleware_ladder.has_places(rows):
        yield "places", partial(middleware_ladder.positions, run, request), "what the place of one middleware does."


def _closed_figures(run: Run, request: str, rows: Sequence[Row]) -> Iterator[tuple[str, Draw, str]]:
    users = max((row.users for row in rows if row.measured), default=None)
    if users is None:
        return
    is_sweep = len(levels_of(rows)) > 1
    if memory.is_ladder_of_processes([row for row in rows if row.measured and row.users == users]):
        what = "what processes and threads answer, over the memory that they take."
        yield "memory", partial(memory.throughput_over_memory, run, request), what
    if distance.is_at_distances([row for row in rows if row.users == users]):
        yield "distance", partial(distance.against_distance, run, request), "what the way to the database adds."
    if is_sweep:
        yield "throughput", partial(throughput_vs_users, run, request), "throughput against users, with the limits."
    if not is_sweep or not waits_s(rows):
        yield "cpu", partial(cpu_per_request, run, request), "throughput, and what a request costs."
    if any(row.values("latency_us.p99") for row in rows if row.users == users):
        draw = partial(distributions, [row for row in rows if row.users == users], CLOSED_KEY)
        yield "latency", draw, f"latency in the closed loop of {Closed(users).text}."
    if any(row.values(THREADS.path) for row in rows):
        yield "threads", partial(threads_and_memory, run, request), "what the server takes beside what it answers."
