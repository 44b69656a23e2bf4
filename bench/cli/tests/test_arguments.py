"""The table of commands: each names a function that is there and takes the parsed arguments."""

import inspect
from pkgutil import resolve_name

import pytest

from bench.cli.arguments import COMMANDS, build_parser


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_function_is_there_and_takes_the_arguments(name: str) -> None:
    function = resolve_name(COMMANDS[name].function)
    assert list(inspect.signature(function).parameters) == ["arguments"]


def test_the_help_lists_every_command_with_its_sentence() -> None:
    shown = " ".join(build_parser().format_help().split())
    assert [name for name, command in COMMANDS.items() if f"{name} {command.help}" not in shown] == []
