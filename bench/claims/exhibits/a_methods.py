"""Finds Django's a-methods of each version in its sources, and keeps them in `results/reference/a_methods.json`.

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.base.console import run_program
from bench.base.errors import NotRun
from bench.claims.exhibits.keep import exhibit_parser, keep
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
    """Find the a-methods in {module: source}."""
    return {
        Method(place, node.name)
        for module, source in sources.items()
        if "async def a" in source  # most have none, and parsing takes long
        for place, node in _functions(ast.parse(source), module)
        if isinstance(node, ast.AsyncFunctionDef) and is_a_name(node.name)
    }


def version_order(version: str) -> tuple[int, ...]:
    """Return a sort key for a version such as `5.2`."""
    return tuple(map(int, version.split(".")))


def is_a_name(name: str) -> bool:
    """Return whether a name begins as an a-method's does: `a` and a letter."""
    return re.match(r"a[a-z]", name) is not None


def _functions(scope: ast.AST, place: str, *, local: bool = False) -> Iterator[tuple[str, Function]]:
    """Yield the functions at the top of a module and in classes, also in classes that a function makes."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.ClassDef | Function):
            yield from _functions(node, place, local=local)
            continue
        if isinstance(node, Function) and not local:
            yield place, node
        yield from _functions(node, f"{place}.{node.name}", local=isinstance(node, Function))


def unsafe_in(sources: Mapping[str, str]) -> set[str]:
    """Find the public methods of a database connection that Django marks `async_unsafe`: they raise on a loop."""
    return {
        node.name
        for _, node in _functions(ast.parse(sources["db.backends.base.base"]), "")
        if not node.name.startswith("_") and "async_unsafe" in map(ast.unparse, node.decorator_list)
    }


def sources_of_wheel(wheel: Path) -> dict[str, str]:
    """Return {module below django: source} of a wheel."""
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
    """Download the newest wheel of each version; they are deleted afterwards. Raises NotRun if pip cannot fetch one."""
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
    """Return what `a_methods.json` keeps: exact versions, which of them have each a-method, unsafe methods."""
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


def load() -> dict[str, Any]:
    """Load what is kept."""
    kept: dict[str, Any] = json.loads(FILE.read_text())
    return kept


def counts_by_area(kept: Mapping[str, Any]) -> dict[str, list[int]]:
    """Count the names of a-methods in each area, a number for each version; a name in several classes counts once."""
    counts = {}
    for area in [*AREAS, "other"]:
        methods = [method for method in kept["methods"] if method["area"] == area]
        names = [{it["name"] for it in methods if version in it["versions"]} for version in kept["versions"]]
        if any(names):
            counts[area] = list(map(len, names))
    return counts


def to_markdown(kept: Mapping[str, Any]) -> str:
    """Return a table of how many a-methods each area has, version by version."""
    counts = counts_by_area(kept)
    rows = [[area, *(str(count or "") for count in row)] for area, row in counts.items()]
    totals = ["**all**", *map(str, map(sum, zip(*counts.values(), strict=True)))]
    rule = ["---", *["--:"] * len(kept["versions"])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (["a-methods", *kept["versions"]], rule, *rows, totals))


def table(kept: Mapping[str, Any]) -> Table:
    """Return the same counts as a table for a terminal; `kept` is the content of `a_methods.json`."""
    shown = Table("a-methods", *kept["versions"], title="a-methods by Django version")
    for area, counts in counts_by_area(kept).items():
        shown.add_row(area, *(str(count or "") for count in counts))
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Download each version, write `a_methods.json`, and print it. Raises NotRun if pip cannot download."""
    arguments = exhibit_parser("a_methods", __doc__ or "").parse_args(argv)
    with downloaded(VERSIONS) as wheels:
        return keep(document(wheels), FILE, lambda: table(load()), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(run_program(main))
