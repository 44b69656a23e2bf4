"""How `lab trace --blocking` ends, with and without `--serve`: its report is shown, and its exit code found."""

import argparse
from typing import Any

from bench.base.console import console, print_json
from bench.base.errors import ExitCode
from bench.show.blocking_table import show
from bench.trace.blocking_report import while_running
from bench.trace.tracer import NeverEnded


def conclude(report: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Show a report. Returns 1 where something blocks, loading left out. Raises NeverEnded where a request went on."""
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
