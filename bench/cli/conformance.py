"""`lab conformance`: asks servers what they keep, compares with what is kept, or stores it (`--keep`)."""

import argparse

from bench.base.console import console, print_json
from bench.base.errors import ExitCode, UsageError, nearest
from bench.claims.conformance import kept, tables
from bench.claims.conformance.asking import ask_servers
from bench.claims.conformance.questions import QUESTIONS
from bench.model.servers import SERVERS


def conformance(arguments: argparse.Namespace) -> int:
    """Ask servers, print their answers; return FAILED if one is not as kept, else NOT_RUN if one could not be had."""
    for name in arguments.servers:
        if name not in SERVERS:
            raise UsageError(f"Unknown server {name!r}: {nearest(name, SERVERS)}")
    before = kept.load_rows()
    rows = ask_servers([kind for name, kind in SERVERS.items() if name in (arguments.servers or SERVERS)])
    changes = kept.find_changes(before, rows)
    if arguments.json:
        print_json({"rows": [row._asdict() for row in rows], "changes": [_as_data(each) for each in changes]})
    else:
        tables.show_rows(rows, console())
        tables.show_changes(changes, len(before), console())
    if arguments.keep:
        kept.save_rows(kept.merge_rows(before, rows, all_places()))
    elif any(change.counts for change in changes):
        return ExitCode.FAILED
    return ExitCode.NOT_RUN if any(row.answer == "could not ask" for row in rows) else ExitCode.FINE


def all_places() -> list[tuple[str, str, str]]:
    """Return server, interface and question of every row that can be kept, in their order."""
    return [
        (kind.name, interface, question.name)
        for kind in SERVERS.values()
        for interface in kind.interfaces
        for question in QUESTIONS
    ]


def _as_data(change: kept.Change) -> dict[str, object]:
    return {"was": change.was._asdict(), "now": change.now._asdict(), "counts": change.counts}
