"""`lab try`: your own project in, an answer out."""

import argparse

from rich.table import Table

from bench.base.console import announce, console, print_json
from bench.base.errors import ExitCode, UsageError, nearest
from bench.learn.your_project.databases import Wanted
from bench.learn.your_project.document import document
from bench.learn.your_project.examine import Wishes, examine
from bench.learn.your_project.model import Examination, Page
from bench.learn.your_project.project import find_project
from bench.measure.processes import remove_abandoned_folders

METHODS = ("GET", "HEAD")
LEFT_OUT = ("throttles", "caches")


def try_project(arguments: argparse.Namespace) -> int:
    """Examine the project and print what was found."""
    remove_abandoned_folders()  # with copies of databases, of one that was killed
    project = find_project(arguments.project, arguments.settings, arguments.python)
    announce(f"{project.root} in {project.interpreter.program} ({project.interpreter.whose})")
    pages = parse_pages(arguments.pages or ["/"], allows_unsafe=arguments.allow_unsafe_methods)
    found = examine(project, pages, wishes_of(arguments), announce)
    if arguments.json:
        return print_json(document(found))
    show(found)
    return ExitCode.FINE


def wishes_of(arguments: argparse.Namespace) -> Wishes:
    """Return what the options ask for."""
    unknown = [word for word in arguments.without if word not in LEFT_OUT]
    if unknown:
        raise UsageError(f"--without {unknown[0]}: {nearest(unknown[0], LEFT_OUT)}")
    cookies = [("Cookie", "; ".join(f"{name}={value}" for name, value in arguments.cookie))] if arguments.cookie else []
    return Wishes(
        allows_network=arguments.allow_network,
        without=tuple(arguments.without),
        databases=Wanted(arguments.i_own_this_database, arguments.empty_database, tuple(arguments.fixtures)),
        login=arguments.login,
        blocking_ms=arguments.blocking_over,
        headers=(*cookies, *arguments.header),
    )


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
    for line in found.databases:
        table.add_row("database", line, "")
    for change in found.changes:
        table.add_row("changed", f"{change.name}: {change.to}, because {change.why}", "")
    for one in found.checked:
        says = one.refused or ("differs" if one.difference else f"{one.status}, the same behind both doors")
        table.add_row(one.page.name, "\n".join([says, *one.difference, *one.masked]), one.view.file if one.view else "")
    for write in found.writes:
        table.add_row("writes", f"{write.page}: {write.statement}", write.place)
    for refusal in found.refusals:
        table.add_row("refused", f"{refusal.page}: {refusal.address} ({refusal.times} times)", refusal.place)
    for traced in found.traces:
        trace = traced.trace
        says = traced.problem if trace is None else f"{len(trace.hops)} hops, {trace.threads} threads"
        table.add_row(f"trace {traced.door}", f"{traced.page.name}: {says}", "")
    for blocked in found.blocking:
        when = "in a first request" if blocked.is_loading else f"{blocked.times} times"
        call = f"{blocked.page.name}: {blocked.ms:.0f} ms, {when}: {blocked.call}"
        table.add_row("blocks", "\n".join([call, *blocked.mends]), blocked.place)
    console().print(table)
