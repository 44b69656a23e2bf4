"""What prose names is there: links lead somewhere, commands can be typed, files, modules and stacks exist."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bench.base.errors import LabError
from bench.base.files import ROOT
from bench.claims.schema import load_claim
from bench.cli.arguments import build_parser
from bench.cli.tests.prose import Quoted, docstrings, links, quoted, tracked
from bench.learn.exercises import catalogue
from bench.model import experiment, run_store
from bench.model.stacks import parse_stack

ASSIGNMENT = re.compile(r"[A-Z_]+=\S+ ")
PLACEHOLDER = re.compile(r"[A-Z]{2,}")
SCRIPT = re.compile(r"(?:\.{1,2}/)?scripts/(?P<name>[\w-]+)")
STACK = re.compile(r"\w+(\+\w+)?@[a-z_]+(:[\dx]+)?")
FILE = re.compile(
    r"[\w./*-]*\w\.(?:py|toml|json|md|ipynb|svg|html|lock|mplstyle|yml)|(?:labs|bench|notebooks|results)/[\w./-]+"
)
VARIABLE = re.compile(r"\bLAB_[A-Z_]+")
NAMED: dict[str, Callable[[str], object]] = {
    "run": experiment.load_experiment,
    "report": run_store.find_run,
    "verify": run_store.find_run,
    "compare": run_store.find_run,
    "claims": load_claim,
    "check": catalogue.subject_of,
}
GIVES_PYTEST = ("check", "test")
"""Scripts whose options are pytest's, after all else that they look at."""
MADE_LATER = {"report.html", "labs/db.sqlite3", "results/local", "results/local/latest"}


def commands() -> dict[str, Quoted]:
    """Everything quoted that can be typed, without variables set before it and the way to the program."""
    return {re.sub(r"^\.venv/bin/", "", ASSIGNMENT.sub("", each.code)): each for each in quoted()}


LAB = {line: each for line, each in commands().items() if re.match(r"lab [a-z]", line)}
SCRIPTS = {line: each for line, each in commands().items() if SCRIPT.match(line)}
MODULES = {line: each for line, each in commands().items() if line.startswith("python -m ")}


def test_prose_is_found() -> None:
    assert min(len(LAB), len(SCRIPTS), len(MODULES)) > 5
    assert len(list(links())) > 50


def test_links_lead_somewhere() -> None:
    assert [str(link) for link in links() if not (link.path.parent / link.code).exists()] == []


@pytest.mark.parametrize("line", sorted(LAB))
def test_a_command_of_the_lab_can_be_typed(line: str) -> None:
    command, *rest = words = shlex.split(line)[1:]
    if not rest:  # prose may speak of a command without what it takes
        assert command in build_parser().format_help()
        return
    assert build_parser().parse_args(words)
    for word in rest:
        if STACK.fullmatch(word):
            assert parse_stack(word)
    if command in NAMED and not rest[0].startswith("-") and not PLACEHOLDER.fullmatch(rest[0]) and rest[0] != "latest":
        assert NAMED[command](rest[0])


@pytest.mark.parametrize("line", sorted(SCRIPTS))
def test_a_script_is_there_and_knows_its_options(line: str) -> None:
    script, *options = shlex.split(line)
    path = ROOT / "scripts" / Path(script).name
    assert os.access(path, os.X_OK), SCRIPTS[line]
    named = {option for option in options if option.startswith("-")}
    if named:
        asked = [sys.executable, "-m", "pytest"] if path.name in GIVES_PYTEST else [path]
        told = subprocess.run([*asked, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        assert named <= set(re.findall(r"--?[\w-]+", told))


@pytest.mark.parametrize("line", sorted(MODULES))
def test_a_module_that_can_be_run_is_there(line: str) -> None:
    name = shlex.split(line)[2]
    assert importlib.util.find_spec(name), MODULES[line]


def test_scripts_run_modules_that_are_there() -> None:
    scripts = "\n".join(path.read_text() for path in tracked() if path.parent == ROOT / "scripts" and not path.suffix)
    named = set(re.findall(r"\bbench(?:\.\w+)+", scripts))
    assert len(named) > 5
    assert [name for name in sorted(named) if not importlib.util.find_spec(name)] == []


@cache
def known() -> str:
    """Every file and folder of the project, a line each."""
    paths = {each for path in tracked() for each in (path, *path.parents) if ROOT in each.parents}
    return "\n".join(f"/{path.relative_to(ROOT)}" for path in paths)


def is_there(name: str) -> bool:
    """True for a file or folder of the project by its name or the end of its path, `*` for any part of a name."""
    pattern = "/" + re.escape(name.lstrip("./").rstrip("/")).replace(r"\*", "[^/\n]*") + "$"
    return name in MADE_LATER or bool(re.search(pattern, known(), re.MULTILINE))


def is_written_at_run_time(each: Quoted) -> bool:
    """A program's docstring names the JSON that it writes."""
    return each.path in docstrings() and each.code.endswith(".json")


def test_files_that_are_named_exist() -> None:
    named = [each for each in quoted() if FILE.fullmatch(each.code) and not is_written_at_run_time(each)]
    assert len(named) > 100
    assert [str(each) for each in named if not is_there(each.code)] == []


def test_stacks_that_are_named_can_be_served() -> None:
    unknown = []
    for each in quoted():
        if STACK.fullmatch(each.code) and not each.code.startswith("lab"):
            try:
                parse_stack(each.code)
            except LabError as error:
                unknown.append(f"{each}: {error}")
    assert unknown == []


def test_variables_that_are_named_are_read_somewhere() -> None:
    code = "\n".join(path.read_text() for path in tracked() if path.suffix == ".py" or path.parent.name == "scripts")
    named = {(name, each.path) for each in quoted() for name in VARIABLE.findall(each.code)}
    assert [pair for pair in named if f'"{pair[0]}"' not in code and f"${{{pair[0]}" not in code] == []
