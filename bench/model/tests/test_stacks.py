"""The notation of a stack: what is read is written the same, and what cannot be read is refused in one sentence."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.base.errors import UsageError
from bench.base.files import ROOT
from bench.model.environments import DEFAULT
from bench.model.stacks import LABS, parse_stack, split_name

NAMES = ("sync_wsgi@gthread:8%py313t", "async_asgi@uvicorn%django-6.1", "sync_wsgi+pool_16@gthread:8x2%a_b")


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_with_an_environment_reads_as_it_is_written(name: str) -> None:
    stack = parse_stack(name)
    bare, _, environment = name.partition("%")
    assert (stack.name, stack.environment, split_name(name).environment) == (name, environment, environment)
    assert split_name(name)._replace(environment=None) == split_name(bare)


def test_the_default_environment_is_left_out_of_the_name() -> None:
    stacks = {parse_stack(text) for text in ("sync_wsgi@gthread:8", f"sync_wsgi@gthread:8%{DEFAULT}")}
    assert [stack.name for stack in stacks] == ["sync_wsgi@gthread:8"]


@pytest.mark.parametrize("environment", ["", "Py313", "a/b", "..", "a%b", "a b", "a" * 33, "-x"])
def test_what_no_environment_can_be_called_is_refused(environment: str) -> None:
    with pytest.raises(UsageError, match="is no name of an environment: write at most 32 small letters") as refusal:
        parse_stack(f"sync_wsgi@gthread:8%{environment}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("folder", sorted({lab.folder for lab in LABS.values()}))
def test_a_lab_imports_no_package_but_those_that_its_environment_must_have(folder: str) -> None:
    needed = {package.replace("-", "_") for lab in LABS.values() if lab.folder == folder for package in lab.packages}
    shared = (
        ["database", "settings", "urls", "plain", "work", "upstream_client", "upstream_stream", "contact"]
        if needed
        else ["plain"]
    )
    files = [*(ROOT / "labs" / folder).rglob("*.py"), *(ROOT / "labs" / "common" / f"{name}.py" for name in shared)]
    imported = {name for file in files for name in _imported_at_once(file)}
    assert imported - sys.stdlib_module_names - {"labs", "asgiref"} <= needed


def _imported_at_once(file: Path) -> Iterator[str]:
    """The top-level packages that a module imports when it is imported itself."""
    for node in ast.parse(file.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        yield from (name.partition(".")[0] for name in names)
