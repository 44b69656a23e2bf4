"""Django's a-methods by version, found in its sources, never typed: `results/reference/a_methods.json`.

    python -m bench.claims.exhibits.a_methods [--json]

downloads a wheel of each version with pip into a temporary folder, reads it without importing it, and writes that file.
An a-method is a public coroutine function or async generator whose name begins with `a` at the top of a module or in a
class. A test imports the installed Django and finds the same ones.
"""

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.base import files
from bench.base.console import console, guarded, print_json
from bench.base.errors import ExitCode, NotRun
from bench.base.options import Parser
from bench.measure.processes import work_folder
from bench.model import run_store

FILE = run_store.REFERENCE / "a_methods.json"
# 4.0 shows what was there before 4.1, which brought the ORM's.
VERSIONS = ("4.0", "4.1", "4.2", "5.0", "5.1", "5.2", "6.0", "6.1")
DOWNLOAD_WITHIN_S = 120
AREAS = {
    "querysets": "db.models.query",
    "models": "db.models.base",
    "related managers": "db.models.fields.related_descriptors",
    "generic relations": "contrib.contenttypes.fields",
    "paginator": "core.paginator",
    "shortcuts": "shortcuts",
    "auth": "contrib.auth",
    "sessions": "contrib.sessions",
    "cache": "core.cache",
    "signals": "dispatch",
    "tasks": "tasks",
    "test client": "test.client",
}


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Method:
    """A place such as `db.models.query.QuerySet` and a name such as `aget`."""

    place: str
    name: str

    @property
    def area(self) -> str:
        """Return the name in AREAS of the part of Django that the method belongs to, or `other`."""
        return next((area for area, module in AREAS.items() if f"{self.place}.".startswith(f"{module}.")), "other")


def methods_in(sources: Mapping[str, str]) -> set[Method]:
    """The a-methods of {module: source}."""
    return {
        Method(place, node.name)
        for module, source in sources.items()
        if "async def a" in source  # most have none, and parsing takes long
        for place, node in _functions(ast.parse(source), module)
        if isinstance(node, ast.AsyncFunctionDef) and is_a_name(node.name)
    }


def is_a_name(name: str) -> bool:
    """Return whether a name begins as an a-method's does: `a` and a letter."""
    return re.match(r"a[a-z]", name) is not None


def _functions(scope: ast.AST, place: str, *, local: bool = False) -> Iterator[tuple[str, Function]]:
    """Functions at the top of a module and in classes; of functions, which make classes too, only those classes'."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.ClassDef | Function):
            yield from _functions(node, place, local=local)
            continue
        is_function = isinstance(node, Function)
        if isinstance(node, Function) and not local:
            yield place, node
        yield from _functions(node, f"{place}.{node.name}", local=is_function)


def unsafe_in(sources: Mapping[str, str]) -> set[str]:
    """Public methods of a database connection that Django marks `async_unsafe`: those that raise on a loop."""
    source = sources["db.backends.base.base"]
    return {
        node.name
        for _, node in _functions(ast.parse(source), "")
        if not node.name.startswith("_") and "async_unsafe" in map(ast.unparse, node.decorator_list)
    }


def sources_of_wheel(wheel: Path) -> dict[str, str]:
    """{module below django: source} of a wheel."""
    with zipfile.ZipFile(wheel) as files:
        return {
            _module(Path(name).relative_to("django")): files.read(name).decode()
            for name in files.namelist()
            if name.startswith("django/") and name.endswith(".py")
        }


def sources_of_installed() -> dict[str, str]:
    """Return {module below django: source} of the installed Django."""
    import django

    root = Path(django.__file__).parent
    return {_module(path.relative_to(root)): path.read_text() for path in root.rglob("*.py")}


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@contextmanager
def downloaded(versions: Sequence[str]) -> Iterator[dict[str, Path]]:
    """The newest wheel of each version, gone afterwards. NotRun where pip cannot fetch it."""
    with work_folder("django") as folder:
        yield {version: _download(version, folder / version) for version in versions}


def _download(version: str, folder: Path) -> Path:
    # For a newer Python than this one may be: nothing is imported, and 6.0 asks for 3.12.
    options = ["--no-deps", "--only-binary=:all:", "--python-version", "3.13", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, f"Django~={version}.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_WITHIN_S)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise NotRun(f"pip could not fetch Django {version}: {done.stderr.strip()[-300:]}")
    return wheels[0]


def document(wheels: Mapping[str, Path]) -> dict[str, Any]:
    """Everything found: exact versions, each a-method with the versions that have it, what has no twin."""
    sources = {version: sources_of_wheel(wheel) for version, wheel in wheels.items()}
    found = {version: methods_in(there) for version, there in sources.items()}
    methods = sorted(set().union(*found.values()))
    return {
        "versions": {version: wheel.name.split("-")[1] for version, wheel in wheels.items()},
        "methods": [
            {**asdict(method), "area": method.area, "versions": [v for v, there in found.items() if method in there]}
            for method in methods
        ],
        "unsafe_without_twin": {version: sorted(unsafe_in(there)) for version, there in sources.items()},
    }


@dataclass(frozen=True)
class Row:
    """An area, how many names of a-methods it has in each version, and the names each version was the first with."""

    area: str
    counts: dict[str, int]
    new: dict[str, list[str]]


def rows_of(kept: Mapping[str, Any]) -> list[Row]:
    """One row an area; a name that several classes have counts once."""
    return [row for area in [*AREAS, "other"] if (row := _row(area, kept)).new]


def _row(area: str, kept: Mapping[str, Any]) -> Row:
    there: dict[str, set[str]] = {version: set() for version in kept["versions"]}
    for method in kept["methods"]:
        for version in method["versions"] if method["area"] == area else ():
            there[version].add(method["name"])
    new, before = {}, set[str]()
    for version, names in there.items():
        if names - before:
            new[version] = sorted(names - before)
        before |= names
    return Row(area, {version: len(names) for version, names in there.items()}, new)


def load() -> dict[str, Any]:
    """What is kept."""
    kept: dict[str, Any] = json.loads(FILE.read_text())
    return kept


def to_markdown(kept: Mapping[str, Any]) -> str:
    """How many a-methods each area has, version by version."""
    rows = rows_of(kept)
    lines = [_line([row.area, *(str(row.counts[version] or "") for version in kept["versions"])]) for row in rows]
    totals = [str(sum(row.counts[version] for row in rows)) for version in kept["versions"]]
    head = _line(["a-methods", *kept["versions"]]) + "\n" + _line(["---", *["--:"] * len(kept["versions"])])
    return "\n".join([head, *lines, _line(["**all**", *totals])])


def news_to_markdown(kept: Mapping[str, Any]) -> str:
    """What each version was the first to have."""
    rows = rows_of(kept)
    lines = [
        _line([version, row.area, " ".join(f"`{name}`" for name in row.new[version])])
        for version in kept["versions"]
        for row in rows
        if version in row.new
    ]
    return "\n".join([_line(["first in", "area", "a-methods"]), _line(["---"] * 3), *lines])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(kept: Mapping[str, Any]) -> Table:
    """Return the counts by area and version as a table; `kept` is the content of `a_methods.json`."""
    shown = Table("a-methods", *kept["versions"], title="a-methods by Django version")
    for row in rows_of(kept):
        shown.add_row(row.area, *(str(row.counts[version] or "") for version in kept["versions"]))
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Download each version, write `a_methods.json`, and print it. Raises NotRun if pip cannot download."""
    parser = Parser(prog="python -m bench.claims.exhibits.a_methods", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of a table")
    as_json = parser.parse_args(argv).json
    with downloaded(VERSIONS) as wheels:
        kept = document(wheels)
    files.write_atomically(FILE, (json.dumps(kept, indent=1) + "\n").encode())
    if as_json:
        return print_json(kept)
    console().print(table(kept))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(guarded(main))
