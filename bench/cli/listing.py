"""`lab list`: what there is to serve and to measure, from the lists that everything else uses."""

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.model import experiment
from bench.model.servers import SERVERS
from bench.model.stacks import CONNECTION_POLICIES, LABS, STACKS
from bench.model.workloads import WORKLOADS


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Labs, servers, stacks, ways to keep connections, workloads and experiments as JSON data."""
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
        "stacks": [{"name": stack.name} for stack in STACKS],
        "keeps": [{"name": f"+{name}", "says": keep.says} for name, keep in CONNECTION_POLICIES.items()],
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


def show(console: Console) -> None:
    """The catalogue as tables; stacks on one line, because their notation says what they are."""
    for title, rows in catalogue().items():
        if title == "stacks":
            names = ", ".join(row["name"] for row in rows)
            console.print(
                f"[bold]stacks[/] are lab\\[+keep]@server\\[:budget] where both speak the same, such as {names}\n"
            )
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
        for column in rows[0]:
            table.add_column(column, style="cyan" if column == "name" else "", no_wrap=column == "name")
        for row in rows:
            table.add_row(*(_text(value) for value in row.values()))
        console.print(table, "")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={default}" for key, default in value.items())
    return str(value)
