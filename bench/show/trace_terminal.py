"""Show a trace in a terminal: a column for each thread, a line for each hop, and a table with the times."""

from collections.abc import Iterator
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from bench.trace.inside.model import Hop, Trace, ViewCall, hops_text, threads_text

TIME, LANE, LEAST_LABEL, GAP, MIDDLING, WIDE = 8, 15, 16, 2, 100, 140
NO_HOP = Hop(0, "sync_to_async", "", "", 0, None, 0.0, None, None, None)
STYLES = {"sync_to_async": "cyan", "async_to_sync": "magenta"}


def show(trace: Trace, console: Console) -> None:
    """Print the hops in one sentence, swimlanes, the table of hops, the table of middlewares, totals and advice."""
    console.print(trace.summary, style="bold", markup=False, highlight=False)
    console.print()
    for line in swimlane(trace, console.width):
        console.print(line)
    if trace.hops:
        console.print()
        console.print(hop_table(trace, console.width))
    if trace.middleware:
        console.print()
        console.print(layer_table(trace))
    console.print()
    for sentence in totals(trace):
        console.print(sentence, markup=False, highlight=False)
    for sentence in trace.advice:
        console.print(f"· {sentence}", style="yellow", markup=False, highlight=False)


def swimlane(trace: Trace, width: int) -> list[Text]:
    """Lines of at most `width` columns: which thread, when, and what runs there."""
    head = " " * TIME + "".join(f"  {name:<{LANE - 2}}" for name in trace.lanes)
    events: list[tuple[float, Text]] = [(hop.asked_us, _arrow(trace, hop, width)) for hop in trace.hops]
    events += [(view.began_us, _view(trace, view, width)) for view in trace.views]
    if trace.first_byte_us is not None:
        events.append((trace.first_byte_us, _moment(trace.first_byte_us, "first byte leaves", width)))
    ended = f"ends: {trace.status or 'no answer'}" + (f", {trace.error}" if trace.error else "")
    return [
        Text(head.rstrip(), style="bold"),
        _moment(0.0, f"{trace.method} {trace.path}", width),
        *(line for _, line in sorted(events, key=lambda event: event[0])),
        _moment(trace.took_us, ended, width),
    ]


def _moment(at_us: float, text: str, width: int) -> Text:
    """Something that happens on the first thread."""
    line = Text(_time(at_us), style="dim").append("  ● ", style="bold").append(text, style="bold")
    line.truncate(width, overflow="ellipsis")
    return line


def _arrow(trace: Trace, hop: Hop, width: int) -> Text:
    """An arrow from lane to lane; on its far side, or beyond the last thread, what runs there."""
    target = hop.lane if hop.to_lane is None else hop.to_lane
    start, end = (2 + lane * LANE for lane in sorted((hop.lane, target)))
    cells = list(("  │" + " " * (LANE - 3)) * len(trace.lanes))
    cells[start + 1 : end] = "─" * (end - start - 1)
    cells[end if target > hop.lane else start] = "▶" if target > hop.lane else "◀" if target < hop.lane else "↺"
    line = Text(_time(hop.asked_us), style="dim")
    line.append(f"{''.join(cells[: end + 1])} {short(hop.what)}", style=STYLES[hop.kind])
    line.append(_failed(hop), style="red")
    line.truncate(max(width, TIME + end + LEAST_LABEL), overflow="ellipsis")
    return line


def _view(trace: Trace, view: ViewCall, width: int) -> Text:
    """The moment at which a view begins, on its thread, and how long it runs."""
    lane = view.lane or 0
    cells = list(("  │" + " " * (LANE - 3)) * len(trace.lanes))
    cells[2 + lane * LANE] = "■"
    took = "" if view.ended_us is None else f", {(view.ended_us - view.began_us) / 1000:.2f} ms"
    line = Text(_time(view.began_us), style="dim")
    line.append(f"{''.join(cells[: 3 + lane * LANE])} the view: {short(view.what)}{took}", style="bold")
    line.truncate(max(width, TIME + lane * LANE + LEAST_LABEL), overflow="ellipsis")
    return line


def _time(at_us: float) -> str:
    return f"{at_us / 1000:>{TIME - 1}.2f} "


def _failed(hop: Hop) -> str:
    return "" if hop.outcome == "returned" else f" ({hop.outcome})"


NO_LINES: dict[str, Any] = {"box": None, "pad_edge": False, "padding": (0, GAP, 0, 0), "header_style": "dim"}


def hop_table(trace: Trace, width: int) -> Table:
    """Every hop with its times in microseconds; where there is room with the whole place that asked for it.

    In a narrow terminal the column of places is left out where no place is the project's.
    """
    names_places = width >= MIDDLING or any(hop.project_at for hop in trace.hops)
    lines = [list(_cells(trace, hop, width, names_places=names_places)) for hop in trace.hops]
    times = _times(trace)
    headings = ["#", "runs", *(["asked for by"] if names_places else []), "on", *times]
    others = sum(
        max(map(len, column)) + GAP for column in list(zip(headings, *lines, strict=True)) if column[0] != "runs"
    )
    table = Table(**NO_LINES)
    for heading in headings:
        most = max(LEAST_LABEL, width - others) if heading == "runs" else None
        justify: Literal["left", "right"] = "right" if heading in ("#", *times) else "left"
        table.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis", max_width=most)
    for hop, line in zip(trace.hops, lines, strict=True):
        table.add_row(*line, style=STYLES[hop.kind])
    return table


def _cells(trace: Trace, hop: Hop, width: int, *, names_places: bool) -> Iterator[str]:
    yield str(hop.number) if hop.parent is None else f"{hop.parent}›{hop.number}"
    yield short(hop.what) + _failed(hop)
    if names_places:
        yield place_of(hop, width)
    yield "–" if hop.to_lane is None else trace.lanes[hop.to_lane]
    for value, until in _times(trace, hop).values():
        yield "–" if until is None else f"{value:,.0f}"


def place_of(hop: Hop, width: int) -> str:
    """Where a hop is asked for: the project's place if there is one; with room the library's, as well or instead."""
    if width >= WIDE:
        return ", through ".join(filter(None, [hop.project_at, hop.asked_by]))
    place = hop.project_at or (hop.asked_by if width >= MIDDLING else "")
    return place.partition(" ")[0].rpartition("/")[2]


def _times(trace: Trace, hop: Hop = NO_HOP) -> dict[str, tuple[float, float | None]]:
    """The columns of times: of each the hop's value and the moment that ends it. A queue only where there is one."""
    queued = {"queued": (hop.queued_us, hop.started_us)} if trace.queued_us else {}
    worked, back = (hop.worked_us, hop.done_us), (hop.returned_us, hop.back_us)
    return {"sent": (hop.sent_us, hop.started_us), **queued, "worked": worked, "back µs": back}


def short(what: str) -> str:
    """Without the words for functions in functions."""
    return what.replace("<locals>.", "")


def layer_table(trace: Trace) -> Table:
    """The middlewares, outermost first, then the view and Django: their hops sum up to all of the request's."""
    table = Table(
        "middleware, outermost first", "can be", "runs", Column("hops", justify="right", no_wrap=True), **NO_LINES
    )
    for layer in trace.middleware:
        table.add_row(layer.path, layer.capable, layer.runs, str(layer.hops or "–"))
    for cause, count in trace.causes.items():
        table.add_row(cause, "", "", str(count or "–"), style="dim")
    return table


def totals(trace: Trace) -> Iterator[str]:
    """What went wrong, if anything; the counts; the times; what else has to be known to read them."""
    if trace.problem:
        yield trace.problem
    if trace.error:
        yield f"{trace.error}, {' → '.join(trace.error_at)}." if trace.error_at else f"{trace.error}."
    if trace.observer == "none":
        yield "No hop can be seen: asgiref is not installed there, or the project has replaced its adapters."
    if not trace.ended:
        yield "The request had not ended: this is what was seen so far."
    yield f"{hops_text(trace.hop_counts)} · {threads_text(trace.threads)} · {trace.status or 'no answer'}"
    first = "" if trace.first_byte_us is None else f", first byte after {trace.first_byte_us / 1000:.2f} ms"
    queued = f"{trace.queued_us / 1000:.2f} ms queued behind this request's own thread, " if trace.queued_us else ""
    yield (
        f"{trace.took_us / 1000:.2f} ms in all{first}; {trace.handed_off_us / 1000:.2f} ms handed off between threads, "
        f"{queued}{trace.worked_in_hops_us / 1000:.2f} ms spent working in other threads."
    )
    if trace.other_threads:
        yield f"Not started by asgiref: {', '.join(trace.other_threads)}."
    if trace.threads_to_end:
        yield "Not counted: threads that asgiref and asyncio start for a moment to end others."
    yield _conditions(trace)


def _conditions(trace: Trace) -> str:
    """The interpreter and its packages, the lifespan, and the warm-up."""
    versions = ", ".join(f"{name} {version}" for name, version in trace.versions.items())
    where = f" in {trace.interpreter}" if trace.interpreter else ""
    lifespan = {True: " Lifespan: started and ended.", False: " The application has no lifespan.", None: ""}
    warmed = " Asked once before, untraced (--no-warm-up leaves that out)."
    warm_up = warmed if trace.warm_up else " Asked once, without a warm-up."
    return f"{versions}{where}.{lifespan[trace.has_lifespan]}{warm_up}"
