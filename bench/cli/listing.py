"""`lab list`: what can be served and measured, from the lists that everything else uses."""

import argparse
from typing import Any

from rich.table import Table

from bench.base.console import console, print_json
from bench.base.errors import ExitCode
from bench.model import experiment
from bench.model.fronts import FRONTS
from bench.model.servers import SERVERS
from bench.model.stacks import CONNECTION_POLICIES, LABS, STACKS
from bench.model.workloads import WORKLOADS


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Labs, servers, fronts, stacks, connection policies, workloads and experiments as JSON data."""
    return {
        "labs": [
            {"name": lab.name, "views": lab.views, "interface": lab.interface, "lesson": lab.lesson}
            for lab in LABS.values()
        ],
        "servers": [
            {
                "name": server.name + (":T" if server.takes_threads else ""),
                "interface": ", ".join(server.interfaces),
                "note": server.note,
            }
            for server in SERVERS.values()
        ],
        "fronts": [{"name": f"{front.name}/", "note": front.note} for front in FRONTS.values()],
        "stacks": [{"name": stack.name} for stack in STACKS],
        "keeps": [{"name": f"+{name}", "says": policy.says} for name, policy in CONNECTION_POLICIES.items()],
        "workloads": [
            {"name": workload.name, "parameters": dict(workload.defaults), "does": workload.does}
            for workload in WORKLOADS.values()
        ],
        "experiments": [
            {"name": name, "title": found.title + ("" if found.reference else " (draft)"), "question": found.question}
            for name in experiment.experiment_names()
            for found in [experiment.load_experiment(name)]
        ],
    }


def print_catalogue(arguments: argparse.Namespace) -> int:
    """Print the catalogue as tables or JSON; in a table stacks take one line, because their names say what they are."""
    if arguments.json:
        return print_json(catalogue())
    out = console()
    for title, rows in catalogue().items():
        if title == "stacks":
            names = ", ".join(row["name"] for row in rows)
            notation = "lab\\[+keep]@server\\[:budget]\\[%environment]"
            out.print(f"[bold]stacks[/] are {notation}, both WSGI or both ASGI, such as {names}\n")
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
        for column in rows[0]:
            table.add_column(column, style="cyan" if column == "name" else "", no_wrap=column == "name")
        for row in rows:
            table.add_row(*(_text(value) for value in row.values()))
        out.print(table, "")
    return ExitCode.FINE


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={default}" for key, default in value.items())
    return str(value)
