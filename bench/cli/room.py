"""`lab room`: real servers, live in a browser, until Ctrl-C."""

import argparse

from bench.base.errors import ExitCode
from bench.cli.overrides import check_owned
from bench.learn.room import supervisor
from bench.measure.ports import own_address, require_free


def room(arguments: argparse.Namespace) -> int:
    """Print the address of the room and serve it. UsageError for unknown stacks and for hosts not claimed."""
    check_owned(arguments.bind, arguments)
    host = own_address(arguments.bind)
    require_free(arguments.port, host)
    supervisor.keep_open(host, arguments.port, tuple(arguments.stack), browser=not arguments.no_browser)
    return ExitCode.FINE
