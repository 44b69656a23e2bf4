"""`lab`: parse the arguments and call the command's function. Both stand in `arguments.py`.

How an error becomes one sentence and an exit code: `run_program` in `bench/base/console.py`.
"""

import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from bench.base.console import run_program
from bench.cli.arguments import COMMANDS, build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `lab` and return its exit code."""

    def run_command() -> int:
        arguments = build_parser().parse_args(argv)
        return int(resolve_name(COMMANDS[arguments.command].function)(arguments))

    return run_program(run_command)


if __name__ == "__main__":
    sys.exit(main())
