"""`lab trace --blocking`: what keeps the event loop from turning, and how to mend it."""

import argparse
from typing import Any

from bench.base.console import console, print_json
from bench.base.errors import ExitCode
from bench.show.blocking_table import show
from bench.trace.blocking_report import while_running
from bench.trace.tracer import NeverEnded, find_blocking, find_blocking_of_stack


def look_for_blocking(arguments: argparse.Namespace) -> int:
    """Show what blocks in a request. Returns 1 where something does. Raises NeverEnded where the request did not end.

    A sent once unsafe request cannot tell loading from the rest: then all counts.
    """
    from bench.cli.trace import ask_as_named

    report = ask_as_named(arguments, find_blocking, find_blocking_of_stack, blocking_ms=arguments.blocking_over)
    show_blocking(report, arguments)
    if not report["ended"]:
        raise NeverEnded(
            f"A request did not end within {arguments.time_limit:g} s: this is what was seen so far. Give it longer "
            f"with --time-limit."
        )
    return ExitCode.FAILED if while_running(report) else ExitCode.FINE


def show_blocking(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print a report, as JSON or as a sentence with a table."""
    if arguments.json:
        print_json(report)
    else:
        show(report, console())
