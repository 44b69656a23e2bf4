"""One probe in this process, its facts as one line of JSON on stdout."""

import json
import sys
from importlib import import_module

from bench.base.console import run_program
from bench.base.errors import ExitCode, MissingDependency
from bench.base.options import Parser
from bench.claims.probes import PROBES


def main() -> int:
    """Run the probe named on the command line and print its facts as a line of JSON.

    Raises MissingDependency if a package is missing that is no part of Django."""
    parser = Parser(prog="python -m bench.claims.probes", description=__doc__)
    parser.add_argument("name", choices=sorted(PROBES))
    name = parser.parse_args().name
    try:
        module = import_module(f"bench.claims.probes.{PROBES[name].module}")
    except ModuleNotFoundError as error:  # what is missing in Django itself is no matter of this place
        if (error.name or "").partition(".")[0] == "django":
            raise
        raise MissingDependency(f"{error.name} is not installed: ./scripts/set-up installs it.") from None
    print(json.dumps(getattr(module, name)()))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
