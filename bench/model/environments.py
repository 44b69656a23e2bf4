"""The environments in which servers run: which there are, and what each holds.

`measure/environment_maker.py` makes them. An environment is a folder in FOLDER: a virtual environment and, written
last, `environment.json`. A folder without that file does not count. `default` is the lab's own, which has no folder.

How a server gets one: the stack's name says it, as in `sync_wsgi@gthread:8%py313t`; without `%` it is `default`.
`Stack.command` begins with `python_word(name)`. `launch_command` in `measure/processes.py` replaces this word by the
interpreter (`program_of`), and `stack_environment` in `measure/readiness.py` adds its variables (`variables_of`).
"""

import importlib.util
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import msgspec

from bench.base.errors import MissingDependency, NotRun, UsageError, nearest
from bench.base.files import LOCAL

FOLDER = LOCAL / "environments"
FILE = "environment.json"
DEFAULT = "default"
"""The environment of the lab itself, which a stack's name leaves out."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
PYTHON = "python"
"""The first word of a server's command: the lab's interpreter, or with `%NAME` that of an environment."""


@dataclass(frozen=True)
class Recipe:
    """What a user asked an environment to be; empty where they left it to the lab.

    `python`: a program. `django`: a version, or the folder of a checkout. `packages`: more of them. `like`: the
    environment whose interpreter and packages this one shares. `variables`: of the processes that run in it.
    """

    python: str = ""
    django: str = ""
    packages: tuple[str, ...] = ()
    like: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def words(self, name: str, *more: str) -> list[str]:
        """Return the words of the command that makes it, with more packages."""
        options = {"--like": self.like, "--python": self.python, "--django": self.django}
        return [
            *("lab", "env", "add", name),
            *(word for option, value in options.items() if value for word in (option, value)),
            *(word for package in (*self.packages, *more) for word in ("--with", package)),
            *(word for name, value in self.variables.items() for word in ("--variable", f"{name}={value}")),
        ]


@dataclass(frozen=True)
class Environment:
    """An interpreter with packages. `python` as in `CPython 3.13.5t`; `packages`: versions of all, by normalised name.

    `lacks`: packages of labs and servers that could not be installed, each with the reason.
    """

    name: str
    python: str
    packages: dict[str, str]
    recipe: Recipe = field(default_factory=Recipe)
    lacks: dict[str, str] = field(default_factory=dict)
    made_with: str = ""
    made_at: str = ""

    @property
    def program(self) -> Path:
        """Return its interpreter."""
        return Path(sys.executable) if self.name == DEFAULT else program_in(self.recipe.like or self.name)

    def why_without(self, package: str) -> str:
        """Say that it lacks the package, why, and the command that helps; empty if it has the package."""
        if normalised(package) in self.packages:
            return ""
        whose = self.recipe.like or self.name
        why = self.lacks.get(normalised(package), "")
        command = shlex.join(load_environment(whose).recipe.words(whose, package))
        return f"the environment {whose} lacks{f' ({why})' if why else ''}: run `lab env remove {whose} && {command}`."


def require_packages(name: str, packages: Iterable[str], what: str, command: Callable[[str], str]) -> None:
    """Raise MissingDependency, with the command that helps, if an environment lacks a package that `what` needs.

    `command` installs a package in the default environment. Raises NotRun if there is no such environment.
    """
    environment = None if name == DEFAULT else load_environment(name)
    for package in packages:
        lacking = environment.why_without(package) if environment else _why_without_here(package, command)
        if lacking:
            raise MissingDependency(f"{what} needs the package {package}, which {lacking}")


def _why_without_here(package: str, command: Callable[[str], str]) -> str:
    """Look for the module alone: reading what all packages say of themselves takes a tenth of a second."""
    has = importlib.util.find_spec(package.replace("-", "_")) is not None
    return "" if has else f"is not installed: run `{command(package)}`."


def normalised(package: str) -> str:
    """Return the name by which packages are compared, without extras and version (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; @]", package, maxsplit=1)[0]).lower()


def check_name(name: str) -> str:
    """Return the name; UsageError if no environment can be called so."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of an environment: write at most 32 small letters, digits, `_`, `-` and `.`, "
            f"such as py313t."
        )
    return name


def program_in(name: str) -> Path:
    """Return where the interpreter of an environment of that name is."""
    return FOLDER / name / "bin" / "python"


def is_environment(name: str) -> bool:
    """Return whether there is one of that name that was made to its end."""
    return name == DEFAULT or (FOLDER / name / FILE).is_file()


def names() -> list[str]:
    """Return the names of all environments, the default first."""
    return [DEFAULT, *sorted(path.parent.name for path in FOLDER.glob(f"*/{FILE}"))]


def load_environment(name: str) -> Environment:
    """Read what an environment holds. Raises NotRun, with the command that makes it, if there is none of that name."""
    if name == DEFAULT:
        found = {normalised(one.name): one.version for one in metadata.distributions() if one.name}
        python = f"{platform.python_implementation()} {platform.python_version()}"
        return Environment(DEFAULT, python, dict(sorted(found.items())))
    if not is_environment(check_name(name)):
        raise NotRun(
            f"There is no environment {name!r}: {nearest(name, names())} `lab env add {name} --help` says how to make "
            f"one."
        )
    path = FOLDER / name / FILE
    try:
        found_one = msgspec.json.decode(path.read_bytes(), type=Environment)
    except (OSError, msgspec.DecodeError) as error:
        raise NotRun(f"{path} cannot be read ({error}): run `lab env remove {name}` and make it again.") from None
    if not found_one.program.exists():
        raise NotRun(f"The Python of the environment {name} is gone: run `lab env remove {name}` and make it again.")
    return found_one


def python_word(name: str) -> str:
    """Return the first word of a command that runs in an environment; `program_of` reads it."""
    return PYTHON if name == DEFAULT else f"{PYTHON}%{name}"


def program_of(word: str) -> str:
    """Return the program that a command's first word stands for: an interpreter of ours, or the word itself.

    Raises NotRun if the environment is not there.
    """
    if word == PYTHON:
        return sys.executable
    python, percent, name = word.partition("%")
    return str(load_environment(name).program) if percent and python == PYTHON else word


def own_variables_of(name: str) -> dict[str, str]:
    """Return the variables that an environment sets for its processes."""
    return {} if name == DEFAULT else load_environment(name).recipe.variables


def variables_of(name: str) -> dict[str, str]:
    """Return all that changes for a process in an environment: what it sets, and no search path of our interpreter."""
    hidden = {"PYTHONPATH": ""} if name != DEFAULT and os.environ.get("PYTHONPATH") else {}
    return hidden | own_variables_of(name)
