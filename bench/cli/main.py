"""`lab`: parse the arguments and call the command's function. Both stand in `arguments.py`.

How an error becomes one sentence and an exit code: `guarded` in `bench/base/console.py`.
"""

import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from bench.base.console import guarded
from bench.cli.arguments import COMMANDS, build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `lab` and return its exit code."""

    def run_command() -> int:
        arguments = build_parser().parse_args(argv)
        return int(resolve_name(COMMANDS[arguments.command].function)(arguments))

    return guarded(run_command)


if __name__ == "__main__":
    sys.exit(main())
