"""`lab env`: make, list, show and remove the environments in which servers run."""

import argparse
from collections.abc import Callable
from typing import Any

from bench.base.console import announce, console, print_json
from bench.base.errors import ExitCode, UsageError
from bench.measure import environment_maker
from bench.model import environments
from bench.model.environments import Environment, Recipe
from bench.show.tables.terminal import plain_table


def env(arguments: argparse.Namespace) -> int:
    """Call the action that the command line names. Raises UsageError for words that do not fit together."""
    if arguments.action == "list":
        if arguments.name:
            raise UsageError("`lab env list` takes no name: `lab env show NAME` shows one.")
    elif not arguments.name:
        raise UsageError(f"`lab env {arguments.action}` needs a name, such as py313t.")
    if arguments.action != "add" and recipe_of(arguments) != Recipe():
        raise UsageError(f"`lab env {arguments.action}` takes no options but --json: they are for `lab env add`.")
    ACTIONS[arguments.action](arguments)
    return ExitCode.FINE


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return what the options ask for."""
    pairs = [text.partition("=") for text in arguments.variable]
    if not all(equals for _, equals, _ in pairs):
        raise UsageError("A variable is written NAME=VALUE, such as --variable PYTHON_GIL=1.")
    return Recipe(
        python=arguments.python or "",
        django=arguments.django or "",
        packages=tuple(getattr(arguments, "with")),
        like=arguments.like or "",
        variables={name: value for name, _, value in pairs},
    )


def _add(arguments: argparse.Namespace) -> None:
    recipe = recipe_of(arguments)
    says = f"making the environment {arguments.name} (a minute or so; more where a package has to be built)"
    made = environment_maker.add(arguments.name, recipe, before=lambda: None if recipe.like else announce(says))
    _show_one(made, as_json=arguments.json)


def _show(arguments: argparse.Namespace) -> None:
    _show_one(environments.load_environment(arguments.name), as_json=arguments.json)


def _show_one(environment: Environment, *, as_json: bool) -> None:
    """Print everything that an environment holds."""
    if as_json:
        print_json(to_json(environment))
        return
    table, found = plain_table(show_header=False), to_json(environment)
    for name, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {text}" for key, text in value.items())
        if value:
            table.add_row(name.replace("_", " "), value)
    console().print(table)


def to_json(environment: Environment) -> dict[str, Any]:
    """Return an environment as plain data, its program included."""
    return {
        "name": environment.name,
        "python": environment.python,
        "program": str(environment.program),
        "command": " ".join(environment.recipe.words(environment.name)) if environment.made_at else "",
        "variables": environment.recipe.variables,
        "lacks": environment.lacks,
        "packages": environment.packages,
        "made_with": environment.made_with,
        "made_at": environment.made_at,
    }


def _list(arguments: argparse.Namespace) -> None:
    found = [environments.load_environment(name) for name in environments.names()]
    if arguments.json:
        print_json([to_json(environment) for environment in found])
        return
    table = plain_table()
    for heading in ("name", "python", "django", "variables", "lacks"):
        table.add_column(heading)
    for one in found:
        variables = ", ".join(f"{name}={value}" for name, value in one.recipe.variables.items())
        table.add_row(one.name, one.python, one.packages.get("django", ""), variables, ", ".join(one.lacks))
    console().print(table)


def _remove(arguments: argparse.Namespace) -> None:
    environment_maker.remove(arguments.name)
    if arguments.json:
        print_json({"removed": arguments.name})
    else:
        announce(f"removed: {arguments.name}")


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "remove": _remove,
}
