"""`lab site`: the static site of what is committed."""

import argparse

from bench.base.console import console, relative_to_here
from bench.base.errors import ExitCode
from bench.learn.site import build


def site(arguments: argparse.Namespace) -> int:
    """Write the site and say where it is. UsageError if the folder holds something else."""
    pages = build.write_site(arguments.out, arguments.repository or "")
    first = relative_to_here(arguments.out / "index.html")
    console().print(f"{pages} pages; open {first} in a browser.", soft_wrap=True, highlight=False)
    return ExitCode.FINE
