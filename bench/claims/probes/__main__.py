"""One probe in this process, its facts as one line of JSON on stdout."""

import json
import sys
from importlib import import_module

from bench.arguments import Parser
from bench.claims.probes import PROBES
from bench.errors import ExitCode
from bench.terminal import guarded


def main() -> int:
    parser = Parser(prog="python -m bench.claims.probes", description=__doc__)
    parser.add_argument("name", choices=sorted(PROBES))
    name = parser.parse_args().name
    module = import_module(f"bench.claims.probes.{PROBES[name].module}")
    print(json.dumps(getattr(module, name)()))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
