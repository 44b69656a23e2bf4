"""`lab try`: your own project in, an answer out."""

import argparse

from rich.table import Table

from bench.base.console import announce, console, print_json
from bench.base.errors import ExitCode, UsageError
from bench.learn.your_project.examine import Wishes, examine
from bench.learn.your_project.model import Examination, Page
from bench.learn.your_project.project import find_project

METHODS = ("GET", "HEAD")


def try_project(arguments: argparse.Namespace) -> int:
    """Examine the project and print what was found."""
    project = find_project(arguments.project, arguments.settings, arguments.python)
    announce(f"{project.root} in {project.interpreter.program} ({project.interpreter.whose})")
    pages = parse_pages(arguments.pages or ["/"], allows_unsafe=arguments.allow_unsafe_methods)
    found = examine(project, pages, wishes_of(arguments), announce)
    if arguments.json:
        return print_json(found)
    show(found)
    return ExitCode.FINE


def wishes_of(arguments: argparse.Namespace) -> Wishes:
    """Return what the options ask for."""
    return Wishes(allows_network=arguments.allow_network, without=tuple(arguments.without))


def parse_pages(words: list[str], *, allows_unsafe: bool) -> list[Page]:
    """Read `/blog/` and `'HEAD /blog/'`. Raises UsageError for a method that may change something."""
    pages = []
    for word in words:
        method, path = word.split(None, 1) if " " in word.strip() else ("GET", word.strip())
        if method.upper() not in METHODS and not allows_unsafe:
            raise UsageError(
                f"{word!r} may change something, and lab try sends it many times: allow that with "
                f"--allow-unsafe-methods, or name a page to GET."
            )
        pages.append(Page(path if path.startswith("/") else f"/{path}", 1 / len(words), method.upper()))
    return pages


def show(found: Examination) -> None:
    """Print it."""
    table = Table("kind", "what was seen", "where")
    for notice in found.inventory:
        table.add_row(notice.kind, notice.says, notice.place)
    console().print(table)
