"""Shows a trace in a terminal: a column for each thread, a line for each hop, and tables of hops and middlewares."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.show.tables.terminal import plain_table
from bench.trace.inside.model import Hop, Trace, hops_text, threads_text

TIME, LANE, LEAST_LABEL, WIDE = 8, 15, 16, 140
"""Columns of the time, of a thread's lane, of the shortest label; and of a terminal that has room for whole paths."""
NOTHING = Hop(0, "sync_to_async", "", "", 0, None, 0.0, None, None, None)
STYLES = {"sync_to_async": "cyan", "async_to_sync": "magenta"}


def show(trace: Trace, console: Console) -> None:
    """Print the lanes, the table of hops, the table of middlewares, totals and advice."""
    for line in swimlane(trace, console.width):
        console.print(line)
    tables = [_hop_table(trace, is_wide=console.width >= WIDE)] if trace.crossings else []
    for table in [*tables, *([_middleware_table(trace)] if trace.middleware else [])]:
        console.print()
        console.print(table)
    console.print()
    for sentence in totals(trace):
        console.print(sentence, markup=False, highlight=False)
    for sentence in trace.advice:
        console.print(f"· {sentence}", style="yellow", markup=False, highlight=False)


def swimlane(trace: Trace, width: int) -> list[Text]:
    """Return lines of at most `width` columns: which thread, when, and each hop."""
    head = " " * TIME + "".join(f"  {name:<{LANE - 2}}" for name in trace.lanes)
    events: list[tuple[float, Text]] = [(hop.asked_us, _hop_line(trace, hop, width)) for hop in trace.crossings]
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
    """Return the line of something that happens on the first thread."""
    line = Text(_time(at_us), style="dim").append("  ● ", style="bold").append(text, style="bold")
    line.truncate(width, overflow="ellipsis")
    return line


def _hop_line(trace: Trace, hop: Hop, width: int) -> Text:
    """Return an arrow from lane to lane, and beside it what runs on the other side."""
    target = hop.lane if hop.to_lane is None else hop.to_lane
    start, end = (2 + LANE * lane for lane in sorted((hop.lane, target)))
    cells = [" "] * (LANE * len(trace.lanes))
    cells[2::LANE] = "│" * len(trace.lanes)
    cells[start + 1 : end] = "─" * (end - start - 1)
    cells[end if target > hop.lane else start] = "▶" if target > hop.lane else "◀" if target < hop.lane else "↺"
    line = Text(_time(hop.asked_us), style="dim")
    line.append(f"{''.join(cells[: end + 1])} {_short(hop.what)}", style=STYLES[hop.kind])
    if hop.outcome != "returned":
        line.append(f" ({hop.outcome})", style="red")
    line.truncate(max(width, TIME + end + LEAST_LABEL), overflow="ellipsis")
    return line


def _time(at_us: float) -> str:
    return f"{at_us / 1000:>{TIME - 1}.2f} "


def _hop_table(trace: Trace, *, is_wide: bool) -> Table:
    """Return every hop with its times in microseconds; on a wide terminal with the whole path of its caller."""
    table = plain_table()
    table.add_column("#", justify="right", no_wrap=True)
    for heading in ("runs", "called by"):
        table.add_column(heading, overflow="fold")
    table.add_column("on", no_wrap=True)
    for heading in _times(trace):
        table.add_column(heading, justify="right", no_wrap=True)
    for hop in trace.crossings:
        table.add_row(*_hop_cells(trace, hop, is_wide=is_wide), style=STYLES[hop.kind])
    return table


def _hop_cells(trace: Trace, hop: Hop, *, is_wide: bool) -> Iterator[str]:
    yield str(hop.number) if hop.parent is None else f"{hop.parent}›{hop.number}"
    yield _short(hop.what) + ("" if hop.outcome == "returned" else f" ({hop.outcome})")
    yield hop.asked_by if is_wide else hop.asked_by.split()[0].rpartition("/")[2]
    yield "–" if hop.to_lane is None else trace.lanes[hop.to_lane]
    for value, until in _times(trace, hop).values():
        yield "–" if until is None else f"{value:,.0f}"


def _times(trace: Trace, hop: Hop = NOTHING) -> dict[str, tuple[float, float | None]]:
    """Return the columns of times: {heading: (the hop's value, the moment that ends it)}; `queued` only if any was."""
    queued = {"queued": (hop.queued_us, hop.started_us)} if trace.queued_us else {}
    worked, back = (hop.worked_us, hop.done_us), (hop.returned_us, hop.back_us)
    return {"sent": (hop.sent_us, hop.started_us), **queued, "worked": worked, "back µs": back}


def _short(what: str) -> str:
    """Return the name of a callable without Python's mark for functions in functions."""
    return what.replace("<locals>.", "")


def _middleware_table(trace: Trace) -> Table:
    """Return the middlewares, outermost first, then the view and Django; their hops sum to those of the request."""
    table = plain_table()
    for heading in ("middleware, outermost first", "can be", "runs"):
        table.add_column(heading)
    table.add_column("hops", justify="right")
    for layer in trace.middleware:
        table.add_row(layer.path, layer.capable, layer.runs, str(layer.hops or "–"))
    for cause, hops in trace.causes.items():
        table.add_row(cause, "", "", str(hops or "–"), style="dim")
    return table


def totals(trace: Trace) -> Iterator[str]:
    """Yield sentences: what went wrong, if anything; counts; times; and what a reader must know about them."""
    if trace.problem:
        yield trace.problem
    if trace.error:
        yield f"{trace.error}, {' → '.join(trace.error_at)}." if trace.error_at else f"{trace.error}."
    if trace.observer == "none":
        yield "No hop can be seen: asgiref is not installed there, or the project has replaced its adapters."
    if not trace.ended:
        yield "The request had not ended: this is what was seen so far."
    yield f"{hops_text(trace.hops)} · {threads_text(trace.threads)} · {trace.status or 'no answer'}"
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
    """Return the interpreter and its packages, the lifespan, and the warm-up in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in trace.versions.items())
    where = f" in {trace.interpreter}" if trace.interpreter else ""
    lifespan = {
        None: "",
        True: " Lifespan: started and ended.",
        False: " The application has no lifespan.",
    }
    warm_up = {
        True: " Asked once before, untraced (--no-warm-up leaves that out).",
        False: " Asked once, without a warm-up.",
    }
    return f"{versions}{where}.{lifespan[trace.has_lifespan]}{warm_up[bool(trace.warm_up)]}"
