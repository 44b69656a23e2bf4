"""`lab check` checks the exercises, `lab notebooks` opens the lessons."""

import argparse
from typing import NoReturn

from bench.base.console import console, print_json
from bench.learn import jupyter


def check(arguments: argparse.Namespace) -> int:
    """Check exercises on real servers and print what was seen; return FAILED if one does not pass yet."""
    from bench.learn.exercises import catalogue  # not for `lab notebooks`, which starts sooner without it

    progress = console(stderr=True)
    found = catalogue.check(
        arguments.exercise,
        solution=arguments.solution,
        before=lambda name: progress.print(f"checking {name}", style="dim", highlight=False),
    )
    if arguments.json:
        print_json({"exercises": [each.to_json() for each in found]})
    else:
        catalogue.show(found, console())
    return catalogue.code_of(found)


def open_notebooks(arguments: argparse.Namespace) -> NoReturn:
    """Open the lessons in JupyterLab; this process becomes JupyterLab and does not return."""
    jupyter.become_jupyterlab(arguments.port, browser=not arguments.no_browser, live=arguments.live)
