"""`lab try`: your own project in, an answer out."""

import argparse
import time
from pathlib import Path

import msgspec

from bench.base.console import announce, console, print_json, print_text, relative_to_here
from bench.base.errors import ExitCode, UsageError, nearest
from bench.base.files import write_atomically
from bench.learn.your_project.databases import Wanted
from bench.learn.your_project.document import document
from bench.learn.your_project.examine import Wishes, examine
from bench.learn.your_project.load import Wanted as WantedLoad
from bench.learn.your_project.model import Examination, Interrupted, Page
from bench.learn.your_project.project import find_project
from bench.learn.your_project.showing import print_answer, to_markdown, write_page
from bench.learn.your_project.traffic import HARMLESS, Traffic, read_log
from bench.measure.processes import remove_abandoned_folders
from bench.model.run_store import LOCAL

LEFT_OUT = ("throttles", "caches")


def try_project(arguments: argparse.Namespace) -> int:
    """Examine the project and print what was found."""
    remove_abandoned_folders()  # with copies of databases, of one that was killed
    project = find_project(arguments.project, arguments.settings, arguments.python)
    announce(f"{project.root} in {project.interpreter.program} ({project.interpreter.whose})")
    traffic = read_log(arguments.log) if arguments.log else None
    pages = pages_of(arguments, traffic)
    try:
        found = examine(project, pages, wishes_of(arguments, traffic), announce)
    except Interrupted as interruption:
        announce(f"interrupted; what was found until then: {relative_to_here(keep(interruption.found))}")
        raise
    announce(f"all of it: {relative_to_here(keep(found))}")
    if arguments.json:
        print_json(document(found))
    elif arguments.markdown:
        print_text(to_markdown(found))
    else:
        print_answer(found, console())
    return ExitCode.INVALID if found.answer and found.answer.value == "cannot tell" else ExitCode.FINE


def keep(found: Examination) -> Path:
    """Write the page and the document into a folder of results/local, and return the page's path."""
    folder = LOCAL / f"try-{found.project.root.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    page = write_page(found, folder)
    write_atomically(folder / "answer.json", msgspec.json.encode(document(found)))
    return page


def pages_of(arguments: argparse.Namespace, traffic: Traffic | None) -> list[Page]:
    """Return the pages that are named, else those of the log, else the front page."""
    if traffic and not arguments.pages:
        return traffic.pages
    return parse_pages(arguments.pages or ["/"], allows_unsafe=arguments.allow_unsafe_methods)


def wishes_of(arguments: argparse.Namespace, traffic: Traffic | None) -> Wishes:
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
        load=WantedLoad(tuple(arguments.users), arguments.threads, arguments.memory, tuple(arguments.what_if), traffic),
    )


def parse_pages(words: list[str], *, allows_unsafe: bool) -> list[Page]:
    """Read `/blog/` and `'HEAD /blog/'`. Raises UsageError for a method that may change something."""
    pages = []
    for word in words:
        method, path = word.split(None, 1) if " " in word.strip() else ("GET", word.strip())
        if method.upper() not in HARMLESS and not allows_unsafe:
            raise UsageError(
                f"{word!r} may change something, and lab try sends it many times: allow that with "
                f"--allow-unsafe-methods, or name a page to GET."
            )
        pages.append(Page(path if path.startswith("/") else f"/{path}", 1 / len(words), method.upper()))
    return pages
