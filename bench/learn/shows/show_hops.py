"""`scripts/show_hops`, for a room: one request through five stacks as swimlanes, then 100 at once, threads counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode
from bench.base.options import Parser, seconds
from bench.measure.load.burst import Burst, burst
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.show.trace_terminal import swimlane
from bench.trace.inside.model import Trace, hops_text, threads_text
from bench.trace.tracer import trace_stack

STACKS = {
    "sync_wsgi@gthread:100": "a thread per request",
    "sync_asgi@uvicorn": "async outside, sync inside",
    "async_asgi@uvicorn": "an async view: who sends it to a thread?",
    "mixed_middleware@uvicorn": "the same view under sync and async middleware",
    "zero_hop@uvicorn": "the same view, and no thread unless something needs one",
}
"""What is shown, in this order, each with what to say."""
LEAST_WIDTH = 58
AT_ONCE, WAIT_MS = 100, 3000
MANY_THREADS = 110
"""As many as a bar is long for: one for each request, and a few of the server's own."""


def show_lanes(screen: Console, pause_s: float | None) -> None:
    """One request through each stack, as many beside each other as the terminal is wide enough for."""
    together = max(1, screen.width // LEAST_WIDTH)
    request = parse_request("hello")
    names = list(STACKS)
    for first in range(0, len(names), together):
        shown = names[first : first + together]
        screen.print(
            beside([(name, trace_stack(parse_stack(name), request)) for name in shown], screen.width // together)
        )
        pause(screen, pause_s)


def beside(traces: Sequence[tuple[str, Trace]], width: int) -> Table:
    """Swimlanes next to each other, each with its stack, its line and its count."""
    table = Table.grid(padding=(0, 2, 1, 0))
    for _ in traces:
        table.add_column(width=width - 2)
    table.add_row(*(Text(f"{name}\n{STACKS[name]}", style="bold") for name, _ in traces))
    table.add_row(*(Text("\n").join(swimlane(trace, width - 2)) for _, trace in traces))
    table.add_row(*(Text(summary_of(trace), style="bold yellow") for _, trace in traces))
    return table


def summary_of(trace: Trace) -> str:
    """Return the trace's numbers of hops and threads, in words."""
    return f"{hops_text(trace.hop_counts)} · {threads_text(trace.threads)}"


def show_crowd(screen: Console) -> None:
    """100 requests at once in each stack, and the most threads that its server had."""
    screen.print(f"[bold]{AT_ONCE} requests at once, each waits {WAIT_MS / 1000:g} s[/]")
    for one in bursts():
        bar = "█" * max(1, round((screen.width - 46) * min(1.0, one.threads_most / MANY_THREADS)))
        failed = sum(not answer.ok for answer in one.answers)
        told = f" ({failed} failed)" if failed else ""
        screen.print(f"{one.stack:<26} {one.threads_most:>4} threads  [cyan]{bar}[/]{told}", highlight=False)


def bursts() -> Iterator[Burst]:
    """Measure one burst after the other, each when it is asked for."""
    request = parse_request(f"wait?ms={WAIT_MS}")
    return (burst(parse_stack(name), request, AT_ONCE) for name in STACKS)


def pause(screen: Console, pause_s: float | None) -> None:
    """So many seconds, or until Enter where somebody sits at the terminal."""
    if pause_s is not None:
        time.sleep(pause_s)
    elif sys.stdin.isatty() and screen.is_terminal:
        screen.input("[dim]Enter goes on[/] ")


def main(argv: Sequence[str]) -> int:
    """Show the lanes, then the crowd."""
    parser = Parser(prog="scripts/show_hops", description=__doc__)
    parser.add_argument("--pause", type=seconds, metavar="S", help="go on after so many seconds (default: at Enter)")
    parser.add_argument("--quick", action="store_true", help="do not pause")
    arguments = parser.parse_args(argv)
    screen = console()
    announce(f"asking {', '.join(STACKS)}")
    show_lanes(screen, 0.0 if arguments.quick else arguments.pause)
    show_crowd(screen)
    return ExitCode.FINE
