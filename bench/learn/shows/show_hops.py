"""`scripts/show_hops`, for a room: one request through five stacks as swimlanes, then 100 at once, threads counted."""

import sys
import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.base.console import announce, console
from bench.base.errors import ExitCode
from bench.base.options import Parser, seconds
from bench.measure.load.burst import burst
from bench.model.stacks import parse_stack
from bench.model.workloads import parse_request
from bench.show.trace_terminal import swimlane
from bench.trace.inside.model import hops_text, threads_text
from bench.trace.tracer import trace_stack

STACKS = {
    "sync_wsgi@gthread:100": "a thread per request",
    "sync_asgi@uvicorn": "async outside, sync inside",
    "async_asgi@uvicorn": "an async view: who sends it to a thread?",
    "mixed_middleware@uvicorn": "the same view under sync and async middleware",
    "zero_hop@uvicorn": "the same view, and no thread unless something needs one",
}
"""The stacks shown, in this order, each with what to say."""
LEAST_WIDTH = 58
AT_ONCE, WAIT_MS = 100, 3000
MANY_THREADS = 110
"""A full bar: one thread for each request, and a few of the server itself."""


def show_lanes(screen: Console, pause_s: float | None) -> None:
    """Print one request through each stack, as many side by side as the terminal is wide enough for."""
    together = max(1, screen.width // LEAST_WIDTH)
    names = list(STACKS)
    for first in range(0, len(names), together):
        screen.print(lanes_of(names[first : first + together], screen.width // together))
        pause(screen, pause_s)


def lanes_of(names: Iterable[str], width: int) -> Table:
    """Trace one request through each stack; return swimlanes side by side, each with its stack and its counts."""
    traces = {name: trace_stack(parse_stack(name), parse_request("hello")) for name in names}
    counts = [f"{hops_text(trace.hop_counts)} · {threads_text(trace.threads)}" for trace in traces.values()]
    table = Table.grid(padding=(0, 2, 1, 0))
    for _ in traces:
        table.add_column(width=width - 2)
    table.add_row(*(Text(f"{name}\n{STACKS[name]}", style="bold") for name in traces))
    table.add_row(*(Text("\n").join(swimlane(trace, width - 2)) for trace in traces.values()))
    table.add_row(*(Text(count, style="bold yellow") for count in counts))
    return table


def show_crowd(screen: Console) -> None:
    """Send 100 requests at once to each stack, and print the most threads that its server had."""
    screen.print(f"[bold]{AT_ONCE} requests at once, each waits {WAIT_MS / 1000:g} s[/]")
    for name in STACKS:
        one = burst(parse_stack(name), parse_request(f"wait?ms={WAIT_MS}"), AT_ONCE)
        bar = "█" * max(1, round((screen.width - 46) * min(1.0, one.threads_most / MANY_THREADS)))
        failed = sum(not answer.ok for answer in one.answers)
        failures = f" ({failed} failed)" if failed else ""
        screen.print(f"{one.stack:<26} {one.threads_most:>4} threads  [cyan]{bar}[/]{failures}", highlight=False)


def pause(screen: Console, pause_s: float | None) -> None:
    """Pause for so many seconds; for None until Enter, if this is a terminal."""
    if pause_s is not None:
        time.sleep(pause_s)
    elif sys.stdin.isatty() and screen.is_terminal:
        screen.input("[dim]Enter continues[/] ")


def main(argv: Sequence[str]) -> int:
    """Show the lanes, then the crowd."""
    parser = Parser(prog="scripts/show_hops", description=__doc__)
    parser.add_argument("--pause", type=seconds, metavar="S", help="continue after so many seconds (default: at Enter)")
    parser.add_argument("--quick", action="store_true", help="do not pause")
    arguments = parser.parse_args(argv)
    screen = console()
    announce(f"tracing {', '.join(STACKS)}")
    show_lanes(screen, 0.0 if arguments.quick else arguments.pause)
    show_crowd(screen)
    return ExitCode.FINE
