"""`python -m bench.learn.shows SHOW`: runs one show. Imports take a moment, so Ctrl-C is handled before them."""

import sys
from collections.abc import Sequence
from importlib import import_module

from bench.base.console import run_program
from bench.base.errors import UsageError

SHOWS = ("show_hops", "show_stall", "show_threads")


def main(argv: Sequence[str]) -> int:
    """Run the show named first with the other words. Raises UsageError for an unknown name."""
    name, *words = argv or [""]
    if name not in SHOWS:
        raise UsageError(f"Unknown show {name!r}: known are {', '.join(SHOWS)}.")
    return int(import_module(f"bench.learn.shows.{name}").main(words))


if __name__ == "__main__":
    sys.exit(run_program(lambda: main(sys.argv[1:])))
